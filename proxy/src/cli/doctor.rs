//! `ulvs doctor`.

mod names;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use lab::hint::Hint;
use serde_json::json;

use self::names::{names, not_made};
use self::text::as_text;
use super::source::{ForeignArgs, source};
use super::{StateDir, fail, say};
use crate::doctor::{self, ALL, Check, Report, Severity, Subject};

/// There was nothing to look at.
const NOTHING: u8 = 3;

/// Looks at this host and its services for the classical mistakes of LVS, and says what it saw, why it matters and which
/// command mends it. Changes nothing. It sends a few packets, which it names: ARP requests for servers and VIPs, the first
/// segment of a connection to each server, two pings; a HEAD request to servers of HTTP for the time, a handshake with
/// servers of TLS for their certificate.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct DoctorArgs {
    /// Look at the services of this file, before an engine has them [default: those of the engine that runs]
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["real", "keepalived", "ldirectord"])]
    config: Option<PathBuf>,
    #[command(flatten)]
    foreign: ForeignArgs,
    /// Look at this host as a real server behind direct routing or tunnels
    #[arg(long, conflicts_with_all = ["keepalived", "ldirectord"])]
    real: bool,
    /// Send no packet: what only a packet can find out is not looked at
    #[arg(long)]
    passive: bool,
    /// Only this check, and others of which this is said; with --lab also a laboratory
    #[arg(long, value_name = "NAME", value_parser = Hint(names), hide_possible_values = true)]
    only: Vec<String>,
    /// List the checks, and make none
    #[arg(long)]
    list: bool,
    /// For programs
    #[arg(long)]
    json: bool,
    /// Make each mistake in a laboratory of its own, find it, mend it by the command that is named, and look again
    #[arg(long, conflicts_with_all = ["config", "keepalived", "ldirectord", "real", "passive"])]
    lab: bool,
    /// With --lab: in a user namespace, as is done without asking when not run as root
    #[arg(long, requires = "lab")]
    rootless: bool,
    #[command(flatten)]
    state: StateDir,
}

const AFTER_HELP: &str = "\
Exit codes:
  0  nothing is wrong (there may be notes)
  1  warnings: it works, but not as well as it should, or not for long
  2  faults: some clients are not served
  3  there was nothing to look at, or the laboratory failed
Examples:
  ulvs doctor
  ulvs doctor --config /etc/ulvs.toml --only servers --only mtu
  ulvs doctor --real                       # on a real server
  ulvs doctor --lab --only way-back        # see what that mistake looks like";

pub(super) fn main(args: DoctorArgs) -> ExitCode {
    if args.lab {
        return laboratory(&args);
    }
    if args.list {
        return list(args.json);
    }
    let subject = match source(args.config, args.foreign) {
        Some(source) => Subject::Config(source),
        None if args.real => Subject::Real,
        None => Subject::Running,
    };
    if let Some(text) = args.only.iter().find_map(|name| not_made(name, args.real)) {
        fail(&text);
        return ExitCode::from(NOTHING);
    }
    match doctor::examine(&subject, &args.only, &args.state.state_dir, args.passive) {
        Ok(report) => {
            say(&if args.json { as_json(&report).to_string() } else { as_text(&report) });
            code(&report)
        }
        Err(error) => {
            fail(&error);
            ExitCode::from(NOTHING)
        }
    }
}

fn code(report: &Report) -> ExitCode {
    match report.findings.iter().map(|finding| finding.severity).max() {
        None | Some(Severity::Note) => ExitCode::SUCCESS,
        Some(Severity::Warning) => ExitCode::from(1),
        Some(Severity::Fault) => ExitCode::from(2),
    }
}

fn list(json: bool) -> ExitCode {
    let row = |check: &Check| json!({"name": check.name, "about": check.about, "real": check.real});
    if json {
        say(&json!(ALL.iter().map(row).collect::<Vec<_>>()).to_string());
        return ExitCode::SUCCESS;
    }
    for (title, real) in [("On a director:", false), ("On a real server (--real):", true)] {
        say(title);
        for check in ALL.iter().filter(|check| check.real == real) {
            say(&format!("  {:<14} {}", check.name, check.about));
        }
    }
    ExitCode::SUCCESS
}

fn laboratory(args: &DoctorArgs) -> ExitCode {
    let exe = match std::env::current_exe() {
        Ok(exe) => exe,
        Err(error) => {
            fail(&format!("cannot tell where this program is: {error}"));
            return ExitCode::from(NOTHING);
        }
    };
    let wanted = lab::mistake::Wanted {
        only: args.only.clone(),
        list: args.list,
        json: args.json,
        rootless: args.rootless,
    };
    match lab::mistake::main(&wanted, &exe) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NOTHING),
        Err(error) => {
            fail(&crate::reason::reason(&error));
            ExitCode::from(NOTHING)
        }
    }
}

fn as_json(report: &Report) -> serde_json::Value {
    json!({
        "subject": report.subject,
        "checks": report.checks,
        "asked": report.asked,
        "unseen": report.unseen,
        "findings": report.findings,
    })
}
