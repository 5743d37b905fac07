//! `-R`: commands from stdin, one a line.
//!
//! It is one transaction: if a line makes no sense or the engine refuses it, that line is named and nothing has
//! happened. Under `compat = "ipvs"` it goes line by line as the original does ([`by_line`]).

mod by_line;

use control::api::{ApplyMode, ClientError, Timeouts};
use sched::{Op, OpError, ServiceTable, Trash};

use super::edit::{self, Change};
use super::resolve::Resolve;
use super::{Engine, Failure, Saved, World, parse};

/// Restores all of stdin, after removing everything if `clear`.
pub(super) fn restore(world: &mut World<'_>, clear: bool) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    world
        .input
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::options(format!("cannot read the input: {e}")))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut engine = (world.connect)()?;
    if engine.status()?.compat {
        return by_line::restore(world, &text, clear);
    }
    transaction(engine.as_mut(), &text, clear, world.names)
}

/// What the lines of a saved file make of an empty table. Needs no engine.
pub(super) fn table(text: &str, names: &dyn Resolve) -> Result<Saved, Failure> {
    let rules = read(text, names)?;
    let table = ServiceTable::default().apply(&mut Trash::default(), &rules.ops);
    let table = table.map_err(|(index, error)| rules.refused(index, error))?;
    Ok(Saved {
        services: table.services().map(|service| service.spec()).collect(),
        lips: table.shared_lips().collect(),
        timeouts: rules.timeouts,
    })
}

fn transaction(engine: &mut dyn Engine, text: &str, clear: bool, names: &dyn Resolve) -> Result<(), Failure> {
    let mut rules = read(text, names)?;
    if clear {
        rules.ops.insert(0, Op::Flush);
        rules.origins.insert(0, Line { number: 0, text: "" });
    }
    if !rules.ops.is_empty() {
        let ops = std::mem::take(&mut rules.ops);
        engine.apply(ApplyMode::Atomic, ops).map_err(|e| match e {
            ClientError::Refused { index, error } => rules.refused(index, error),
            other => other.into(),
        })?;
    }
    if rules.timeouts != Timeouts::KEEP {
        engine.set_timeouts(rules.timeouts)?;
    }
    Ok(())
}

/// What a whole input changes.
struct Rules<'a> {
    ops: Vec<Op>,
    /// Which line each of them comes from.
    origins: Vec<Line<'a>>,
    timeouts: Timeouts,
}

impl Rules<'_> {
    fn refused(&self, index: usize, error: OpError) -> Failure {
        let failure = Failure::refused(error.to_string());
        match self.origins.get(index) {
            Some(line) => line.blame(&failure),
            None => failure,
        }
    }
}

fn read<'a>(text: &'a str, names: &dyn Resolve) -> Result<Rules<'a>, Failure> {
    let mut rules = Rules { ops: Vec::new(), origins: Vec::new(), timeouts: Timeouts::KEEP };
    for line in lines(text) {
        match change(&line, names).map_err(|e| line.blame(&e))? {
            Change::Timeouts(new) => later(&mut rules.timeouts, new),
            Change::Table(op) => {
                rules.ops.push(op);
                rules.origins.push(line);
            }
        }
    }
    Ok(rules)
}

/// A later `--set` leaves those alone that it says 0 for.
fn later(timeouts: &mut Timeouts, new: Timeouts) {
    let pick = |old, new| if new == 0 { old } else { new };
    *timeouts = Timeouts {
        tcp: pick(timeouts.tcp, new.tcp),
        tcp_fin: pick(timeouts.tcp_fin, new.tcp_fin),
        udp: pick(timeouts.udp, new.udp),
    };
}

fn change(line: &Line<'_>, names: &dyn Resolve) -> Result<Change, Failure> {
    if let Some(front) = control::save::front(line.text) {
        return front.map(Change::Table).map_err(Failure::options);
    }
    let words = line.words();
    match words.first() {
        Some(first) if !first.starts_with('-') => {
            Err(Failure::options(format!("`{first}' is not a command")))
        }
        _ => {
            let request = parse::parse(&words, names)?;
            edit::doubt(&request).map_or_else(|| edit::change(&request), Err)
        }
    }
}

/// A command of the input.
#[derive(Clone, Copy)]
struct Line<'a> {
    /// From 1.
    number: usize,
    text: &'a str,
}

impl Line<'_> {
    /// Its words without the program's name, however often that is there.
    fn words(&self) -> Vec<String> {
        let words = self.text.split_ascii_whitespace().skip_while(|word| *word == "ipvsadm");
        words.map(str::to_owned).collect()
    }

    fn blame(&self, failure: &Failure) -> Failure {
        let message = format!(
            "line {}: {}: {} (nothing was restored)",
            self.number,
            self.text.trim(),
            failure.message.trim_end()
        );
        Failure { message, code: failure.code }
    }
}

/// The commands. What stock ipvsadm cannot say is behind `#ulvs`: its scripts pass comments over.
fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let commands = text.lines().zip(1..).map(|(text, number)| {
        let text = text.strip_prefix(control::save::OURS).unwrap_or(text);
        Line { number, text }
    });
    commands.filter(|line| !line.text.starts_with('#') && !line.words().is_empty())
}
