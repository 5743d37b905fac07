//! What a check has to say.

use std::net::IpAddr;

use serde::Serialize;

/// How bad it is. The order is that of badness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Good to know.
    Note,
    /// It works, but not as well as it should, or not for long.
    Warning,
    /// Some clients are not served.
    Fault,
}

impl Severity {
    /// As it is shown.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }
}

/// What mends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Cure {
    /// The host to type it on, by an address of its; none: this one.
    pub(crate) on: Option<IpAddr>,
    /// For a shell, as root. What is in capitals is for the reader to say.
    pub(crate) command: String,
}

/// A mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The check that has found it.
    pub(crate) check: &'static str,
    pub(crate) severity: Severity,
    /// What it is about: a service, a server, a device.
    pub(crate) about: String,
    /// What was seen.
    pub(crate) saw: String,
    /// Why it matters.
    pub(crate) why: &'static str,
    /// All of these together mend it; none where it takes a decision first, which `why` names.
    pub(crate) cures: Vec<Cure>,
}

impl Finding {
    pub(super) fn new(
        severity: Severity,
        about: impl Into<String>,
        saw: impl Into<String>,
        why: &'static str,
    ) -> Self {
        Self { check: "", severity, about: about.into(), saw: saw.into(), why, cures: Vec::new() }
    }

    pub(super) fn fault(about: impl Into<String>, saw: impl Into<String>, why: &'static str) -> Self {
        Self::new(Severity::Fault, about, saw, why)
    }

    pub(super) fn warning(about: impl Into<String>, saw: impl Into<String>, why: &'static str) -> Self {
        Self::new(Severity::Warning, about, saw, why)
    }

    pub(super) fn note(about: impl Into<String>, saw: impl Into<String>, why: &'static str) -> Self {
        Self::new(Severity::Note, about, saw, why)
    }

    /// Adds a command for this host.
    pub(super) fn cure(mut self, command: impl Into<String>) -> Self {
        self.cures.push(Cure { on: None, command: command.into() });
        self
    }

    /// Adds a command for another host.
    pub(super) fn cure_on(mut self, host: IpAddr, command: impl Into<String>) -> Self {
        self.cures.push(Cure { on: Some(host), command: command.into() });
        self
    }

    /// Tells who has found it.
    pub(super) fn by(mut self, check: &'static str) -> Self {
        self.check = check;
        self
    }
}
