//! `ulvs ca`: a certificate authority in a directory.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use clap::Subcommand;
use tls::{Authority, Issued};

use super::{fail, say};
use crate::reason::reason;

/// What `ulvs ca` can do.
#[derive(Debug, Subcommand)]
pub(super) enum CaCommand {
    /// Make a new authority: ca.crt for the clients, ca.key to keep secret
    New {
        /// Where to put them
        #[arg(long, default_value = ".", value_name = "DIR")]
        dir: PathBuf,
        /// What it calls itself
        #[arg(long, default_value = "ulvs CA")]
        name: String,
        /// Days that it is valid
        #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: u32,
    },
    /// Issue a certificate for a server: NAME.crt and NAME.key, after the first name
    Issue {
        /// Where ca.crt and ca.key are, and the new files go
        #[arg(long, default_value = ".", value_name = "DIR")]
        dir: PathBuf,
        /// Days that it is valid
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: u32,
        /// DNS names and IP addresses of the server
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

pub(super) fn main(command: CaCommand) -> ExitCode {
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&reason(&error)),
    }
}

fn run(command: CaCommand) -> anyhow::Result<()> {
    let now = SystemTime::now();
    match command {
        CaCommand::New { dir, name, days } => {
            std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
            write(&dir, "ca", Authority::create(&name, days, now)?.pem())
        }
        CaCommand::Issue { dir, days, names } => {
            let read = |file: &str| {
                let path = dir.join(file);
                std::fs::read_to_string(&path).with_context(|| {
                    format!("cannot read {}: `ulvs ca new` makes an authority", path.display())
                })
            };
            let ca = Authority::load(Issued { cert_pem: read("ca.crt")?, key_pem: read("ca.key")? })?;
            let issued = ca.issue(&names, days, now)?;
            write(&dir, &names[0].replace(['/', '*'], "_"), &issued)
        }
    }
}

/// Writes both files or complains; never over what is there.
fn write(dir: &Path, stem: &str, issued: &Issued) -> anyhow::Result<()> {
    let files = [("key", &issued.key_pem, 0o600), ("crt", &issued.cert_pem, 0o644)];
    for (extension, text, mode) in files {
        let path = dir.join(format!("{stem}.{extension}"));
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(mode).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| {
            format!("cannot write {}: remove it first if it is no longer needed", path.display())
        })?;
        say(&path.display().to_string());
    }
    Ok(())
}
