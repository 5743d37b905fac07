//! `ulvs lab ...`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use netio::netns;

use crate::bench::{self, BenchArgs};
use crate::scenario;
use crate::stage::Stage;
use crate::topo::{NatLab, NatOptions};

/// Laboratories made of network namespaces, which vanish when the command ends, however it ends.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ulvs lab list\n  ulvs lab run nat")]
pub struct LabArgs {
    #[command(subcommand)]
    command: LabCommand,
}

#[derive(Debug, Subcommand)]
enum LabCommand {
    /// List the scenarios
    #[command(after_help = "Example:\n  ulvs lab list")]
    List,
    /// Run a scenario and explain it
    #[command(after_help = "Example:\n  ulvs lab run nat")]
    Run {
        /// Which one; see `list`
        name: String,
        /// A summary for programs on standard output; the story goes to standard error
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// A shell in the director of a fresh lab with three servers, to try things
    #[command(after_help = "Example:\n  ulvs lab shell")]
    Shell {
        #[command(flatten)]
        place: Place,
    },
    /// Measure balancers against each other in one topology
    Bench(BenchArgs),
}

/// Where the namespaces belong.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Place {
    /// Use a user namespace, as is done without asking when not run as root
    #[arg(long)]
    pub(crate) rootless: bool,
}

/// Does what the command line says. `ulvs` is the program under test.
///
/// Call it before any thread is started: the process moves into namespaces of its own.
///
/// # Errors
/// When the command line or the machine does not permit a lab at all. What goes wrong within a scenario is a failed
/// check: it is told, and the exit code is 1.
pub fn main(args: LabArgs, ulvs: &Path) -> anyhow::Result<ExitCode> {
    match args.command {
        LabCommand::List => list(),
        LabCommand::Run { name, json, place } => {
            let Some(scenario) = scenario::ALL.iter().find(|scenario| scenario.name == name) else {
                bail!("there is no scenario {name:?}; `ulvs lab list` shows those there are")
            };
            let state_root = enter(place)?;
            let mut stage = Stage::new(ulvs, state_root, json);
            if let Err(error) = (scenario.run)(&mut stage) {
                stage.check(&format!("{error:#}"), false)?;
            }
            stage.finish(scenario.name)
        }
        LabCommand::Shell { place } => shell(enter(place)?, ulvs),
        LabCommand::Bench(args) => {
            let state_root = enter(args.place())?;
            bench::main(&args, ulvs, state_root)
        }
    }
}

/// Moves this process into its own namespaces; returns where temporary files should go, if they can vanish with it.
fn enter(place: Place) -> anyhow::Result<Option<PathBuf>> {
    let isolation = netns::isolate(place.rootless)?;
    netio::process::raise_open_files().context("cannot raise the limit of open files")?;
    Ok(isolation.private_run.then(|| PathBuf::from("/run")))
}

fn list() -> anyhow::Result<ExitCode> {
    let mut out = io::stdout();
    for scenario in scenario::ALL {
        writeln!(out, "{:<10} {}", scenario.name, scenario.summary)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn shell(state_root: Option<PathBuf>, ulvs: &Path) -> anyhow::Result<ExitCode> {
    let lab = NatLab::new(&NatOptions { servers: 3, state_root, ..NatOptions::default() })?;
    let servers = lab.servers.iter().map(|server| crate::serve::Http::start(server, 80));
    let _servers = servers.collect::<anyhow::Result<Vec<_>>>()?;
    writeln!(
        io::stdout(),
        "{lab}\nThis shell is on the director. Every server has HTTP on port 80. `exit` ends it all."
    )?;
    let program = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let mut command = lab.director.command(program);
    if let (Some(dir), Some(path)) = (ulvs.parent(), std::env::var_os("PATH")) {
        let dirs = std::iter::once(dir.to_owned()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(dirs)?);
    }
    let status = command.status().context("cannot start a shell")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
