//! `-R`: commands from stdin, one a line, applied as one swap of the table.
//!
//! A line that makes no sense refuses the whole input before anything is applied. An edit that the engine refuses is
//! reported and skipped, as the original does; the exit code is that of the last one.

use control::api::{ApplyMode, OpFailure};
use sched::Op;

use super::resolve::Resolve;
use super::{Failure, World, complain, edit, parse};

/// Restores all of stdin, after removing everything if `clear`.
pub(super) fn restore(world: &mut World<'_>, clear: bool) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    world
        .input
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::options(format!("cannot read the input: {e}")))?;
    let lines = read(&String::from_utf8_lossy(&bytes), world.names)?;
    let numbers: Vec<usize> = lines.iter().map(|(number, _)| *number).collect();
    let flush = clear.then_some(Op::Flush);
    let ops: Vec<Op> = flush.into_iter().chain(lines.into_iter().map(|(_, op)| op)).collect();
    let Some(last) = ops.len().checked_sub(1) else { return Ok(()) };
    let failures = (world.connect)()?.apply(ApplyMode::KeepGoing, ops)?.failures;
    for OpFailure { index, error } in &failures {
        // Flushing, which has no line, never fails.
        let number =
            index.checked_sub(usize::from(clear)).and_then(|i| numbers.get(i)).copied().unwrap_or_default();
        complain(world.err, &format!("line {number}: {error}"));
    }
    match failures.last() {
        Some(failure) if failure.index == last => Err(Failure::refused("")),
        _ => Ok(()),
    }
}

/// The edits with their lines, counted from 1. Blank lines, lines that begin with `#` and a leading word `ipvsadm` are
/// passed over.
fn read(text: &str, names: &dyn Resolve) -> Result<Vec<(usize, Op)>, Failure> {
    let mut edits = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let mut words: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
        if words.first().is_some_and(|w| w == "ipvsadm") {
            words.remove(0);
        }
        if words.is_empty() || line.starts_with('#') {
            continue;
        }
        let op = op(&words, names).map_err(|e| {
            let message = e.message.trim_end();
            Failure::options(format!("line {number}: {message} (nothing was restored)"))
        })?;
        edits.push((number, op));
    }
    Ok(edits)
}

fn op(words: &[String], names: &dyn Resolve) -> Result<Op, Failure> {
    match words {
        [first, ..] if !first.starts_with('-') => {
            Err(Failure::options(format!("`{first}' is not a command")))
        }
        _ => edit::op(&parse::parse(words, names)?),
    }
}
