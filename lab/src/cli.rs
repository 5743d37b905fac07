//! `ulvs lab ...`.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use netio::netns;
use rustls::crypto::CryptoProvider;
use serde_json::json;

use crate::bench::{self, BenchArgs};
use crate::hint::Hint;
use crate::httpd::{self, HttpdCommand};
use crate::keeper::{self, Order};
use crate::outside::Outside;
use crate::play::{self, Manner};
use crate::scenario::{self, Scenario};
use crate::standing::Terms;

/// Laboratories made of network namespaces: real packets, and nothing left behind, however they end.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct LabArgs {
    #[command(subcommand)]
    command: LabCommand,
}

const AFTER_HELP: &str = "\
Examples:
Watch the lecture, step by step:
  ulvs lab run lecture --pause
Practise in its machines:
  ulvs lab up lecture
  ulvs lab shell director
  ulvs lab exec client -- ping -c 1 director
  ulvs lab down
In the machines ipvsadm, iptables and the others of their names are ulvs; each has an /etc and a /root of \
its own; `systemctl start httpd`, `httpd -t` and `scp` are the lab's.";

#[derive(Debug, Subcommand)]
enum LabCommand {
    /// List the scenarios
    #[command(after_help = "Example:\n  ulvs lab list")]
    List {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Play a scenario: what is typed, what comes back, what it means
    #[command(after_help = "Example:\n  ulvs lab run lecture --pause")]
    Run(RunArgs),
    /// Put up a scenario's machines and leave them standing, to practise
    #[command(after_help = "Example:\n  ulvs lab up lecture")]
    Up(UpArgs),
    /// Run a command on a machine of a lab that is up
    #[command(after_help = "Example:\n  ulvs lab exec client -- ping -c 1 director")]
    Exec {
        #[command(flatten)]
        which: WhichLab,
        /// The machine
        #[arg(value_parser = HOST, hide_possible_values = true)]
        host: String,
        /// The command, after `--`
        #[arg(last = true, required = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// A shell on a machine of a lab that is up; if none is, in a fresh one of `nat` that ends with the shell
    #[command(after_help = "Example:\n  ulvs lab shell director")]
    Shell {
        #[command(flatten)]
        which: WhichLab,
        /// The machine [default: the director]
        #[arg(value_parser = HOST, hide_possible_values = true)]
        host: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Show which labs are up, and clear away what killed ones have left
    #[command(after_help = "Example:\n  ulvs lab status")]
    Status {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// End a lab with all that runs in it
    #[command(after_help = "Example:\n  ulvs lab down lecture")]
    Down {
        /// Which one, where several are up
        #[arg(value_parser = SCENARIO, hide_possible_values = true)]
        name: Option<String>,
        /// All of them
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
    /// Measure balancers against each other in one topology
    Bench(BenchArgs),
    /// What `up` has running in the background
    #[command(hide = true)]
    Keep(UpArgs),
    /// The web server of a lab's machine
    #[command(hide = true, subcommand)]
    Httpd(HttpdCommand),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Which one; see `list`
    #[arg(value_parser = SCENARIO, hide_possible_values = true)]
    name: String,
    /// Wait for Enter between steps
    #[arg(long)]
    pause: bool,
    /// Take so many minutes in all, for people to follow
    #[arg(long, value_name = "MINUTES", default_value_t = 0.0, hide_default_value = true)]
    minutes: f64,
    /// For programs: a JSON object on a line for the scenario, each step and the end
    #[arg(long, conflicts_with = "pause")]
    json: bool,
    #[command(flatten)]
    build: BuildArgs,
}

#[derive(Debug, Args)]
struct UpArgs {
    /// Which one; see `list`
    #[arg(value_parser = SCENARIO, hide_possible_values = true)]
    name: String,
    /// What it is called, to have several at once [default: the scenario's name]
    #[arg(long = "as", value_name = "NAME")]
    own_name: Option<String>,
    #[command(flatten)]
    build: BuildArgs,
}

#[derive(Debug, Args)]
struct BuildArgs {
    /// Web servers are nginx instead of the embedded one
    #[arg(long)]
    real: bool,
    /// Keep a capture of every link in this directory, for Wireshark
    #[arg(long, value_name = "DIR")]
    pcap: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct WhichLab {
    /// The lab, where several are up
    #[arg(long, value_name = "NAME", value_parser = SCENARIO, hide_possible_values = true)]
    lab: Option<String>,
}

/// Where the namespaces belong.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Place {
    /// Use a user namespace, as is done without asking when not run as root
    #[arg(long)]
    pub(crate) rootless: bool,
}

/// A lab that is up has its scenario's name, unless somebody has given it another.
const SCENARIO: Hint = Hint(|| scenario::ALL.iter().map(|scenario| scenario.name).collect());

/// Machines of any lab: which of them there are is known where it is up.
const HOST: Hint = Hint(|| HOSTS.to_vec());

/// The names of all machines that a scenario has.
pub const HOSTS: &[&str] = &[
    "director",
    "client",
    "server1",
    "server2",
    "server3",
    "server4",
    "rs1",
    "rs2",
    "edge",
    "router",
    "router1",
    "container",
];

/// What is said of a name that is none of those there are.
pub type Meant = fn(&str, &[&'static str]) -> String;

/// Does what the command line says. `ulvs` is the program under test, `provider` the cryptography of the servers of a lab.
///
/// Call it before any thread is started: the process moves into namespaces of its own.
///
/// # Errors
/// When the command line or the machine does not permit a lab at all. What goes wrong within a scenario is a failed
/// check: it is told, and the exit code is 1.
pub fn main(
    args: LabArgs,
    ulvs: &Path,
    provider: Arc<CryptoProvider>,
    meant: Meant,
) -> anyhow::Result<ExitCode> {
    match args.command {
        LabCommand::List { json } => list(json),
        LabCommand::Run(args) => run(args, ulvs, meant),
        LabCommand::Up(args) => keeper::up(&args.order(meant)?, args.build.real, args.build.place),
        LabCommand::Keep(args) => keeper::keep(&args.order(meant)?, ulvs, args.build.real, args.build.place),
        LabCommand::Exec { which, host, command } => keeper::exec(which.lab.as_deref(), &host, &command),
        LabCommand::Shell { which, host, place } => {
            match keeper::shell(which.lab.as_deref(), host.as_deref())? {
                Some(code) => Ok(code),
                None => fresh(host.as_deref().unwrap_or("director"), place, ulvs, meant),
            }
        }
        LabCommand::Status { json } => keeper::status(json),
        LabCommand::Down { name, all } => keeper::down(name.as_deref(), all),
        LabCommand::Bench(args) => {
            let (state_root, _) = enter(args.place())?;
            bench::main(&args, ulvs, state_root)
        }
        LabCommand::Httpd(command) => httpd::main(command, provider),
    }
}

impl UpArgs {
    fn order(&self, meant: Meant) -> anyhow::Result<Order<'static>> {
        let scenario = find(&self.name, meant)?;
        let name = self.own_name.clone().unwrap_or_else(|| scenario.name.to_owned());
        let pcap = self.build.pcap.as_deref().map(Outside::open).transpose()?;
        Ok(Order { scenario, name, pcap })
    }
}

/// Moves this process into its own namespaces; returns where temporary files should go, if they can vanish with it, and
/// the process's number outside.
pub(crate) fn enter(place: Place) -> anyhow::Result<(Option<PathBuf>, u32)> {
    let isolation = netns::isolate(place.rootless)?;
    netio::process::raise_open_files().context("cannot raise the limit of open files")?;
    Ok((isolation.private_run.then(|| PathBuf::from("/run")), isolation.outer_pid))
}

fn find(name: &str, meant: Meant) -> anyhow::Result<&'static Scenario> {
    match scenario::ALL.iter().find(|scenario| scenario.name == name) {
        Some(scenario) => Ok(scenario),
        None => {
            let near = meant(name, &(SCENARIO.0)());
            bail!("there is no scenario `{name}`{near} (`ulvs lab list` lists them)")
        }
    }
}

fn list(as_json: bool) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout();
    if as_json {
        let all = scenario::ALL.iter();
        let all: Vec<_> =
            all.map(|it| json!({ "name": it.name, "summary": it.summary, "needs": it.needs })).collect();
        writeln!(out, "{:#}", json!({ "scenarios": all }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for scenario in scenario::ALL {
        writeln!(out, "{:<13} {}", scenario.name, scenario.summary)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn run(args: RunArgs, ulvs: &Path, meant: Meant) -> anyhow::Result<ExitCode> {
    let scenario = find(&args.name, meant)?;
    let pcap = args.build.pcap.as_deref().map(Outside::open).transpose()?;
    let (root, _) = enter(args.build.place)?;
    let terms = Terms { ulvs: ulvs.to_owned(), root, real: args.build.real };
    let manner = Manner { pause: args.pause, minutes: args.minutes, json: args.json, pcap };
    play::run(scenario, &terms, &manner)
}

/// A lab that ends with the shell.
fn fresh(host: &str, place: Place, ulvs: &Path, meant: Meant) -> anyhow::Result<ExitCode> {
    let (root, _) = enter(place)?;
    let scenario = find("nat", meant)?;
    let standing = scenario.stand(&Terms { ulvs: ulvs.to_owned(), root, real: false })?;
    let node = standing.machine(host)?;
    writeln!(
        io::stdout(),
        "{}\nNo lab is up, so this one is fresh: every server has HTTP on port 80. `exit` ends it all.",
        standing.topology()
    )?;
    let status = node.command(keeper::program()).status().context("cannot start a shell")?;
    Ok(keeper::code(status))
}
