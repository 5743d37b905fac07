//! A command line: the command, the table, and the rule if there is one. Understood, but not yet held against the
//! engine.

use sched::marks::MarkCounts;
use sched::{Family, MarkRule};

use super::super::ipvsadm::resolve::Resolve;
use super::error::Failure;
use super::list::Show;
use super::options::{Found, Options, unknown};
use super::rule::Draft;

/// What to do. Places count from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Append(String),
    Insert(String, usize),
    Delete(String),
    DeleteAt(String, usize),
    Check(String),
    Replace(String, usize),
    List(Option<String>, Option<usize>),
    ListRules(Option<String>, Option<usize>),
    Flush(Option<String>),
    Zero(Option<String>, Option<usize>),
    NewChain(String),
    DeleteChain(Option<String>),
    Policy(String, String),
    RenameChain,
    Help,
    Version,
}

/// A command line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) command: Command,
    pub(super) table: String,
    /// One for each pair of a source and a destination.
    pub(super) rules: Vec<MarkRule>,
    pub(super) counts: MarkCounts,
    pub(super) show: Show,
}

pub(super) fn parse(args: &[String], family: Family, names: &dyn Resolve) -> Result<Line, Failure> {
    let mut options = Options::new(args);
    let mut command: Option<(Command, String)> = None;
    let mut table = "filter".to_owned();
    let mut counts = MarkCounts::default();
    let mut show = Show::default();
    let mut only_lists = None;
    let mut draft = Draft::new(family);
    while let Some(option) = options.next()? {
        if let Some(new) = command_of(&option, &mut options)? {
            if let Some((_, before)) = &command {
                let text = format!("Cannot use {} with {before}", option.spelled);
                return Err(Failure::usage(text));
            }
            not_inverse(&option)?;
            command = Some((new, option.spelled));
            continue;
        }
        match option.name.as_str() {
            "table" => table = options.value(&option)?,
            "set-counters" => counts = counters(&option, &mut options)?,
            "verbose" => show.verbose = true,
            // It waits for a lock that is not needed here.
            "wait" => drop(options.optional(&option)),
            "numeric" => (show.numeric, only_lists) = (true, Some(option.spelled)),
            "exact" => (show.exact, only_lists) = (true, Some(option.spelled)),
            "line-numbers" => (show.numbers, only_lists) = (true, Some(option.spelled)),
            _ if draft.option(&option, &mut options, names)? => {}
            _ => return Err(unknown(&option.spelled)),
        }
    }
    let Some((command, _)) = command else { return Err(Failure::usage("no command specified")) };
    if let Some(spelled) = only_lists.filter(|_| !matches!(command, Command::List(..))) {
        return Err(Failure::usage(format!("Illegal option `{spelled}' with this command")));
    }
    let rules = match &command {
        Command::Append(_)
        | Command::Insert(..)
        | Command::Delete(_)
        | Command::Check(_)
        | Command::Replace(..)
            // Where there are no rules of ours, the table or the chain is what is wrong, not the rule.
            if table == "mangle" => draft.rules()?,
        _ => Vec::new(),
    };
    Ok(Line { command, table, rules, counts, show })
}

/// The command that an option is, with what belongs to it.
fn command_of(option: &Found, options: &mut Options<'_>) -> Result<Option<Command>, Failure> {
    let command = match option.name.as_str() {
        "append" => Command::Append(options.value(option)?),
        "check" => Command::Check(options.value(option)?),
        "delete" => {
            let chain = options.value(option)?;
            match options.more() {
                Some(number) => Command::DeleteAt(chain, place(&number)?),
                None => Command::Delete(chain),
            }
        }
        "insert" => {
            let chain = options.value(option)?;
            let at = options.more().map_or(Ok(0), |number| place(&number))?;
            Command::Insert(chain, at)
        }
        "replace" => {
            let chain = options.value(option)?;
            let number = options
                .more()
                .ok_or_else(|| Failure::usage(format!("{} requires a rule number", option.spelled)))?;
            Command::Replace(chain, place(&number)?)
        }
        "list" | "list-rules" | "zero" => {
            let chain = options.optional(option);
            let at = if chain.is_some() { options.more() } else { None };
            let at = at.map(|number| place(&number)).transpose()?;
            match option.name.as_str() {
                "list" => Command::List(chain, at),
                "list-rules" => Command::ListRules(chain, at),
                _ => Command::Zero(chain, at),
            }
        }
        "flush" => Command::Flush(options.optional(option)),
        "new-chain" => Command::NewChain(options.value(option)?),
        "delete-chain" => Command::DeleteChain(options.optional(option)),
        "policy" => {
            let chain = options.value(option)?;
            let target = options
                .more()
                .ok_or_else(|| Failure::usage(format!("{} requires a chain and a policy", option.spelled)))?;
            Command::Policy(chain, target)
        }
        "rename-chain" => {
            options.value(option)?;
            options.more();
            Command::RenameChain
        }
        "help" => Command::Help,
        "version" => Command::Version,
        _ => return Ok(None),
    };
    Ok(Some(command))
}

/// A place from its number, which counts from 1.
fn place(number: &str) -> Result<usize, Failure> {
    let wrong = || Failure::usage(format!("Invalid rule number `{number}'"));
    number.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).ok_or_else(wrong)
}

/// `-c PKTS BYTES`, also `-c PKTS,BYTES`.
fn counters(option: &Found, options: &mut Options<'_>) -> Result<MarkCounts, Failure> {
    let first = options.value(option)?;
    let (packets, bytes) = match first.split_once(',') {
        Some((packets, bytes)) => (packets.to_owned(), Some(bytes.to_owned())),
        None => (first, options.more()),
    };
    let spelled = &option.spelled;
    let bytes = bytes.ok_or_else(|| Failure::usage(format!("{spelled} requires packet and byte counter")))?;
    let number = |text: &str, what: &str| {
        let wrong = || Failure::usage(format!("{spelled} {what} counter not numeric"));
        text.parse().map_err(|_| wrong())
    };
    Ok(MarkCounts { packets: number(&packets, "packet")?, bytes: number(&bytes, "byte")? })
}

/// Complains about a `!` where it makes no sense.
pub(super) fn not_inverse(option: &Found) -> Result<(), Failure> {
    if option.not {
        return Err(Failure::usage(format!("cannot have ! before {}", option.spelled)));
    }
    Ok(())
}
