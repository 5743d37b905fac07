//! `ulvs import`: what was written for another program, as `ulvs.toml`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use control::config::write;
use control::settings::Settings;
use control::source::{Kind, Source};

use super::{fail, say, source};

/// Prints ulvs.toml for a configuration of another program, and on stderr what it means differently or not at all.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER_HELP)]
pub(super) enum ImportCommand {
    /// A configuration of keepalived: its virtual servers and checks
    #[command(after_help = "Example:\n  ulvs import keepalived /etc/keepalived/keepalived.conf > ulvs.toml")]
    Keepalived {
        #[command(flatten)]
        import: Import,
        /// What lines that begin with @ are for [default: the name of this host]
        #[arg(long, value_name = "ID")]
        config_id: Option<String>,
    },
    /// A configuration of ldirectord
    #[command(after_help = "Example:\n  ulvs import ldirectord /etc/ha.d/ldirectord.cf > ulvs.toml")]
    Ldirectord {
        #[command(flatten)]
        import: Import,
    },
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file
    file: PathBuf,
    /// Fail when anything is not understood, not handled or changed
    #[arg(long)]
    strict: bool,
}

const AFTER_HELP: &str = "\
Exit codes:
  0  it is printed; with --strict, and nothing is different
  1  the file cannot be used (nothing is printed), or is different with --strict
Example:
  ulvs import keepalived --strict /etc/keepalived/keepalived.conf > ulvs.toml";

pub(super) fn main(command: ImportCommand) -> ExitCode {
    let (source, strict) = match command {
        ImportCommand::Keepalived { import, config_id } => {
            (source::keepalived(import.file, config_id), import.strict)
        }
        ImportCommand::Ldirectord { import } => (Source::new(import.file, Kind::Ldirectord), import.strict),
    };
    let loaded = match source.load() {
        Ok(loaded) => loaded,
        Err(report) => return fail(&report),
    };
    let timeouts = loaded.config.settings(Settings::default().compat).timeouts;
    say(write::write(loaded.config.services(), timeouts).trim_end());
    if loaded.notes.is_empty() {
        return ExitCode::SUCCESS;
    }
    let code = fail(&loaded.notes.to_string());
    if strict { code } else { ExitCode::SUCCESS }
}
