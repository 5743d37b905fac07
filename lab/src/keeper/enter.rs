//! Going into a lab that is up.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::Context as _;
use netio::netns;

use super::labs::Labs;

/// How one says which lab is meant.
const WHICH: &str = "--lab NAME";

/// Runs a command on a machine; its exit code is ours, and as a shell has it: 128 and more after a signal, 127 where there is
/// no such program, 126 where it cannot be run.
pub(crate) fn exec(lab: Option<&str>, machine: &str, argv: &[OsString]) -> anyhow::Result<ExitCode> {
    let (program, args) = argv.split_first().context("there is no command to run")?;
    let card = Labs::open()?.find(lab, WHICH)?;
    let machine = card.machine(machine)?;
    netns::join(card.pid, machine.descriptors)
        .with_context(|| format!("cannot go into {} of the lab {}", machine.name, card.name))?;
    let mut command = Command::new(program);
    command.args(args).envs(&machine.env).current_dir("/root");
    netns::die_with_parent(&mut command);
    let (code, why) = match command.status() {
        Ok(status) => return Ok(code(status)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (127, "no such command here".to_owned()),
        Err(error) => (126, format!("cannot be run: {error}")),
    };
    writeln!(io::stderr(), "ulvs: {}: {}: {why}", machine.name, program.display())?;
    Ok(ExitCode::from(code))
}

/// The user's own shell on a machine, or on the one where one usually wants to be. Nothing if no lab is up.
pub(crate) fn shell(lab: Option<&str>, machine: Option<&str>) -> anyhow::Result<Option<ExitCode>> {
    let labs = Labs::open()?;
    if lab.is_none() && labs.all()?.0.is_empty() {
        return Ok(None);
    }
    let card = labs.find(lab, WHICH)?;
    let machine = machine.unwrap_or_else(|| card.usual_machine());
    exec(Some(&card.name), machine, &[program()]).map(Some)
}

/// The user's shell.
pub(crate) fn program() -> OsString {
    std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into())
}

/// As shells have it.
pub(crate) fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
