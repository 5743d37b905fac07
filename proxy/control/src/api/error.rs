//! Refusals, as a client sees them.

use std::fmt;

use sched::OpError;
use serde::{Deserialize, Serialize};

use crate::settings::SettingError;

/// Why the engine did not apply a list of edits. Nothing of it was applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The edit at `index` cannot be made.
    #[error("{error}")]
    Refused {
        /// Its place in the list, from 0.
        index: usize,
        /// Why.
        error: OpError,
    },
    /// The edit at `index` names files of a front that are of no use: the text says which and why.
    #[error("{reason}")]
    Files {
        /// Its place in the list, from 0.
        index: usize,
        /// For people.
        reason: String,
    },
    /// The edits are fine but the system is not: the text says what failed.
    #[error("{0}")]
    System(String),
}

/// Why the engine did not change its settings. None of them was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// It is no setting, or not a value of it.
    #[error("{0}")]
    Refused(#[from] SettingError),
    /// The system is at fault: the text says how.
    #[error("{0}")]
    System(String),
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// For people.
    pub error: String,
    /// For programs.
    pub code: ErrorCode,
    /// Which edit of the request it is about, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
}

impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ErrorCode {
    /// An edit was refused (HTTP 409).
    Op(OpError),
    /// Anything else.
    Other(Failure),
}

/// The refusals that are not about an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// The caller is neither root nor the engine's user (HTTP 403).
    PermissionDenied,
    /// The request makes no sense (HTTP 400, 404, 405).
    BadRequest,
    /// A setting was refused (HTTP 409); nothing was changed.
    BadSetting,
    /// The configuration file has errors; nothing was changed (HTTP 422).
    BadConfig,
    /// A certificate or another file that an edit names is of no use; nothing was changed (HTTP 422).
    BadFiles,
    /// The system refused something (HTTP 500).
    System,
}
