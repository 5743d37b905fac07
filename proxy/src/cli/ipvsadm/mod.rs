//! The personality `ipvsadm`, with `ipvsadm-save` and `ipvsadm-restore`: options, output, messages and exit codes of
//! ipvsadm 1.31, spoken to the engine of this network namespace.
//!
//! To add an option: one entry in [`opts`], what it says in [`set`], which commands take it in [`rules`]. A command
//! has a file of its own.
//!
//! Kinder than the original on purpose:
//! - `-R` is one transaction: all of its input or, naming the line, nothing of it;
//! - `-S` loses nothing: thresholds, timeouts, switches without a name and slow start are written where they are not
//!   what they are anyway, in a form that stock restores or, for what it does not have, passes over;
//! - `-r` without a port gets the service's port, and `-M` means what it means to the service's family, wherever they
//!   stand on the line;
//! - `-M 24` for an IPv4 service is refused with the mask that is meant (the original takes it as 0.0.0.24);
//! - services and servers are sorted by address as a number (the original's comparison overflows), marks are never
//!   negative;
//! - `--json`, and `-P`, `-Q`, `-G` with `-z` as DPVS has them for the local addresses of FullNAT.
//!
//! Under `compat = "ipvs"`, `-R` goes line by line and `-M 24` is taken, as the original does.

mod address;
mod autostart;
mod edit;
mod format;
mod help;
mod json;
mod lips;
mod list;
mod opts;
mod parse;
mod popt;
mod request;
pub(super) mod resolve;
mod restore;
mod rules;
mod set;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::process::ExitCode;

use control::api::{
    Applied, ApplyMode, Blocking, ClientError, ConnPage, ConnQuery, ServiceList, SettingsChange, Status,
    Timeouts,
};
use sched::{Op, ServiceSpec};

use edit::Change;
use request::Request;
use resolve::Resolve;
use rules::Command;

/// Runs the personality that `name` stands for; `None` if it is none of ours.
pub(super) fn personality(name: &str, args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let program = match name {
        "ipvsadm" => Program::Ipvsadm,
        "ipvsadm-save" => Program::Save,
        "ipvsadm-restore" => Program::Restore,
        _ => return None,
    };
    Some(start(program, args))
}

/// `ulvs ipvsadm …`, without the first two words.
pub(super) fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    start(Program::Ipvsadm, args)
}

/// What `ipvsadm --help` prints.
pub(super) fn help_text() -> String {
    help::text()
}

/// Whether a command line makes sense, before any engine is asked.
#[cfg(test)]
pub(super) fn understood(args: &[String]) -> Result<(), String> {
    parse::parse(args, &resolve::System::default()).map(drop).map_err(|failure| failure.message)
}

/// What a saved file makes of an empty table.
#[derive(Debug)]
pub(super) struct Saved {
    pub(super) services: Vec<ServiceSpec>,
    /// The local addresses that are everybody's.
    pub(super) lips: Vec<IpAddr>,
    /// Those that it does not set are 0.
    pub(super) timeouts: Timeouts,
}

/// Understands a saved file. The error names the line.
pub(super) fn saved(text: &str) -> Result<Saved, String> {
    restore::table(text, &resolve::System::default()).map_err(|failure| failure.message)
}

fn start(program: Program, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<String> = args.into_iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let mut world = World {
        out: &mut io::BufWriter::new(io::stdout().lock()),
        err: &mut io::stderr().lock(),
        input: &mut io::stdin().lock(),
        names: &resolve::System::default(),
        connect: &mut || Ok(Box::new(autostart::connect()?)),
    };
    execute(program, &args, &mut world).into()
}

/// Which of the three names it was called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Ipvsadm,
    Save,
    Restore,
}

/// What a command may touch.
struct World<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    input: &'a mut dyn Read,
    names: &'a dyn Resolve,
    connect: &'a mut dyn FnMut() -> Result<Box<dyn Engine>, ClientError>,
}

/// The engine, as far as ipvsadm is concerned.
trait Engine {
    fn status(&mut self) -> Result<Status, ClientError>;
    fn services(&mut self) -> Result<ServiceList, ClientError>;
    fn connections(&mut self, query: &ConnQuery) -> Result<ConnPage, ClientError>;
    fn apply(&mut self, mode: ApplyMode, ops: Vec<Op>) -> Result<Applied, ClientError>;
    /// Those that are 0 stay.
    fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), ClientError>;
}

impl Engine for Blocking {
    fn status(&mut self) -> Result<Status, ClientError> {
        Self::status(self)
    }

    fn services(&mut self) -> Result<ServiceList, ClientError> {
        Self::services(self)
    }

    fn connections(&mut self, query: &ConnQuery) -> Result<ConnPage, ClientError> {
        Self::connections(self, query)
    }

    fn apply(&mut self, mode: ApplyMode, ops: Vec<Op>) -> Result<Applied, ClientError> {
        Self::apply(self, mode, ops)
    }

    fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), ClientError> {
        Self::set(self, &SettingsChange { timeouts, ..SettingsChange::default() }).map(drop)
    }
}

/// Why it ends with an exit code other than 0, and what it says on stderr.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// A list command that finds nothing.
    const NOT_LISTED: u8 = 1;
    /// Options that are wrong, or nobody to talk to.
    const OPTIONS: u8 = 2;
    /// Refused by the engine, or not understood by the option parser.
    const REFUSED: u8 = 255;

    fn options(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: Self::OPTIONS }
    }

    fn refused(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: Self::REFUSED }
    }
}

impl From<ClientError> for Failure {
    fn from(e: ClientError) -> Self {
        match e {
            ClientError::NoEngine => Self::options(format!("Can't initialize ipvs: {e}")),
            ClientError::Permission(_) => Self::refused("Permission denied (you must be root)"),
            other => Self::refused(other.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            // Whoever read our output has seen enough.
            io::ErrorKind::BrokenPipe => Self { message: String::new(), code: 1 },
            _ => Self { message: format!("cannot write the output: {e}"), code: 1 },
        }
    }
}

/// Runs a command and returns the exit code.
fn execute(program: Program, args: &[String], world: &mut World<'_>) -> u8 {
    let result = run(program, args, world);
    // What was printed before an error comes before it.
    let flushed = world.out.flush().map_err(Failure::from);
    match result.and(flushed) {
        Ok(()) => 0,
        Err(failure) => {
            complain(world.err, &failure.message);
            failure.code
        }
    }
}

/// A line on stderr. There is nobody to tell if that fails.
fn complain(err: &mut dyn Write, message: &str) {
    if !message.is_empty() {
        let _ = writeln!(err, "{message}");
    }
}

fn run(program: Program, args: &[String], world: &mut World<'_>) -> Result<(), Failure> {
    match program {
        Program::Save => list::save(world, save_options(args)?),
        Program::Restore if args.iter().any(|a| a == "-h" || a == "--help") => Err(Failure {
            message: "ipvsadm-restore takes commands for ipvsadm from stdin in place of the table that there is; all of them or, if one makes no sense, none".to_owned(),
            code: 1,
        }),
        Program::Restore => restore::restore(world, true),
        Program::Ipvsadm => run_request(world, &parse::parse(args, world.names)?),
    }
}

fn run_request(world: &mut World<'_>, request: &Request) -> Result<(), Failure> {
    match request.command {
        Command::Help => Ok(world.out.write_all(help::text().as_bytes())?),
        Command::Version => Ok(writeln!(world.out, "{}", help::VERSION)?),
        Command::List => list::list(world, request),
        Command::ListLips => lips::list(world, request),
        Command::Save => list::save(world, request.numeric()),
        Command::Restore => restore::restore(world, false),
        _ => {
            let change = edit::change(request)?;
            let mut engine = (world.connect)()?;
            if let Some(doubt) = edit::doubt(request)
                && !engine.status()?.compat
            {
                return Err(doubt);
            }
            match change {
                Change::Table(op) => engine.apply(ApplyMode::Atomic, vec![op]).map(drop)?,
                Change::Timeouts(timeouts) => engine.set_timeouts(timeouts)?,
            }
            Ok(())
        }
    }
}

/// `ipvsadm-save [-n]`, as Debian's script takes it: words that are no options are passed over, any other option is
/// help, and that is a failure.
fn save_options(args: &[String]) -> Result<bool, Failure> {
    match args.iter().find(|a| a.starts_with('-') && *a != "-n") {
        None => Ok(args.iter().any(|a| a == "-n")),
        Some(_) => Err(Failure {
            message: "ipvsadm-save [-n] writes the table to stdout as commands for ipvsadm-restore; with -n, addresses and ports as numbers"
                .to_owned(),
            code: 1,
        }),
    }
}

#[cfg(test)]
mod tests;
