//! The personality `iptables`, with `iptables-save` and `iptables-restore`, and the same for `ip6tables`: the dialect in
//! which firewall marks are set, spoken to the mark rules of this network namespace's engine. Options, output, messages
//! and exit codes are those of iptables 1.8.9.
//!
//! Only the chain `PREROUTING` of the table `mangle` has rules, and they only mark. What iptables knows beyond that is
//! refused by name with exit code 2, never ignored. Commands that have nothing to do where there are no rules
//! (`-F` of another table, as in a script that begins afresh) succeed.

mod address;
mod command;
mod error;
mod list;
mod names;
mod options;
mod restore;
mod rule;
mod run;
mod save;
mod spec;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use control::api::{Applied, ApplyMode, Blocking, ClientError, MarkList};
use sched::{Family, Op};

use super::ipvsadm::resolve::{Resolve, System};
use error::Failure;

/// Runs the personality that `name` stands for; `None` if it is none of ours.
pub(super) fn personality(name: &str, args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    Some(main(Program::by_name(name)?, args))
}

/// Runs `program` with what follows its name.
pub(super) fn main(program: Program, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<String> = args.into_iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let mut world = World {
        out: &mut io::BufWriter::new(io::stdout().lock()),
        err: &mut io::stderr().lock(),
        input: &mut io::stdin().lock(),
        names: &System::default(),
        connect: &mut || Ok(Box::new(Blocking::connect()?)),
        now: SystemTime::now(),
    };
    execute(program, &args, &mut world).into()
}

/// What the program prints for `--help`.
pub(super) fn help_text(program: Program) -> String {
    match program.tool {
        Tool::Edit => run::help(program),
        Tool::Save => save::help(program),
        Tool::Restore => restore::help(program),
    }
}

/// Whether a command line makes sense, before any engine is asked.
#[cfg(test)]
pub(super) fn understood(program: Program, args: &[String]) -> Result<(), String> {
    if program.tool != Tool::Edit {
        return Ok(());
    }
    let line = command::parse(args, program.family, &System::default());
    line.map(drop).map_err(|failure| failure.text(program))
}

/// Which of the names it was called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Program {
    family: Family,
    tool: Tool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Edit,
    Save,
    Restore,
}

impl Program {
    pub(super) const IPTABLES: Self = Self { family: Family::Ipv4, tool: Tool::Edit };
    pub(super) const IPTABLES_SAVE: Self = Self { family: Family::Ipv4, tool: Tool::Save };
    pub(super) const IPTABLES_RESTORE: Self = Self { family: Family::Ipv4, tool: Tool::Restore };
    pub(super) const IP6TABLES: Self = Self { family: Family::Ipv6, tool: Tool::Edit };
    pub(super) const IP6TABLES_SAVE: Self = Self { family: Family::Ipv6, tool: Tool::Save };
    pub(super) const IP6TABLES_RESTORE: Self = Self { family: Family::Ipv6, tool: Tool::Restore };

    pub(super) const ALL: [Self; 6] = [
        Self::IPTABLES,
        Self::IPTABLES_SAVE,
        Self::IPTABLES_RESTORE,
        Self::IP6TABLES,
        Self::IP6TABLES_SAVE,
        Self::IP6TABLES_RESTORE,
    ];

    pub(super) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|program| program.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match (self.family, self.tool) {
            (Family::Ipv4, Tool::Edit) => "iptables",
            (Family::Ipv4, Tool::Save) => "iptables-save",
            (Family::Ipv4, Tool::Restore) => "iptables-restore",
            (Family::Ipv6, Tool::Edit) => "ip6tables",
            (Family::Ipv6, Tool::Save) => "ip6tables-save",
            (Family::Ipv6, Tool::Restore) => "ip6tables-restore",
        }
    }

    /// What scripts look for when they ask for the version: the one that this personality follows.
    fn version(self) -> String {
        format!("{} v1.8.9 (nf_tables)", self.name())
    }
}

/// What a command may touch.
struct World<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    input: &'a mut dyn Read,
    names: &'a dyn Resolve,
    connect: &'a mut dyn FnMut() -> Result<Box<dyn Engine>, ClientError>,
    now: SystemTime,
}

/// The engine, as far as iptables is concerned.
trait Engine {
    fn marks(&mut self) -> Result<MarkList, ClientError>;
    fn apply(&mut self, ops: Vec<Op>) -> Result<Applied, ClientError>;
}

impl Engine for Blocking {
    fn marks(&mut self) -> Result<MarkList, ClientError> {
        Self::marks(self)
    }

    fn apply(&mut self, ops: Vec<Op>) -> Result<Applied, ClientError> {
        Self::apply(self, ApplyMode::Atomic, ops)
    }
}

/// Runs a command and returns the exit code.
fn execute(program: Program, args: &[String], world: &mut World<'_>) -> u8 {
    let result = match program.tool {
        Tool::Edit => run::run(program, args, world),
        Tool::Save => save::save(program, args, world),
        Tool::Restore => restore::restore(program, args, world),
    };
    // What was printed before an error comes before it.
    let flushed = world.out.flush().map_err(Failure::from);
    match result.and(flushed) {
        Ok(()) => 0,
        Err(failure) => {
            // There is nobody to tell if that fails.
            let _ = world.err.write_all(failure.text(program).as_bytes());
            failure.code()
        }
    }
}

#[cfg(test)]
mod tests;
