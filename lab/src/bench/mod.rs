//! `ulvs lab bench`: balancers against each other, in one topology and the same minutes.
//!
//! Client, director, two servers and the load generator share the machine's cores, so absolute numbers say little;
//! the ratios say something. Within a round every workload is asked of one contender after the other, so that what the
//! machine does meanwhile hits all of them, and a ratio is the median of the ratios within the rounds. Each measurement
//! has a fresh lab: nobody inherits a full connection table.

mod chart;
mod contender;
mod goals;
mod health;
mod programs;
mod report;
mod results;
mod setup;
mod stand;
mod stats;
mod tls;
mod usage;
mod workload;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand, ValueEnum as _};
use nix::sys::resource::{Resource, getrlimit};

use self::contender::{Column, Contender, Method};
use self::health::HealthArgs;
use self::results::Results;
use self::stand::{Bench, Stand};
use self::tls::TlsArgs;
use self::workload::{Figure, Sample, Workload};
use crate::cli::Place;

/// Options of `ulvs lab bench`.
#[derive(Clone, Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Example:\n  ulvs lab bench --rounds 1 --contenders ulvs-tun,ulvs-packet"
)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    other: Option<OtherBench>,
    /// How often everything is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds for each measurement
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// What to compare
    #[arg(long, value_delimiter = ',', value_enum, default_value = contender::DEFAULT)]
    contenders: Vec<Contender>,
    /// How ulvs forwards
    #[arg(long, value_delimiter = ',', value_enum, default_value = "nat,fullnat,dr,ipip")]
    methods: Vec<Method>,
    /// What to ask of them [default: everything]
    #[arg(long, value_delimiter = ',', value_enum)]
    workloads: Vec<Workload>,
    /// Where to leave report.md, report.json and chart.svg
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Every sample, for programs, instead of the report
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// What else there is to measure.
#[derive(Clone, Debug, Subcommand)]
enum OtherBench {
    /// TLS that ends at the director, with HAProxy and nginx beside it
    Tls(TlsArgs),
    /// What thousands of health checks a second do to the requests of clients
    Health(HealthArgs),
}

impl BenchArgs {
    /// Where the namespaces belong.
    pub(crate) fn place(&self) -> Place {
        match &self.other {
            None => self.place,
            Some(OtherBench::Tls(args)) => args.place,
            Some(OtherBench::Health(args)) => args.place,
        }
    }
}

/// Open files that are enough for a proxy's idle connections, and those it needs beside two for each connection.
const MOST_FILES: u64 = 250_000;
const OTHER_FILES: u64 = 500;
/// What a lab takes beside its measurement, roughly: of use for a guess only.
const SET_UP: f64 = 1.5;
/// How long others are watched before a round.
const OTHERS: Duration = Duration::from_millis(300);

pub(crate) fn main(args: &BenchArgs, ulvs: &Path, state_root: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    match &args.other {
        Some(OtherBench::Tls(args)) => return tls::main(args, ulvs, state_root),
        Some(OtherBench::Health(args)) => return health::main(args, ulvs, state_root),
        None => {}
    }
    // What is missing shall be missing now, not after an hour.
    let mut facts = facts(args, ulvs)?;
    if let Some(dir) = &args.out {
        fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {}", dir.display()))?;
        tempfile::tempfile_in(dir).with_context(|| format!("cannot write to {}", dir.display()))?;
    }
    let (files, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let connections = files.min(MOST_FILES).saturating_sub(OTHER_FILES) / 2;
    let connections = usize::try_from(connections).context("so many open files")?;
    let bench = Bench { ulvs: ulvs.to_owned(), state_root, connections };
    let workloads = if args.workloads.is_empty() { Workload::value_variants() } else { &args.workloads };
    let mut pace = 0;
    if workloads.contains(&Workload::Half) {
        pace = half(args, &bench)?;
        facts.push((
            "half load".to_owned(),
            format!("{pace} requests/s, half of what nft did before the rounds"),
        ));
    }
    let columns = Column::all(&args.contenders, &args.methods);
    let mut results = Results::new(workloads, &columns);
    let others = measure(args, &bench, pace, &mut results)?;
    facts.push(("others".to_owned(), format!("before each round they kept up to {others:.2} cores busy")));

    let (text, json) =
        (report::markdown(&results, &facts), format!("{:#}\n", report::json(&results, &facts)));
    let mut out = io::stdout();
    out.write_all(if args.json { json.as_bytes() } else { text.as_bytes() })
        .context("cannot write the results")?;
    if let Some(dir) = &args.out {
        write(dir, "report.md", &format!("# Benchmark\n\n![chart](chart.svg)\n\n{text}"))?;
        write(dir, "report.json", &json)?;
        write(dir, "chart.svg", &chart::svg(&results))?;
        writeln!(io::stderr(), "report.md, report.json and chart.svg are in {}", dir.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All rounds; returns the most that others did before one of them.
fn measure(args: &BenchArgs, bench: &Bench, pace: u32, results: &mut Results) -> anyhow::Result<f64> {
    let (workloads, columns) = (results.workloads.clone(), results.columns.clone());
    let able =
        |workload: Workload| columns.iter().filter(move |column| column.contender.can(workload)).count();
    let total = args.rounds as usize * workloads.iter().map(|workload| able(*workload)).sum::<usize>();
    let guess = total as f64 * (args.seconds + SET_UP);
    writeln!(io::stderr(), "{total} measurements, about {}", minutes(guess))?;
    let (start, mut done, mut others) = (Instant::now(), 0, 0.0_f64);
    for round in 1..=args.rounds {
        others = others.max(busy_cores()?);
        for (row, workload) in workloads.iter().enumerate() {
            for (index, column) in columns.iter().enumerate().filter(|(_, it)| it.contender.can(*workload)) {
                let sample = one(args, bench, *column, *workload, pace)?;
                done += 1;
                let left = start.elapsed().as_secs_f64() / done as f64 * (total - done) as f64;
                writeln!(
                    io::stderr(),
                    "round {round}/{}, {}, {}: {} {}; {} to go",
                    args.rounds,
                    workload.title(),
                    column.name(),
                    stats::number(workload.figure(&sample, Figure::Value)),
                    workload.unit(),
                    minutes(left)
                )?;
                results.add(row, index, sample);
            }
        }
    }
    Ok(others)
}

/// Cores that are busy though nothing is measured.
fn busy_cores() -> anyhow::Result<f64> {
    let (before, start) = (usage::machine()?, Instant::now());
    thread::sleep(OTHERS);
    Ok((usage::machine()? - before) / start.elapsed().as_secs_f64())
}

fn one(
    args: &BenchArgs,
    bench: &Bench,
    column: Column,
    workload: Workload,
    pace: u32,
) -> anyhow::Result<Sample> {
    let run = || workload.run(&Stand::new(bench, column)?, args.seconds, pace);
    run().with_context(|| format!("cannot measure {}, {}", column.name(), workload.title()))
}

/// Requests in a second that are half of what nftables DNAT can do.
fn half(args: &BenchArgs, bench: &Bench) -> anyhow::Result<u32> {
    let nft = Column { contender: Contender::Nft, method: None };
    let mut rates = Vec::new();
    for _ in 0..3 {
        let sample = one(args, bench, nft, Workload::Requests64, 0)?;
        rates.push(sample.report.requests_per_s());
    }
    let rate = stats::median(rates).unwrap_or_default();
    writeln!(io::stderr(), "nft does {rate:.0} requests/s: half load is half of it")?;
    Ok((rate / 2.0) as u32)
}

/// What a reader has to know of how the numbers came about.
fn facts(args: &BenchArgs, ulvs: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("is /proc mounted?")?;
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let machine = format!("Linux {}, {cores} cores for everybody", kernel.trim());
    let rounds = format!("{} of {} s for each measurement", args.rounds, args.seconds);
    let mut facts = vec![("machine".to_owned(), machine), ("rounds".to_owned(), rounds)];
    let half = args.workloads.is_empty() || args.workloads.contains(&Workload::Half);
    let pacer = (half && !args.contenders.contains(&Contender::Nft)).then_some(Contender::Nft);
    for contender in args.contenders.iter().copied().chain(pacer) {
        facts.push((contender.name().to_owned(), contender.version(ulvs)?));
    }
    Ok(facts)
}

fn write(dir: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let file = dir.join(name);
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn minutes(seconds: f64) -> String {
    match Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs() {
        seconds @ 0..90 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    }
}

fn seconds(text: &str) -> anyhow::Result<f64> {
    let seconds: f64 = text.parse().context("a number of seconds")?;
    ensure!((0.1..=600.0).contains(&seconds), "between 0.1 and 600 seconds");
    Ok(seconds)
}
