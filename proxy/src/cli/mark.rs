//! `ulvs mark`: firewall marks in words of our own.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use control::api::{ApplyMode, Blocking, ClientError, MarkList, MarkView};
use sched::marks::{Interface, MarkCounts, Match, PortMatch, PortRange, Prefix, SetMark, Side, flaw};
use sched::{Family, MarkRule, Op, OpError, Proto};

use super::{fail, say};

const AFTER_HELP: &str = "\
Example, http and https of one address as one service, a client of which stays on one server:
  ulvs mark add 3 --dest 172.16.0.99 --proto tcp --ports 80,443
  ulvs ipvsadm -A -f 3 -s sh
  ulvs ipvsadm -a -f 3 -r 172.16.0.7 -m
A packet passes all rules in order, and the last one that matches it has the last word. The same rules in the words of \
iptables: `ulvs iptables -t mangle -S`.";

const ADD_HELP: &str = "\
Examples:
  ulvs mark add 3 --dest 172.16.0.99 --proto tcp --ports 80,443
  ulvs mark add 7 --source 10.0.0.0/8 --dest 172.16.0.99";

/// Rules that give packets a mark; `ipvsadm -f` makes a service of a mark.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct MarkArgs {
    #[command(subcommand)]
    command: MarkCommand,
}

#[derive(Debug, Subcommand)]
enum MarkCommand {
    /// Add a rule, behind the others unless --at says where
    Add(Box<AddArgs>),
    /// Delete the rule with a number, as `ulvs mark list` shows it
    #[command(after_help = "Example:\n  ulvs mark del 1")]
    Del {
        /// Its number
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        number: u32,
        /// Of the IPv6 rules
        #[arg(short = '6', long)]
        ipv6: bool,
    },
    /// Show the rules with what they have counted
    #[command(after_help = "Example:\n  ulvs mark list")]
    List {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Delete all rules
    #[command(after_help = "Example:\n  ulvs mark flush")]
    Flush,
}

#[derive(Debug, Args)]
#[command(after_help = ADD_HELP)]
struct AddArgs {
    /// The mark, 1 to 4294967295, also as 0x3; 0 takes a mark away
    #[arg(value_parser = number)]
    mark: u32,
    /// Only these bits of the mark [default: all]
    #[arg(long, value_parser = number)]
    mask: Option<u32>,
    /// To this address or prefix: such packets are steered to ulvs as soon as the mark has a service
    #[arg(long, value_name = "PREFIX", value_parser = condition::<Prefix>)]
    dest: Option<Match<Prefix>>,
    /// From this address or prefix; as with --dest a ! before it means all others
    #[arg(long, value_name = "PREFIX", value_parser = condition::<Prefix>)]
    source: Option<Match<Prefix>>,
    /// tcp, udp, sctp or a number
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    proto: Option<u8>,
    /// To one of these ports: 80,443,8000-8100 (needs --proto)
    #[arg(long, value_name = "PORTS", value_delimiter = ',', value_parser = range, requires = "proto")]
    ports: Vec<PortRange>,
    /// From one of these ports, at most 15 (a range counts as two)
    #[arg(long, value_name = "PORTS", value_delimiter = ',', value_parser = range, requires = "proto")]
    source_ports: Vec<PortRange>,
    /// Came in by this device (eth+ is every eth...), as the way back to its source tells
    #[arg(long, value_name = "DEVICE", value_parser = condition::<Interface>)]
    input: Option<Match<Interface>>,
    /// Put it there among the rules of its family, 1 is the first
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    at: Option<u32>,
    /// For IPv6, where no address tells
    #[arg(short = '6', long)]
    ipv6: bool,
}

pub(super) fn main(args: MarkArgs) -> ExitCode {
    let result = match args.command {
        MarkCommand::Add(args) => rules(&args).and_then(apply),
        MarkCommand::Del { number, ipv6 } => {
            let family = if ipv6 { Family::Ipv6 } else { Family::Ipv4 };
            apply(vec![Op::DelMarkAt { family, at: number as usize - 1 }])
        }
        MarkCommand::Flush => {
            apply([Family::Ipv4, Family::Ipv6].map(|family| Op::FlushMarks { family }).into())
        }
        MarkCommand::List { json } => list(json),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&text),
    }
}

/// The edits: more than one rule where the ports are too many for one.
fn rules(args: &AddArgs) -> Result<Vec<Op>, String> {
    let told = args.dest.or(args.source).map(|m| m.value.family());
    let family = told.unwrap_or(if args.ipv6 { Family::Ipv6 } else { Family::Ipv4 });
    let set = SetMark { value: args.mark, mask: args.mask.map_or(u32::MAX, |mask| mask | args.mark) };
    let mut rule = MarkRule {
        source: args.source,
        dest: args.dest,
        input: args.input.clone(),
        protocol: args.proto.map(Match::is),
        ..MarkRule::new(family, set)
    };
    if !args.source_ports.is_empty() {
        let ranges = args.source_ports.clone();
        rule.ports.push(PortMatch::Multi { side: Side::Source, ranges, not: false });
    }
    let mut rules = vec![rule.clone()];
    if !args.ports.is_empty() {
        let with = |m| MarkRule { ports: [rule.ports.clone(), vec![m]].concat(), ..rule.clone() };
        rules = PortMatch::dports_of(&args.ports).into_iter().map(with).collect();
    }
    if let Some(flaw) = rules.iter().find_map(flaw) {
        return Err(format!("such a rule can match nothing: {flaw}"));
    }
    let first = args.at.map(|at| at as usize - 1);
    let op = |(i, rule)| Op::AddMark { rule, at: first.map(|at| at + i), counts: MarkCounts::default() };
    Ok(rules.into_iter().enumerate().map(op).collect())
}

fn apply(ops: Vec<Op>) -> Result<(), String> {
    match Blocking::connect().and_then(|mut client| client.apply(ApplyMode::Atomic, ops)) {
        Ok(_) => Ok(()),
        Err(ClientError::Refused { error: OpError::NoSuchMarkPlace, .. }) => {
            Err("there are not so many rules: `ulvs mark list` shows their numbers".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn list(json: bool) -> Result<(), String> {
    let marks = Blocking::connect().and_then(|mut client| client.marks()).map_err(|e| e.to_string())?;
    if json {
        say(&serde_json::to_string_pretty(&marks).map_err(|e| e.to_string())?);
    } else {
        say(table(&marks).trim_end());
    }
    Ok(())
}

fn table(marks: &MarkList) -> String {
    let mut out = String::new();
    for (name, chain) in [("IPv4", &marks.ipv4), ("IPv6", &marks.ipv6)] {
        for (i, MarkView { rule, counts }) in chain.rules.iter().enumerate() {
            let number = i + 1;
            out +=
                &format!("{name} {number:<4} {rule} ({} packets, {} bytes)\n", counts.packets, counts.bytes);
        }
    }
    if out.is_empty() { "no rules; `ulvs mark add --help` tells how to add one\n".to_owned() } else { out }
}

pub(super) fn number(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "write a number from 0 to 4294967295, also in hexadecimal: 0x3".to_owned())
}

fn condition<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<Match<T>, String> {
    let (not, value) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest.trim_start()));
    Ok(Match { value: value.parse().map_err(|e: T::Err| e.to_string())?, not })
}

fn protocol(text: &str) -> Result<u8, String> {
    let known = Proto::ALL.into_iter().find(|p| p.name().eq_ignore_ascii_case(text)).map(Proto::number);
    known.or_else(|| text.parse().ok()).ok_or_else(|| "write tcp, udp, sctp or a number up to 255".to_owned())
}

/// `80`, `8000-8100`.
fn range(text: &str) -> Result<PortRange, String> {
    text.replacen('-', ":", 1).parse().map_err(|_| "write 80 or 8000-8100".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: AddArgs,
    }

    fn added(line: &str) -> Vec<String> {
        let line = Line::try_parse_from(std::iter::once("add").chain(line.split(' ')))
            .unwrap_or_else(|e| panic!("{e}"));
        rules(&line.args).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn words_become_rules() {
        assert_eq!(
            added("3 --dest 172.16.0.99 --proto tcp --ports 80,443"),
            ["add rule: to 172.16.0.99 protocol 6 ports 80,443 mark 3"]
        );
        assert_eq!(
            added("0x10 --mask 0xf0 --source !fd00::/8 --input eth+ --at 2"),
            ["add rule as number 2: not from fd00::/8 in by eth+ mark 0x10/0xf0"]
        );
        let many: Vec<_> = (1..=16).map(|n| n.to_string()).collect();
        let rules = added(&format!("3 --proto udp --ports {} --at 1", many.join(",")));
        assert_eq!(rules.len(), 2, "{rules:?}");
        assert!(rules[1].starts_with("add rule as number 2: protocol 17 ports 16"), "{rules:?}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let wrong = |line: &str| {
            let parsed = Line::try_parse_from(std::iter::once("add").chain(line.split(' ')));
            parsed.map_or(true, |line| rules(&line.args).is_err())
        };
        for line in [
            "x",
            "3 --ports 80",
            "3 --dest 1.2.3",
            "3 --proto icmp",
            "3 --proto 1 --ports 80",
            "3 --proto tcp --ports 9-8",
        ] {
            assert!(wrong(line), "{line}");
        }
    }
}
