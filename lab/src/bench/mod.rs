//! `ulvs lab bench`: balancers against each other, in one topology and the same minutes.
//!
//! Client, director, two servers and the load generator share the machine's cores, so absolute numbers say little;
//! the ratios say something. Rounds alternate the variants, so that what the machine does meanwhile hits all of them,
//! and a ratio is the median of the ratios within the rounds. Each measurement has a fresh lab: nobody inherits a full
//! connection table.

mod report;
mod tls;
mod variant;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use self::report::Table;
use self::tls::TlsArgs;
use self::variant::Variant;
use crate::cli::Place;
use crate::load::{self, Direction, LoadSpec, Mode, Report};

/// Options of `ulvs lab bench`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    other: Option<OtherBench>,
    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds for each measurement
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// What to compare
    #[arg(long, value_delimiter = ',', value_enum, default_value = "route,nft,haproxy,ulvs")]
    variants: Vec<Variant>,
    /// Every sample, for programs
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
}

impl BenchArgs {
    /// Where the namespaces belong.
    pub(crate) fn place(&self) -> Place {
        match &self.other {
            None => self.place,
            Some(OtherBench::Tls(args)) => args.place,
        }
    }
}

/// A kind of load and what is counted of it.
#[derive(Clone, Copy, Debug)]
struct Workload {
    name: &'static str,
    unit: &'static str,
    mode: Mode,
    value: fn(&Report) -> f64,
}

const WORKLOADS: [Workload; 4] = [
    Workload {
        name: "bulk, 1 stream",
        unit: "Gbit/s",
        mode: Mode::Bulk { streams: 1, direction: Direction::Download },
        value: Report::gbit_per_s,
    },
    Workload {
        name: "bulk, 8 streams",
        unit: "Gbit/s",
        mode: Mode::Bulk { streams: 8, direction: Direction::Download },
        value: Report::gbit_per_s,
    },
    Workload {
        name: "keep-alive requests",
        unit: "1000/s",
        mode: Mode::KeepAlive { concurrency: 32 },
        value: |report| report.requests_per_s() / 1e3,
    },
    Workload {
        name: "new connections",
        unit: "1000/s",
        mode: Mode::NewConn { concurrency: 32 },
        value: |report| report.connections_per_s() / 1e3,
    },
];

pub(crate) fn main(args: &BenchArgs, ulvs: &Path, state_root: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    if let Some(OtherBench::Tls(args)) = &args.other {
        return tls::main(args, ulvs, state_root);
    }
    for variant in &args.variants {
        variant.check()?;
    }
    let mut table = Table::new(&args.variants);
    for round in 1..=args.rounds {
        for &variant in &args.variants {
            let samples = measure(args, variant, ulvs, state_root.clone())
                .with_context(|| format!("cannot measure {}", variant.name()))?;
            let line: Vec<String> = WORKLOADS
                .iter()
                .zip(&samples)
                .map(|(workload, report)| format!("{:.2} {}", (workload.value)(report), workload.unit))
                .collect();
            writeln!(io::stderr(), "round {round}/{}, {}: {}", args.rounds, variant.name(), line.join(", "))?;
            table.add(variant, &samples);
        }
    }
    let mut out = io::stdout();
    if args.json { writeln!(out, "{:#}", table.json()) } else { writeln!(out, "{table}") }
        .context("cannot write the results")?;
    Ok(ExitCode::SUCCESS)
}

/// All workloads through one variant, in a fresh lab.
fn measure(
    args: &BenchArgs,
    variant: Variant,
    ulvs: &Path,
    state_root: Option<PathBuf>,
) -> anyhow::Result<Vec<Report>> {
    let director = variant.set_up(ulvs, state_root)?;
    let duration = Duration::from_secs(args.seconds.into());
    WORKLOADS
        .iter()
        .map(|workload| {
            let spec = LoadSpec { target: director.target, mode: workload.mode, duration };
            load::run(&director.lab.client, &spec)
        })
        .collect()
}

/// Where a program is, also where only root's `PATH` has it.
fn find(program: &str, package: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    dirs.map(|dir| dir.join(program)).find(|file| file.is_file()).with_context(|| {
        format!("{program} is not installed (Debian package {package}); install it, or measure without it")
    })
}
