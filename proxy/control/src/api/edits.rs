//! Edits, and what came of them, as they travel over the control socket.

use sched::{Op, OpError};
use serde::{Deserialize, Serialize};

/// A list of edits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apply {
    /// What happens when one of them is refused.
    #[serde(default)]
    pub mode: ApplyMode,
    /// The edits, in order; together they are one swap of the table.
    pub ops: Vec<Op>,
}

/// What happens when an edit is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApplyMode {
    /// The first refusal leaves everything as it was.
    #[default]
    Atomic,
    /// Refused edits are skipped and reported: `ipvsadm -R`.
    KeepGoing,
}

/// The outcome of an [`Apply`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Generation of the table afterwards.
    pub generation: u64,
    /// The edits that were skipped; always empty in [`ApplyMode::Atomic`].
    #[serde(default)]
    pub failures: Vec<OpFailure>,
}

/// An edit that was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpFailure {
    /// Its place in [`Apply::ops`], from 0.
    pub index: usize,
    /// Why.
    pub error: OpError,
}

/// The outcome of a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Generation of the table afterwards.
    pub generation: u64,
    /// What changed, one line each; empty when nothing did.
    pub changes: Vec<String>,
}
