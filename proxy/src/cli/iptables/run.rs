//! `iptables`: does what a command line says.

use control::api::{ClientError, MarkChain};
use sched::{Family, Op, OpError};

use super::command::{Command, Line, parse};
use super::error::Failure;
use super::{Program, World, list, spec};

/// The only chain that has rules.
pub(super) const CHAIN: &str = "PREROUTING";

/// The chains of a table, or that it is none.
pub(super) fn chains(table: &str) -> Option<&'static [&'static str]> {
    match table {
        "mangle" => Some(&[CHAIN, "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]),
        "filter" => Some(&["INPUT", "FORWARD", "OUTPUT"]),
        "nat" => Some(&[CHAIN, "INPUT", "OUTPUT", "POSTROUTING"]),
        "raw" => Some(&[CHAIN, "OUTPUT"]),
        "security" => Some(&["INPUT", "FORWARD", "OUTPUT"]),
        _ => None,
    }
}

pub(super) fn run(program: Program, args: &[String], world: &mut World<'_>) -> Result<(), Failure> {
    let line = parse(args, program.family, world.names)?;
    match line.command {
        Command::Help => return Ok(world.out.write_all(help(program).as_bytes())?),
        Command::Version => return Ok(writeln!(world.out, "{}", program.version())?),
        _ => {}
    }
    let known = chains(&line.table).ok_or_else(|| Failure::Table(line.table.clone()))?;
    match &line.command {
        Command::List(chain, at) | Command::ListRules(chain, at) => {
            if !matches!(line.table.as_str(), "mangle" | "filter") {
                return Err(no_rules(&line.table));
            }
            let shown = match chain {
                None => known,
                Some(name) => known
                    .iter()
                    .find(|c| *c == name)
                    .map(std::slice::from_ref)
                    .ok_or_else(Failure::no_chain)?,
            };
            show(program, &line, shown, *at, world)
        }
        Command::Check(chain) => {
            holds_rules(&line.table, chain)?;
            let marks = (world.connect)()?.marks()?;
            let present = &marks.chain(program.family).rules;
            if line.rules.iter().all(|rule| present.iter().any(|view| view.rule == *rule)) {
                told(&line, world)
            } else {
                Err(Failure::refused(OpError::NoSuchMarkRule.to_string()))
            }
        }
        command => {
            let ops = edit(command, &line, program.family)?;
            // Nothing to do is done without an engine too: a script may begin afresh before it starts one.
            if !ops.is_empty() {
                let index = match command {
                    Command::Insert(..) => "insertion",
                    Command::Replace(..) => "replacement",
                    _ => "deletion",
                };
                match (world.connect)()?.apply(ops) {
                    // iptables does not mind a number that no rule has.
                    Err(ClientError::Refused { error: OpError::NoSuchMarkPlace, .. })
                        if matches!(command, Command::Zero(..)) => {}
                    result => drop(result.map_err(|e| Failure::of_edit(e, index))?),
                }
            }
            told(&line, world)
        }
    }
}

/// The edits that a command stands for.
pub(super) fn edit(command: &Command, line: &Line, family: Family) -> Result<Vec<Op>, Failure> {
    let known = chains(&line.table).ok_or_else(|| Failure::Table(line.table.clone()))?;
    let exists =
        |chain: &String| if known.contains(&chain.as_str()) { Ok(()) } else { Err(Failure::no_chain()) };
    let ours = |chain: &Option<String>| line.table == "mangle" && chain.as_deref().is_none_or(|c| c == CHAIN);
    let add = |at: Option<usize>| {
        line.rules.iter().map(move |rule| Op::AddMark { rule: rule.clone(), at, counts: line.counts })
    };
    Ok(match command {
        Command::Append(chain) => {
            holds_rules(&line.table, chain)?;
            add(None).collect()
        }
        Command::Insert(chain, at) => {
            holds_rules(&line.table, chain)?;
            add(Some(*at)).collect()
        }
        Command::Delete(chain) => {
            holds_rules(&line.table, chain)?;
            line.rules.iter().map(|rule| Op::DelMark { rule: rule.clone() }).collect()
        }
        Command::DeleteAt(chain, at) => {
            holds_rules(&line.table, chain)?;
            vec![Op::DelMarkAt { family, at: *at }]
        }
        Command::Replace(chain, at) => {
            holds_rules(&line.table, chain)?;
            if line.rules.len() > 1 {
                return Err(Failure::usage("Replacement rule does not specify a unique address"));
            }
            std::iter::once(Op::DelMarkAt { family, at: *at }).chain(add(Some(*at))).collect()
        }
        Command::Flush(chain) => {
            chain.as_ref().map_or(Ok(()), exists)?;
            if ours(chain) { vec![Op::FlushMarks { family }] } else { Vec::new() }
        }
        Command::Zero(chain, at) => {
            chain.as_ref().map_or(Ok(()), exists)?;
            if ours(chain) { vec![Op::ZeroMarks { family, at: *at }] } else { Vec::new() }
        }
        Command::DeleteChain(None) => Vec::new(),
        Command::DeleteChain(Some(_)) => return Err(Failure::no_chain()),
        Command::Policy(chain, target) => {
            if !known.contains(&chain.as_str()) {
                return Err(Failure::refused("Bad built-in chain name."));
            }
            if target != "ACCEPT" {
                return Err(Failure::usage(format!(
                    "the policy {target} is outside of what ulvs does; it marks packets, so every chain has ACCEPT"
                )));
            }
            Vec::new()
        }
        Command::NewChain(chain) => {
            return Err(Failure::usage(format!(
                "-N {chain} is outside of what ulvs does; put the rules into {CHAIN} of the table mangle"
            )));
        }
        Command::RenameChain => {
            return Err(Failure::usage("-E is outside of what ulvs does: its chains have fixed names"));
        }
        Command::Check(_) | Command::List(..) | Command::ListRules(..) | Command::Help | Command::Version => {
            Vec::new()
        }
    })
}

/// Whether rules can be in that chain of that table.
pub(super) fn holds_rules(table: &str, chain: &str) -> Result<(), Failure> {
    let known = chains(table).ok_or_else(|| Failure::Table(table.to_owned()))?;
    if table != "mangle" {
        return Err(no_rules(table));
    }
    match chain {
        CHAIN => Ok(()),
        _ if known.contains(&chain) => Err(Failure::usage(format!(
            "the chain {chain} is outside of what ulvs does; it marks packets as they come in: use {CHAIN}"
        ))),
        _ => Err(Failure::no_chain()),
    }
}

fn no_rules(table: &str) -> Failure {
    Failure::usage(format!(
        "the table {table} is outside of what ulvs does; it has marks: -t mangle, chain {CHAIN} (for all else there is the \
         iptables of this host)"
    ))
}

fn show(
    program: Program,
    line: &Line,
    shown: &[&str],
    at: Option<usize>,
    world: &mut World<'_>,
) -> Result<(), Failure> {
    let marks = if line.table == "mangle" { Some((world.connect)()?.marks()?) } else { None };
    let none = MarkChain::default();
    let chain = |name: &str| match &marks {
        Some(marks) if name == CHAIN => marks.chain(program.family),
        _ => &none,
    };
    let mut out = String::new();
    match line.command {
        Command::ListRules(..) => {
            if at.is_none() {
                for name in shown {
                    let passed = chain(name).passed;
                    let counts = format!(" -c {} {}", passed.packets, passed.bytes);
                    out += &format!("-P {name} ACCEPT{}\n", if line.show.verbose { &counts } else { "" });
                }
            }
            for name in shown {
                let rules = chain(name).rules.iter();
                let (skip, take) = at.map_or((0, usize::MAX), |at| (at, 1));
                for view in rules.skip(skip).take(take) {
                    out += &spec::line(&view.rule, line.show.verbose.then_some(view.counts));
                    out.push('\n');
                }
            }
        }
        _ => {
            for (i, name) in shown.iter().enumerate() {
                if i > 0 {
                    out.push('\n');
                }
                out += &list::chain(name, program.family, chain(name), at, line.show, world.names);
            }
        }
    }
    Ok(world.out.write_all(out.as_bytes())?)
}

/// Says what has been done, with `-v`.
fn told(line: &Line, world: &mut World<'_>) -> Result<(), Failure> {
    if !line.show.verbose {
        return Ok(());
    }
    let mut out: String = line.rules.iter().map(list::done).collect();
    let each = |what: &str, chain: &Option<String>| {
        let known = chains(&line.table).unwrap_or_default().iter();
        let chosen = known.filter(|name| chain.as_ref().is_none_or(|c| c == *name));
        chosen.map(|name| format!("{what} chain `{name}'\n")).collect::<String>()
    };
    match &line.command {
        Command::Flush(chain) => out += &each("Flushing", chain),
        Command::Zero(chain, None) => out += &each("Zeroing", chain),
        _ => {}
    }
    Ok(world.out.write_all(out.as_bytes())?)
}

pub(super) fn help(program: Program) -> String {
    let name = program.name();
    let example = match program.family {
        Family::Ipv4 => "172.16.0.99",
        Family::Ipv6 => "fd00::99",
    };
    format!(
        "{}
This is ulvs in the role of {name}: firewall marks, which `ipvsadm -f` makes services of.

Usage: {name} -t mangle -A|-C|-D PREROUTING RULE
       {name} -t mangle -I PREROUTING [NUMBER] RULE
       {name} -t mangle -R PREROUTING NUMBER RULE
       {name} -t mangle -D PREROUTING NUMBER
       {name} -t mangle -L [PREROUTING [NUMBER]] [-n] [-v] [-x] [--line-numbers]
       {name} -t mangle -S [PREROUTING [NUMBER]] [-v]
       {name} -t mangle -F|-Z [PREROUTING]
       {name}-save [-c] [-t mangle]
       {name}-restore [-c] [-n] [FILE]

RULE is any of these, and a mark to set:
  [!] -s ADDRESS[/MASK][,...]    source
  [!] -d ADDRESS[/MASK][,...]    destination: it is steered to ulvs as soon as the mark has a service
  [!] -p PROTOCOL                tcp, udp, sctp, ... or a number
  [!] -i NAME[+]                 where it came in, as the way back to its source tells
  [!] --sport, --dport PORT[:PORT]                      with -p tcp, udp or sctp
  -m multiport [!] --sports, --dports, --ports PORT[:PORT][,...]
  -j MARK --set-mark VALUE[/MASK] (or --set-xmark, --and-mark, --or-mark, --xor-mark)
  -c PACKETS BYTES               counters to begin with

Example, one service of two ports:
  {name} -t mangle -A PREROUTING -d {example} -p tcp \\
      -m multiport --dports 80,443 -j MARK --set-mark 3
  ipvsadm -A -f 3{} -s sh
",
        program.version(),
        if program.family == Family::Ipv6 { " -6" } else { "" },
    )
}
