//! What happens to servers and services: for logs, for whoever listens, and for the commands that are told.

use std::fmt;

use sched::{DestKey, Health, ServiceKey};
use serde::{Deserialize, Serialize};

use super::command;

/// Something that has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// In which service.
    #[serde(with = "crate::api::word")]
    pub service: ServiceKey,
    /// Which server; none where it is about the whole service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<DestKey>,
    /// What.
    pub kind: EventKind,
    /// What it is now, in the words of `ulvs health`.
    pub state: String,
    /// Why.
    pub reason: String,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A live server: the first answer that says otherwise.
    SoftDown,
    /// A dead server: the first answer that says otherwise.
    SoftUp,
    /// The answers do no longer say otherwise, before it took.
    Firm,
    /// A server is dead.
    Down,
    /// A server is alive.
    Up,
    /// Somebody has said what a server is to be taken for.
    ByHand,
    /// A service has too few live servers.
    QuorumDown,
    /// It has enough again.
    QuorumUp,
    /// So many are dead that no check is believed.
    Panic,
    /// Checks are believed again.
    PanicOver,
}

impl EventKind {
    /// Its name, as programs get it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SoftDown => "soft-down",
            Self::SoftUp => "soft-up",
            Self::Firm => "firm",
            Self::Down => "down",
            Self::Up => "up",
            Self::ByHand => "by-hand",
            Self::QuorumDown => "quorum-down",
            Self::QuorumUp => "quorum-up",
            Self::Panic => "panic",
            Self::PanicOver => "panic-over",
        }
    }
}

impl fmt::Display for Event {
    /// A line of the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, server, kind, state, reason } = self;
        match server {
            Some(server) => write!(f, "server {server} of {service} is {state}: {reason}"),
            None => match kind {
                EventKind::QuorumDown => write!(f, "{service} has lost its quorum: {reason}"),
                EventKind::QuorumUp => write!(f, "{service} has its quorum again: {reason}"),
                _ => write!(f, "{service}: {state}: {reason}"),
            },
        }
    }
}

/// A command that is to be told of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The command line.
    pub command: String,
    /// Who runs it, `USER` or `USER:GROUP`; without, whoever we are.
    pub user: Option<String>,
    /// What it is told.
    pub event: Event,
}

impl Told {
    /// The commands that a service has for this.
    pub(super) fn of<'a>(event: &'a Event, health: &'a Health) -> impl Iterator<Item = Self> + 'a {
        let notify = &health.notify;
        let own = |i: usize| event.server.and_then(|server| notify.own.get(&server)?[i].as_ref());
        let commands = match event.kind {
            EventKind::Up => [notify.change.as_ref(), notify.up.as_ref(), own(0)],
            EventKind::Down => [notify.change.as_ref(), notify.down.as_ref(), own(1)],
            EventKind::QuorumUp => [notify.quorum_up.as_ref(), None, None],
            EventKind::QuorumDown => [notify.quorum_down.as_ref(), None, None],
            _ => [None; 3],
        };
        commands.into_iter().flatten().map(|command| Self {
            command: command.line.clone(),
            user: command.user.clone().or_else(|| notify.user.clone()),
            event: event.clone(),
        })
    }

    /// The facts, for its environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let Event { service, server, kind, state, reason } = &self.event;
        let mut facts = Vec::from(command::facts(*service, *server, *server, state));
        facts.extend([("ULVS_EVENT", kind.name().to_owned()), ("ULVS_REASON", reason.clone())]);
        facts
    }
}
