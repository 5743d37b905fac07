//! `ulvs lab bench tls`: TLS ends at the director, plain HTTP goes on to two servers.
//!
//! As in the other bench, rounds alternate the contenders, a ratio is the median of the ratios within the rounds, and
//! each measurement has a fresh lab. CPU is that of the contender's processes alone.

mod config;
mod contender;
mod loss;
mod measure;
mod report;
mod site;
mod stand;
mod tools;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum as _};
use nix::sys::resource::{Resource, getrlimit};

use self::contender::Contender;
use self::measure::Measure;
use self::report::Table;
use self::site::Site;
use self::stand::{Bench, Stand};
use super::programs::{find, version};
use crate::cli::Place;

/// Options of `ulvs lab bench tls`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  ulvs lab bench tls --loss")]
pub(super) struct TlsArgs {
    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds for each measurement of a rate
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Threads (nginx: processes) of each contender
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// What to compare
    #[arg(
        long,
        value_delimiter = ',',
        value_enum,
        default_value = "haproxy,nginx,ulvs-kernel,ulvs-userspace"
    )]
    contenders: Vec<Contender>,
    /// What to measure [default: everything]
    #[arg(long, value_delimiter = ',', value_enum, conflicts_with = "loss")]
    measures: Vec<Measure>,
    /// Downloads over a link that loses packets, instead
    #[arg(long)]
    loss: bool,
    /// Every sample, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) place: Place,
}

/// Everybody's address; the lab has it too.
const VIP: &str = "203.0.113.1";
/// Descriptors that are enough for everything.
const MOST_FILES: u64 = 50_000;
/// Descriptors that a contender needs beside two for each connection.
const OTHER_FILES: u64 = 500;

pub(super) fn main(args: &TlsArgs, ulvs: &Path, state_root: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let mut facts = facts(args, ulvs)?;
    let (files, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let bench = Bench {
        ulvs: ulvs.to_owned(),
        site: Site::new(state_root.as_deref(), VIP)?,
        state_root,
        threads: args.threads,
        seconds: args.seconds,
        connections: files.min(MOST_FILES).saturating_sub(OTHER_FILES) / 2,
    };
    let table = if args.loss { goodputs(args, &bench)? } else { figures(args, &bench, &mut facts)? };
    let mut out = io::stdout();
    if args.json {
        writeln!(out, "{:#}", table.json(&facts))
    } else {
        let facts: String = facts.iter().map(|(name, fact)| format!("- {name}: {fact}\n")).collect();
        writeln!(out, "{facts}\n{table}")
    }
    .context("cannot write the results")?;
    Ok(ExitCode::SUCCESS)
}

/// All measurements of all contenders.
fn figures(args: &TlsArgs, bench: &Bench, facts: &mut Vec<(String, String)>) -> anyhow::Result<Table> {
    let measures = if args.measures.is_empty() { Measure::value_variants() } else { &args.measures };
    let names = args.contenders.iter().map(|contender| contender.name().to_owned()).collect();
    let mut table = Table::new(names, true);
    let mut agreed = BTreeSet::new();
    for round in 1..=args.rounds {
        for measure in measures {
            for (column, contender) in args.contenders.iter().enumerate() {
                let name = contender.name();
                let stand = Stand::new(bench, *contender, measure.resumption(), None);
                let stand = stand.with_context(|| format!("cannot start {name}"))?;
                let figures = measure.run(&stand).with_context(|| format!("cannot measure {name}"))?;
                let shown: Vec<String> =
                    figures.iter().map(|(row, value)| format!("{row} {value:.2}")).collect();
                writeln!(io::stderr(), "round {round}/{}, {name}: {}", args.rounds, shown.join("; "))?;
                table.add(column, &figures);
                agreed.insert((format!("agreed with {name}"), stand.suite));
            }
        }
    }
    facts.extend(agreed);
    Ok(table)
}

/// Downloads of all contenders over all links.
fn goodputs(args: &TlsArgs, bench: &Bench) -> anyhow::Result<Table> {
    let senders = loss::senders(&args.contenders)?;
    let mut table = Table::new(senders.iter().map(|sender| sender.name()).collect(), false);
    for round in 1..=args.rounds {
        for network in loss::networks() {
            for (column, sender) in senders.iter().enumerate() {
                let goodput = sender.goodput(bench, network);
                let goodput = goodput.with_context(|| format!("cannot measure {}", sender.name()))?;
                let (name, link) = (sender.name(), network.name());
                writeln!(io::stderr(), "round {round}/{}, {name}, {link}: {goodput:.4} Gbit/s", args.rounds)?;
                table.add(column, &[(format!("{link}, Gbit/s"), goodput)]);
            }
        }
    }
    Ok(table)
}

/// What a reader has to know of how the numbers came about.
fn facts(args: &TlsArgs, ulvs: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("is /proc mounted?")?;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let rounds =
        format!("{} of {} s, {} threads for each contender", args.rounds, args.seconds, args.threads);
    let mut facts = vec![
        ("machine".to_owned(), format!("Linux {}, {cores} cores for everybody", kernel.trim())),
        ("rounds".to_owned(), rounds),
    ];
    for contender in &args.contenders {
        let version = version(&contender.program(ulvs)?, contender.version_option())?;
        facts.push((contender.name().to_owned(), version));
    }
    for (program, option) in [("wrk", "-v"), ("curl", "--version"), ("openssl", "version")] {
        facts.push((program.to_owned(), version(&find(program, program)?, option)?));
    }
    Ok(facts)
}

#[cfg(test)]
mod tests;
