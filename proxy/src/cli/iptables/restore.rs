//! `iptables-restore`: what `iptables-save` has written, as one change: all of it, or nothing.

use sched::Op;
use sched::marks::MarkCounts;

use super::command::{Command, parse};
use super::error::Failure;
use super::{Program, World, run};

struct Settings {
    counters: bool,
    flush: bool,
    test: bool,
    table: Option<String>,
    file: Option<String>,
}

pub(super) fn restore(program: Program, args: &[String], world: &mut World<'_>) -> Result<(), Failure> {
    let Some(settings) = settings(program, args, world)? else { return Ok(()) };
    let mut text = String::new();
    match &settings.file {
        Some(path) => {
            text = std::fs::read_to_string(path).map_err(|e| {
                let cause = e.to_string();
                let cause = cause.split(" (os error").next().unwrap_or_default().to_owned();
                Failure::Plain(format!("Can't open {path}: {cause}"))
            })?;
        }
        None => drop(world.input.read_to_string(&mut text)?),
    }
    let ops = read(program, &text, &settings, world)?;
    if !ops.is_empty() && !settings.test {
        (world.connect)()?.apply(ops.iter().map(|(_, op)| op.clone()).collect()).map_err(|e| {
            let line = match &e {
                control::api::ClientError::Refused { index, .. } => {
                    ops.get(*index).map_or(0, |(line, _)| *line)
                }
                _ => return Failure::from(e),
            };
            Failure::AtLine(line, Box::new(Failure::no_chain()))
        })?;
    }
    Ok(())
}

/// The edits, each with the line that it comes from.
fn read(
    program: Program,
    text: &str,
    settings: &Settings,
    world: &World<'_>,
) -> Result<Vec<(usize, Op)>, Failure> {
    let mut ops = Vec::new();
    let mut table: Option<&str> = None;
    for (i, line) in text.lines().enumerate() {
        let number = i + 1;
        let line = line.trim();
        let at = |failure| Failure::AtLine(number, Box::new(failure));
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('*').filter(|_| table.is_none()) {
            let name = name.trim();
            if run::chains(name).is_none() {
                return Err(at(Failure::Table(name.to_owned())));
            }
            table = Some(name);
            if name == "mangle" && settings.flush && settings.wants(name) {
                ops.push((number, Op::FlushMarks { family: program.family }));
            }
            continue;
        }
        let Some(name) = table else {
            return Err(Failure::refused(format!("line {number} failed")));
        };
        if line == "COMMIT" {
            table = None;
        } else if !settings.wants(name) {
        } else if let Some(chain) = line.strip_prefix(':') {
            policy(chain, name).map_err(at)?;
        } else {
            rule(program, line, name, settings, world, number, &mut ops).map_err(at)?;
        }
    }
    match table {
        Some(_) => Err(Failure::refused(format!("COMMIT expected at line {}", text.lines().count() + 1))),
        None => Ok(ops),
    }
}

impl Settings {
    fn wants(&self, table: &str) -> bool {
        self.table.as_ref().is_none_or(|only| only == table)
    }
}

/// `PREROUTING ACCEPT [0:0]`. What has passed the chain begins at 0 again: it counts what this engine has seen.
fn policy(line: &str, table: &str) -> Result<(), Failure> {
    let mut words = line.split_whitespace();
    let chain = words.next().unwrap_or_default();
    let policy = words.next().ok_or_else(|| Failure::usage("policy invalid"))?;
    let builtin = run::chains(table).is_some_and(|known| known.contains(&chain));
    match (builtin, policy) {
        (true, "ACCEPT") => Ok(()),
        (true, other) => Err(Failure::usage(format!(
            "the policy {other} is outside of what ulvs does; it marks packets, so every chain has ACCEPT"
        ))),
        (false, _) => Err(Failure::usage(format!(
            "the chain {chain} is outside of what ulvs does; put the rules into {} of the table mangle",
            run::CHAIN
        ))),
    }
}

fn rule(
    program: Program,
    line: &str,
    table: &str,
    settings: &Settings,
    world: &World<'_>,
    number: usize,
    ops: &mut Vec<(usize, Op)>,
) -> Result<(), Failure> {
    let (counts, rest) = counted(line)?;
    let mut words = vec!["-t".to_owned(), table.to_owned()];
    words.extend(split(rest));
    let mut parsed = parse(&words, program.family, world.names)?;
    if parsed.table != table {
        return Err(Failure::usage(format!("The -t option cannot be used in {}.", program.name())));
    }
    if settings.counters && counts.is_some() {
        parsed.counts = counts.unwrap_or_default();
    }
    match &parsed.command {
        Command::List(..) | Command::ListRules(..) | Command::Check(_) | Command::Help | Command::Version => {
            Err(Failure::usage("only commands that change rules have a place here"))
        }
        command => {
            ops.extend(run::edit(command, &parsed, program.family)?.into_iter().map(|op| (number, op)));
            Ok(())
        }
    }
}

/// `[10:600] -A …`
fn counted(line: &str) -> Result<(Option<MarkCounts>, &str), Failure> {
    let Some(rest) = line.strip_prefix('[') else { return Ok((None, line)) };
    let wrong = || Failure::usage("counters are written as [packets:bytes]");
    let (counts, rest) = rest.split_once(']').ok_or_else(wrong)?;
    let (packets, bytes) = counts.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| text.parse().map_err(|_| wrong());
    Ok((Some(MarkCounts { packets: number(packets)?, bytes: number(bytes)? }), rest))
}

/// Words; in double quotes they may hold blanks, and a backslash takes the meaning from what follows.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let (mut quoted, mut chars) = (false, line.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().extend(chars.next()),
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// What `--help` prints.
pub(super) fn help(program: Program) -> String {
    let name = program.name();
    format!(
        "{name} [-c] [-n] [-t] [-T mangle] [FILE] reads rules that mark packets, all or none;
-c with their counters, -n beside those that are there, -t only tries

Example:
  {name} < marks
"
    )
}

/// `None`: it was asked for something else, and has been told.
fn settings(program: Program, args: &[String], world: &mut World<'_>) -> Result<Option<Settings>, Failure> {
    let mut settings = Settings { counters: false, flush: true, test: false, table: None, file: None };
    let name = program.name();
    let mut words = args.iter().peekable();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-c" | "--counters" => settings.counters = true,
            "-n" | "--noflush" => settings.flush = false,
            "-t" | "--test" => settings.test = true,
            "-v" | "--verbose" => {}
            "-w" | "--wait" => drop(words.next_if(|next| next.bytes().all(|b| b.is_ascii_digit()))),
            "-T" | "--table" => settings.table = words.next().cloned(),
            "-V" | "--version" => {
                writeln!(world.out, "{}", program.version())?;
                return Ok(None);
            }
            "-h" | "--help" => {
                write!(world.out, "{}", help(program))?;
                return Ok(None);
            }
            option if option.starts_with('-') && option.len() > 1 => {
                return Err(Failure::Plain(format!(
                    "{name}: unrecognized option '{option}'\nTry `{name} -h' for more information."
                )));
            }
            path if settings.file.is_none() => settings.file = Some(path.to_owned()),
            _ => return Err(Failure::Plain("Unknown arguments found on commandline".to_owned())),
        }
    }
    Ok(Some(settings))
}
