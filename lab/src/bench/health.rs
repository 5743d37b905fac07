//! `ulvs lab bench health`: what thousands of checks a second do to those who only want their requests answered.
//!
//! One service is asked at a steady pace, with and without checks of the servers of other services, by turns; each
//! measurement has a fresh lab, and a ratio is the median of the ratios within the rounds.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::stand::{Moment, PORT, done};
use super::stats::{shown, spread};
use super::usage;
use crate::addr::Family;
use crate::cli::Place;
use crate::client;
use crate::load::{self, LoadSpec, Mode};
use crate::serve::Http;
use crate::topo::{NatLab, NatOptions};
use crate::wait::wait_for;

/// Options of `ulvs lab bench health`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  ulvs lab bench health --rounds 1 --kind http")]
pub(super) struct HealthArgs {
    /// How often it is measured with checks and without
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds for each measurement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Servers that are checked every second
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    servers: u32,
    /// Requests a second; half of what the service can do unless given, where the slowest wait for the processor
    #[arg(long, value_name = "REQUESTS", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pace: Option<u32>,
    /// How they are checked
    #[arg(long, value_enum, default_value = "tcp")]
    kind: Kind,
    /// Every sample, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) place: Place,
}

/// Kinds of checks that the lab's servers answer.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// A connection
    Tcp,
    /// A page
    Http,
    /// A ping
    Icmp,
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Of the requests, in microseconds.
    p99: f64,
    /// Cores that the director's processes kept busy.
    cores: f64,
    /// Answers to checks in a second.
    asked: f64,
}

/// The servers that are checked have their addresses from here on, each service a hundred of them.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);
const NETWORK: &str = "10.64.0.0/15";
const IN_SERVICE: u32 = 100;
const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_millis(400);
/// Longest wait for the first request and for the first answer to every check.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn main(args: &HealthArgs, ulvs: &Path, state_root: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let mut err = io::stderr();
    let pace = match args.pace {
        Some(pace) => pace,
        None => (most(args, ulvs, state_root.clone())? / 2.0) as u32,
    };
    writeln!(err, "{pace} requests/s, with checks and without")?;
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        let sample = |checked: bool| {
            let lab = Lab::new(args, ulvs, state_root.clone(), checked)?;
            lab.measure(args, Mode::Paced { concurrency: CONNECTIONS, per_s: pace })
        };
        let (without, with) = (sample(false)?, sample(true)?);
        writeln!(
            err,
            "round {round}/{}: p99 {:.0} us without checks, {:.0} us with {:.0} of them a second; {:.2} and {:.2} cores",
            args.rounds, without.p99, with.p99, with.asked, without.cores, with.cores
        )?;
        rounds.push([without, with]);
    }
    let of = |figure: &dyn Fn(&[Sample; 2]) -> f64| spread(&rounds.iter().map(figure).collect::<Vec<_>>());
    let ratio = of(&|[without, with]| with.p99 / without.p99);
    let cores = of(&|[without, with]| with.cores - without.cores);
    let asked = of(&|[_, with]| with.asked);
    let mut out = io::stdout();
    if args.json {
        let sample = |s: &Sample| json!({ "p99_us": s.p99, "cores": s.cores, "checks_per_s": s.asked });
        let rounds: Vec<Value> =
            rounds.iter().map(|[without, with]| json!([sample(without), sample(with)])).collect();
        let ratio = ratio.map(|[median, ..]| median);
        writeln!(out, "{:#}", json!({ "pace": pace, "rounds": rounds, "p99_ratio": ratio }))
    } else {
        writeln!(
            out,
            "{} servers checked every second by {:?}, {pace} requests/s:\n\
             p99 with checks to without: {}\nchecks answered in a second: {}\ncores that checks take: {}",
            args.servers,
            args.kind,
            shown(ratio, true),
            shown(asked, true),
            shown(cores, true)
        )
    }
    .context("cannot write the results")?;
    Ok(ExitCode::SUCCESS)
}

/// Requests a second without checks.
fn most(args: &HealthArgs, ulvs: &Path, state_root: Option<PathBuf>) -> anyhow::Result<f64> {
    let lab = Lab::new(args, ulvs, state_root, false)?;
    let mode = Mode::KeepAlive { concurrency: CONNECTIONS };
    let report = load::measure(&lab.lab.client, &lab.load(args, mode), WARM_UP, || ())?;
    Ok(report.requests_per_s())
}

/// Fields are in the order in which they have to end.
struct Lab {
    ulvs: PathBuf,
    checked: bool,
    _servers: Vec<Http>,
    lab: NatLab,
}

impl Lab {
    fn new(
        args: &HealthArgs,
        ulvs: &Path,
        state_root: Option<PathBuf>,
        checked: bool,
    ) -> anyhow::Result<Self> {
        let lab = NatLab::new(&NatOptions { state_root, ..NatOptions::default() })?;
        for node in [&lab.client, &lab.director].into_iter().chain(&lab.servers) {
            node.sysctl("net.ipv4.ip_local_port_range", "1024 65535")?;
        }
        // One machine has them all.
        let many = &lab.servers[0];
        many.exec(&["ip", "route", "add", "local", NETWORK, "dev", "lo"])?;
        let via = lab.server_addrs[0].v4.to_string();
        lab.director.exec(&["ip", "route", "add", NETWORK, "via", &via])?;
        let servers = lab.servers.iter().map(|server| Http::start(server, PORT));
        let servers = servers.collect::<anyhow::Result<_>>()?;
        let file = lab.state_dir().join("ulvs.toml");
        fs::write(&file, config(args, &lab, checked)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        done(lab.director.command(ulvs).args(["run", "--detach", "--config"]).arg(&file))?;
        let lab = Self { ulvs: ulvs.to_owned(), checked, _servers: servers, lab };
        lab.wait(args)?;
        Ok(lab)
    }

    fn wait(&self, args: &HealthArgs) -> anyhow::Result<()> {
        let target = self.lab.vip.port(Family::V4, PORT);
        wait_for("the first request", PATIENCE, || client::get(&self.lab.client, target, "/").ok())?;
        if self.checked {
            let all = u64::from(args.servers);
            wait_for("every server to be asked", PATIENCE, || {
                self.answers().ok().filter(|(_, servers)| *servers >= all)
            })?;
        }
        Ok(())
    }

    fn load(&self, args: &HealthArgs, mode: Mode) -> LoadSpec {
        let duration = Duration::from_secs(args.seconds.into());
        LoadSpec { target: self.lab.vip.port(Family::V4, PORT), mode, duration }
    }

    fn measure(&self, args: &HealthArgs, mode: Mode) -> anyhow::Result<Sample> {
        let pids = usage::processes(self.lab.director.netns())?;
        let mut moments = Vec::new();
        // The list is long: to print it is not to be measured.
        let before = (self.asked()?, Instant::now());
        thread::sleep(Duration::from_millis(100));
        let report = load::measure(&self.lab.client, &self.load(args, mode), WARM_UP, || {
            moments.push((Moment::now(&pids), Instant::now()));
        })?;
        let after = (self.asked()?, Instant::now());
        ensure!(report.requests > 0, "nothing came back: {report:?}");
        let mut moments = moments.into_iter();
        let (Some((begun, from)), Some((ended, to))) = (moments.next(), moments.next()) else {
            anyhow::bail!("the load ended before it was counted");
        };
        let cores = (ended?.own - begun?.own) / (to - from).as_secs_f64();
        let asked = (after.0 - before.0) as f64 / (after.1 - before.1).as_secs_f64();
        Ok(Sample { p99: report.latency.p99 as f64, cores, asked })
    }

    fn asked(&self) -> anyhow::Result<u64> {
        if self.checked { self.answers().map(|(answers, _)| answers) } else { Ok(0) }
    }

    /// Answers to checks so far, and servers that have given one. None may be taken for dead.
    fn answers(&self) -> anyhow::Result<(u64, u64)> {
        let output = self.lab.director.command(&self.ulvs).args(["health", "--json"]).output()?;
        let list: Value = serde_json::from_slice(&output.stdout).context("`ulvs health --json` failed")?;
        let all = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let (mut answers, mut servers) = (0, 0);
        for server in all(&list, "services").iter().flat_map(|service| all(service, "servers")) {
            ensure!(server["alive"] == true, "a server does not answer its checks: {server}");
            let asked =
                all(&server, "checks").iter().filter_map(|check| check["asked"].as_u64()).sum::<u64>();
            answers += asked;
            servers += u64::from(asked > 0);
        }
        Ok((answers, servers))
    }
}

/// The service that is measured, and those whose servers are checked.
fn config(args: &HealthArgs, lab: &NatLab, checked: bool) -> anyhow::Result<String> {
    let vip = lab.vip.v4;
    let mut text = format!("[[service]]\nvip = \"{vip}\"\nports = [\"tcp/{PORT}\"]\nscheduler = \"rr\"\n");
    for server in &lab.server_addrs {
        writeln!(text, "[[service.server]]\naddress = \"{}:{PORT}\"", server.v4)?;
    }
    let kind = args.kind.to_possible_value().context("a kind of checks")?;
    for n in 0..args.servers {
        if n % IN_SERVICE == 0 {
            let port = 1000 + n / IN_SERVICE;
            writeln!(text, "[[service]]\nvip = \"{vip}\"\nports = [\"tcp/{port}\"]")?;
            if checked {
                writeln!(
                    text,
                    "[[service.check]]\nkind = \"{}\"\ninterval = \"1s\"\ntimeout = \"1s\"",
                    kind.get_name()
                )?;
            }
        }
        let addr = Ipv4Addr::from(u32::from(FIRST) + n);
        writeln!(text, "[[service.server]]\naddress = \"{addr}:{PORT}\"")?;
    }
    Ok(text)
}
