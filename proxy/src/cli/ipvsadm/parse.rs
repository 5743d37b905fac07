//! From words to a [`Request`]: what belongs together, what excludes what, in the order in which ipvsadm complains.

use super::Failure;
use super::opts::{Command, Kind, Meaning, RULES};
use super::popt::{Item, Popt};
use super::request::Request;
use super::resolve::Resolve;

/// Understands a command line without the program's name. None at all is a list.
pub(super) fn parse(words: &[String], names: &dyn Resolve) -> Result<Request, Failure> {
    if words.is_empty() {
        return Ok(Request::new(Command::List));
    }
    let mut popt = Popt::new(words);
    let first = popt.next().map_err(|_| try_help())?;
    let command = match first.map(|item| &item.entry.meaning) {
        Some(Meaning::Command(command)) => *command,
        Some(Meaning::LaterCommand(what)) => return Err(not_yet(&words[0], what)),
        _ => return Err(try_help()),
    };
    let mut request = Request::new(command);
    if matches!(command, Command::Help | Command::Version) {
        return Ok(request);
    }
    let mut later = None;
    while let Some(item) = popt.next()? {
        let unsupported = take(&mut request, &item, names)?;
        later = later.or_else(|| unsupported.map(|what| not_yet(&item.spelled, what)));
    }
    if let Some(stray) = popt.strays.first() {
        return Err(Failure::options(format!("unexpected argument {stray}")));
    }
    check(&request)?;
    match later {
        Some(failure) => Err(failure),
        None => Ok(request),
    }
}

/// Puts an option into the request, or says what it would need.
fn take(
    request: &mut Request,
    item: &Item<'_>,
    names: &dyn Resolve,
) -> Result<Option<&'static str>, Failure> {
    match &item.entry.meaning {
        Meaning::Command(_) | Meaning::LaterCommand(_) => {
            Err(Failure::options(format!("invalid option `{}'", item.word)))
        }
        Meaning::Sets(kind, set) => {
            say(request, *kind)?;
            set(request, item.value, names)?;
            Ok(None)
        }
        Meaning::Later(kind, what) => {
            kind.map_or(Ok(()), |kind| say(request, kind))?;
            Ok(Some(*what))
        }
        Meaning::LaterAfterMark(what) => {
            if !request.has(Kind::ServiceAddress) || request.service.is_some() {
                return Err(Failure::options("-6 used before -f\n"));
            }
            Ok(Some(*what))
        }
        Meaning::Nothing => Ok(None),
    }
}

fn say(request: &mut Request, kind: Kind) -> Result<(), Failure> {
    if request.has(kind) {
        return Err(Failure::options(format!("multiple '{}' options specified", name(kind))));
    }
    request.said.push(kind);
    Ok(())
}

fn check(request: &Request) -> Result<(), Failure> {
    let command = request.command;
    for rule in RULES {
        let said = request.has(rule.kind);
        let needed = rule.needed.contains(&command);
        if needed && !said {
            let (option, command) = (rule.name, command.name());
            return Err(Failure::options(format!(
                "You need to supply the '{option}' option for the '{command}' command"
            )));
        }
        if said && !needed && !rule.allowed.contains(&command) {
            let (option, command) = (rule.name, command.name());
            return Err(Failure::options(format!("Illegal '{option}' option with the '{command}' command")));
        }
    }
    if command == Command::List { check_list(request) } else { Ok(()) }
}

/// A list is of one thing, and only services have formats.
fn check_list(request: &Request) -> Result<(), Failure> {
    const EXCLUDE_EACH_OTHER: [(Kind, Kind); 6] = [
        (Kind::ServiceAddress, Kind::Connection),
        (Kind::Timeout, Kind::Connection),
        (Kind::Timeout, Kind::ServiceAddress),
        (Kind::Daemon, Kind::Connection),
        (Kind::Daemon, Kind::ServiceAddress),
        (Kind::Daemon, Kind::Timeout),
    ];
    for (one, other) in EXCLUDE_EACH_OTHER {
        if request.has(one) && request.has(other) {
            let (one, other) = (name(one), name(other));
            return Err(Failure::options(format!(
                "The option '{one}' conflicts with the '{other}' option in the 'list' command"
            )));
        }
    }
    let any = |kinds: &[Kind]| kinds.iter().any(|k| request.has(*k));
    let formatted = any(&[Kind::Stats, Kind::Rate, Kind::Thresholds]);
    let bare = any(&[Kind::Timeout, Kind::Daemon]);
    if formatted && (bare || request.has(Kind::Connection)) || bare && request.has(Kind::PersistentConn) {
        return Err(Failure::options("options conflicts in the list command"));
    }
    Ok(())
}

fn name(kind: Kind) -> &'static str {
    RULES.iter().find(|r| r.kind == kind).map_or("", |r| r.name)
}

fn try_help() -> Failure {
    Failure::refused("Try `ipvsadm -h' or 'ipvsadm --help' for more information.")
}

fn not_yet(option: &str, what: &str) -> Failure {
    Failure::options(format!("option `{option}' is not supported yet: this version of ulvs has no {what}"))
}
