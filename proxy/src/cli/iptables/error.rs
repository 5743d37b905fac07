//! Why a command fails: what it says on stderr, and the exit code.

use std::io;

use control::api::ClientError;
use sched::OpError;

use super::Program;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The command line makes no sense, or is outside the dialect.
    Usage(String),
    /// A word that belongs to nothing.
    Stray(String),
    /// Understood, and refused.
    Refused(String),
    /// Some line of a restore.
    AtLine(usize, Box<Self>),
    /// A text of its own.
    Plain(String),
    /// No such table.
    Table(String),
    /// Nobody to talk to, or no permission.
    System(String, u8),
}

impl Failure {
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    /// ENOENT, as iptables words it.
    pub(super) fn no_chain() -> Self {
        Self::refused("No chain/target/match by that name.")
    }

    /// As iptables numbers them: 1 refused, 2 wrong usage, 3 wrong version, 4 no resources.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Stray(_) => 2,
            Self::Refused(_) | Self::Plain(_) => 1,
            Self::Table(_) => 3,
            Self::System(_, code) => *code,
            Self::AtLine(_, failure) => match &**failure {
                Self::Table(_) => 2,
                other => other.code(),
            },
        }
    }

    pub(super) fn text(&self, program: Program) -> String {
        let (name, version) = (program.name(), program.version());
        let help = format!("Try `{name} -h' or '{name} --help' for more information.\n");
        match self {
            Self::Usage(text) => format!("{version}: {text}\n{help}"),
            Self::Stray(word) => format!("Bad argument `{word}'\n{help}"),
            Self::Refused(text) => format!("{name}: {text}\n"),
            Self::Plain(text) => format!("{text}\n"),
            Self::Table(table) => format!(
                "{version}: table '{table}' does not exist\nPerhaps {name} or your kernel needs to be upgraded.\n"
            ),
            Self::System(text, _) => format!("{version}: {text}\n"),
            Self::AtLine(line, failure) => match &**failure {
                Self::Usage(text) => format!("{version}: {text}\nError occurred at line: {line}\n{help}"),
                Self::Stray(word) => {
                    format!("Bad argument `{word}'\nError occurred at line: {line}\n{help}")
                }
                Self::Refused(text) => format!("{name}: line {line} failed: {text}\n"),
                Self::Table(table) => format!(
                    "{version}: {name}: line {line} table name '{table}' invalid\nError occurred at line: {line}\n{help}"
                ),
                other => other.text(program),
            },
        }
    }

    /// What the engine says to an edit; `index` is what iptables calls the place of a rule that is not there.
    pub(super) fn of_edit(error: ClientError, index: &str) -> Self {
        match error {
            ClientError::Refused { error: OpError::NoSuchMarkPlace, .. } => {
                Self::refused(format!("Index of {index} too big."))
            }
            ClientError::Refused { error, .. } => Self::refused(error.to_string()),
            other => other.into(),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(e: ClientError) -> Self {
        match e {
            ClientError::NoEngine => Self::System(e.to_string(), 3),
            ClientError::Permission(_) => Self::System("Permission denied (you must be root)".to_owned(), 4),
            other => Self::System(other.to_string(), 4),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            // Whoever read our output has seen enough.
            io::ErrorKind::BrokenPipe => Self::System(String::new(), 1),
            _ => Self::System(format!("cannot write the output: {e}"), 1),
        }
    }
}
