//! The command line: `ulvs …`, and the personalities `ipvsadm`, `iptables` and `ip6tables`, each also with `-save` and
//! `-restore`.

mod ca;
mod completions;
mod doctor;
mod drain;
mod drops;
mod engine;
#[cfg(test)]
mod examples;
mod explain;
mod health;
mod help;
mod import;
mod iptables;
mod ipvsadm;
mod man;
mod mark;
mod missing;
mod real;
mod rules;
mod run;
mod server;
mod service;
mod source;
mod status;
mod sysctl;
mod text;
mod tls;
mod top;
mod trace;
mod when;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use control::nearest::meant;
use netio::process::Readiness;

use crate::reason::reason;
use iptables::Program;

/// LVS in user space: a layer-4 load balancer that needs no kernel module.
#[derive(Debug, Parser)]
#[command(name = "ulvs", version, max_term_width = 100, disable_help_subcommand = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples, as root: a first service,
  ulvs run --detach
  ulvs ipvsadm -A -t 10.0.0.1:80 -s wrr
  ulvs ipvsadm -a -t 10.0.0.1:80 -r 192.168.1.2:80 -m -w 3
  ulvs ipvsadm -Ln
one service of two ports, by a firewall mark,
  ulvs iptables -t mangle -A PREROUTING -d 10.0.0.1 -p tcp \\
      -m multiport --dports 80,443 -j MARK --set-mark 3
  ulvs ipvsadm -A -f 3 -s sh
and what is there to understand, or to practise on:
  ulvs help
  ulvs lab shell
Called as ipvsadm, ipvsadm-save or ipvsadm-restore, or by the names of iptables (a symbolic link will do), it is that \
program.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the engine of this network namespace
    Run(run::RunArgs),
    /// Check a configuration file and say what is wrong with it, and where
    Check(run::CheckArgs),
    /// Print ulvs.toml for a configuration of keepalived or ldirectord
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Show what the engine of this network namespace is doing
    #[command(after_help = "Examples:\n  ulvs status\n  ulvs status --json")]
    Status {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Watch services and servers: rates, connections, state, drops
    Top(top::TopArgs),
    /// Stop the engine and put the host back as it was
    #[command(after_help = "Example:\n  ulvs stop")]
    Stop,
    /// Make the engine read its configuration file again (as SIGHUP does)
    #[command(after_help = "Example:\n  ulvs reload")]
    Reload,
    /// Undo what an engine that was killed has left behind
    #[command(after_help = "Example:\n  ulvs clean")]
    Clean {
        #[command(flatten)]
        state: StateDir,
    },
    /// Look for the classical mistakes: say what was seen, why it matters and which command mends it
    Doctor(doctor::DoctorArgs),
    /// Take a server out of service without breaking what it serves
    Drain(drain::DrainArgs),
    /// Show how servers are: alive or dead, since when and why
    Health(health::HealthArgs),
    /// Tell of servers that die and come back, as it happens
    Events(health::EventsArgs),
    /// Take a server out of use by hand, or have it used, whatever its checks say
    #[command(subcommand)]
    Server(server::ServerCommand),
    /// Say what would become of a packet, and why
    Explain(explain::ExplainArgs),
    /// Tell of packets as they come
    Trace(trace::TraceArgs),
    /// Write packets to a file, before and after, with the verdict as a comment
    Capture(trace::CaptureArgs),
    /// Show why packets have been dropped: how many, an example, and what is usually behind it
    #[command(after_help = "Example:\n  ulvs drops")]
    Drops {
        /// Also the reasons for which none has been
        #[arg(long)]
        all: bool,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Read or set the sysctls of IPVS, net.ipv4.vs.*, and our own (`ulvs sysctl --help` lists them)
    Sysctl(sysctl::SysctlArgs),
    /// Services and servers, in the words of ipvsadm (`ulvs ipvsadm --help`)
    #[command(disable_help_flag = true)]
    Ipvsadm(Words),
    /// Make this host a real server that direct routing and tunnels reach, or show or undo that
    #[command(subcommand)]
    Real(real::RealCommand),
    /// Rules that give packets a firewall mark, which a service can be made of
    Mark(mark::MarkArgs),
    /// Firewall marks, in the words of iptables (`ulvs iptables --help`)
    #[command(disable_help_flag = true)]
    Iptables(Words),
    /// Print the mark rules as iptables-save does
    #[command(disable_help_flag = true)]
    IptablesSave(Words),
    /// Read mark rules as iptables-restore does
    #[command(disable_help_flag = true)]
    IptablesRestore(Words),
    /// The same for IPv6
    #[command(name = "ip6tables", disable_help_flag = true)]
    Ip6tables(Words),
    /// The same for IPv6
    #[command(name = "ip6tables-save", disable_help_flag = true)]
    Ip6tablesSave(Words),
    /// The same for IPv6
    #[command(name = "ip6tables-restore", disable_help_flag = true)]
    Ip6tablesRestore(Words),
    /// Have TLS end here, so that servers get plain HTTP
    Tls(tls::TlsArgs),
    /// A certificate authority for laboratories and first deployments
    #[command(subcommand)]
    Ca(ca::CaCommand),
    /// Explain a topic, or a command
    Help(help::HelpArgs),
    /// Write manual pages, made from these same texts
    Man(man::ManArgs),
    /// Print what a shell needs to complete command lines of ulvs
    Completions(completions::CompletionsArgs),
    /// Laboratories of network namespaces: real packets, nothing left behind
    Lab(lab::cli::LabArgs),
}

/// The command line of another program.
#[derive(Debug, clap::Args)]
struct Words {
    /// What that program would be given
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    args: Vec<OsString>,
}

/// Where originals of changed settings are kept.
#[derive(Clone, Debug, clap::Args)]
struct StateDir {
    /// Where to note what has to be put back
    #[arg(long, env = "ULVS_STATE_DIR", default_value = "/run/ulvs", value_name = "DIR")]
    state_dir: PathBuf,
}

/// Parses the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let argv0 = args.next().unwrap_or_default();
    let name = Path::new(&argv0).file_name().and_then(|n| n.to_str()).unwrap_or("ulvs");
    let args: Vec<_> = args.collect();
    if let Some(code) =
        ipvsadm::personality(name, args.iter().cloned()).or_else(|| iptables::personality(name, args))
    {
        return code;
    }
    match Cli::parse().command {
        Command::Run(args) => run::main(args),
        Command::Check(args) => run::check(args),
        Command::Import(command) => import::main(command),
        Command::Status { json } => status::main(json),
        Command::Top(args) => top::main(&args),
        Command::Stop => engine::stop(),
        Command::Reload => engine::reload(),
        Command::Clean { state } => engine::clean(&state.state_dir),
        Command::Doctor(args) => doctor::main(args),
        Command::Drain(args) => drain::main(&args),
        Command::Health(args) => health::health(&args),
        Command::Events(args) => health::events(&args),
        Command::Server(command) => server::main(&command),
        Command::Explain(args) => explain::main(&args),
        Command::Trace(args) => trace::trace(&args),
        Command::Capture(args) => trace::capture(&args),
        Command::Drops { all, json } => drops::main(json, all),
        Command::Sysctl(args) => sysctl::main(&args),
        Command::Ipvsadm(Words { args }) => ipvsadm::main(args),
        Command::Mark(args) => mark::main(args),
        Command::Real(command) => real::main(command),
        Command::Iptables(Words { args }) => iptables::main(Program::IPTABLES, args),
        Command::IptablesSave(Words { args }) => iptables::main(Program::IPTABLES_SAVE, args),
        Command::IptablesRestore(Words { args }) => iptables::main(Program::IPTABLES_RESTORE, args),
        Command::Ip6tables(Words { args }) => iptables::main(Program::IP6TABLES, args),
        Command::Ip6tablesSave(Words { args }) => iptables::main(Program::IP6TABLES_SAVE, args),
        Command::Ip6tablesRestore(Words { args }) => iptables::main(Program::IP6TABLES_RESTORE, args),
        Command::Tls(args) => tls::main(args),
        Command::Ca(command) => ca::main(command),
        Command::Help(args) => help::main(&args),
        Command::Man(args) => man::main(&args),
        Command::Completions(args) => completions::main(&args),
        Command::Lab(args) => lab(args),
    }
}

fn lab(args: lab::cli::LabArgs) -> ExitCode {
    let exe = match std::env::current_exe() {
        Ok(exe) => exe,
        Err(error) => return fail(&format!("cannot tell where this program is: {error}")),
    };
    let meant = |typed: &str, names: &[&'static str]| meant(typed, names.iter().copied());
    lab::cli::main(args, &exe, ::tls::provider(), meant).unwrap_or_else(|error| fail(&reason(&error)))
}

/// What this process owes to the one that has started it in the background, if one has.
fn detached() -> Option<Readiness> {
    let readiness = Readiness::from_env();
    if readiness.is_some() {
        // It was started as /proc/self/exe, and `ps` would call it `exe`. Only a convenience.
        let _ = std::fs::write("/proc/self/comm", env!("CARGO_BIN_NAME"));
    }
    readiness
}

/// On stderr, exit code 1. A line gets the program's name; a report of several begins with the place, for editors.
#[expect(clippy::print_stderr, reason = "this is where errors reach the user")]
fn fail(text: &str) -> ExitCode {
    if text.contains('\n') {
        eprintln!("{text}");
    } else {
        eprintln!("ulvs: {text}");
    }
    ExitCode::FAILURE
}

/// What the user should know besides, on stderr: stdout has what was asked for.
#[expect(clippy::print_stderr, reason = "this is where remarks reach the user")]
fn note(text: &str) {
    eprintln!("ulvs: note: {}", text::printable(text));
}

/// A line for the user. A reader that has gone away is no error of ours.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}
