//! `-R` as stock ipvsadm has it: what comes before a line that makes no sense has been done; what the engine refuses is
//! reported, and it goes on. The exit code is that of the last line.

use control::api::ApplyMode;
use sched::Op;

use super::super::edit::{self, Change};
use super::super::rules::Command;
use super::super::{Failure, World, complain, parse, run_request};
use super::Line;

/// Restores all of `text`. With `clear` as the script `ipvsadm-restore` does it: comments are left out and the table
/// is emptied first.
pub(super) fn restore(world: &mut World<'_>, text: &str, clear: bool) -> Result<(), Failure> {
    let mut pending: Vec<Op> = clear.then_some(Op::Flush).into_iter().collect();
    let mut last = Ok(());
    for (text, number) in text.lines().zip(1..) {
        if clear && text.starts_with('#') {
            continue;
        }
        let words = Line { number, text }.words();
        if words.is_empty() {
            continue;
        }
        let request = match parse::parse(&words, world.names) {
            Ok(request) if request.command != Command::Restore => request,
            parsed => {
                apply(world, &mut pending)?;
                let failure = parsed.err().unwrap_or_else(parse::try_help);
                // An option that nobody knows costs its line, anything else the rest.
                if failure.code != Failure::REFUSED || failure == parse::try_help() {
                    return Err(failure);
                }
                complain(world.err, &failure.message);
                last = Err(Failure::refused(""));
                continue;
            }
        };
        match edit::change(&request) {
            Ok(Change::Table(op)) => {
                pending.push(op);
                last = Ok(());
                continue;
            }
            _ if matches!(request.command, Command::Help | Command::Version) => {
                apply(world, &mut pending)?;
                return run_request(world, &request);
            }
            _ => {
                apply(world, &mut pending)?;
                last = run_request(world, &request);
            }
        }
        if let Err(failure) = &mut last {
            complain(world.err, &std::mem::take(&mut failure.message));
        }
    }
    let refused = apply(world, &mut pending)?;
    last.and_then(|()| if refused { Err(Failure::refused("")) } else { Ok(()) })
}

/// Applies what has come together, and says whether the last of it was refused.
fn apply(world: &mut World<'_>, pending: &mut Vec<Op>) -> Result<bool, Failure> {
    let Some(last) = pending.len().checked_sub(1) else { return Ok(false) };
    let failures = (world.connect)()?.apply(ApplyMode::KeepGoing, std::mem::take(pending))?.failures;
    for failure in &failures {
        complain(world.err, &failure.error.to_string());
    }
    Ok(failures.last().is_some_and(|failure| failure.index == last))
}
