//! What is measured of every contender.

use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::stand::Stand;
use super::tools::{self, Download};

/// A measurement; each has a fresh lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Measure {
    /// Small requests on 50 connections that stay open
    Requests,
    /// New connections that nobody may resume
    Full,
    /// New connections that resume a session
    Resumed,
    /// A download of 1 GB
    Bulk1,
    /// Four downloads at once, 1 GB together
    Bulk4,
    /// Memory of idle connections
    Idle,
    /// 500 busy connections, alone and among many idle ones
    Crowd,
}

/// A number of a measurement: its row in the table, with the unit.
pub(super) type Figure = (String, f64);

/// Connections of measurements of rates.
const BUSY: u32 = 50;
/// Connections of [`Measure::Crowd`] that are busy.
const CROWD_BUSY: u32 = 500;
/// Idle ones there, and for [`Measure::Idle`], where file descriptors suffice.
const CROWD_IDLE: u32 = 10_000;
const IDLE: u32 = 5000;
/// Bytes of downloads.
const BULK: u64 = 1_000_000_000;
/// Longest wait for a download.
const PATIENCE: Duration = Duration::from_secs(120);
/// Seconds for connections to come up, and between the end of a measurement and that of its load.
const WARM_UP: u32 = 3;
const COOL_DOWN: u32 = 1;
/// Until whoever gives memory back has done so.
const SETTLED: Duration = Duration::from_secs(3);

impl Measure {
    /// Whether clients may resume sessions.
    pub(super) fn resumption(self) -> bool {
        self != Self::Full
    }

    /// Measures it.
    pub(super) fn run(self, stand: &Stand<'_>) -> anyhow::Result<Vec<Figure>> {
        match self {
            Self::Requests => rate(stand, false, "keep-alive requests, 1000/s"),
            Self::Full => rate(stand, true, "full handshakes, 1000/s"),
            Self::Resumed => rate(stand, true, "resumed connections, 1000/s"),
            Self::Bulk1 => bulk(stand, 1, "download, 1 stream, Gbit/s"),
            Self::Bulk4 => bulk(stand, 4, "download, 4 streams, Gbit/s"),
            Self::Idle => idle(stand),
            Self::Crowd => crowd(stand),
        }
    }
}

fn rate(stand: &Stand<'_>, close: bool, row: &str) -> anyhow::Result<Vec<Figure>> {
    let before = stand.usage()?;
    let rate = tools::wrk(&stand.lab.client, &stand.url("/"), BUSY, stand.bench.seconds, close)?;
    let used = stand.usage()?.since(before);
    Ok(vec![
        figure(row, rate.per_s / 1e3),
        figure("- CPU for each, us", used.cpu * 1e6 / rate.requests),
        // A resumed connection is told from a full handshake by the certificate that it has not.
        figure("- bytes to the client for each", used.sent / rate.requests),
        figure("- errors", rate.errors as f64),
    ])
}

fn bulk(stand: &Stand<'_>, streams: u64, row: &str) -> anyhow::Result<Vec<Figure>> {
    let url = stand.url(&format!("/bytes/{}", BULK / streams));
    let (before, start) = (stand.usage()?, Instant::now());
    let downloads: Vec<Download> = (0..streams)
        .map(|_| Download::start(&stand.lab.client, &stand.bench.site, &url, PATIENCE))
        .collect::<anyhow::Result<_>>()?;
    let mut bytes = 0.0;
    for download in downloads {
        bytes += download.finish()?.bytes;
    }
    let took = start.elapsed().as_secs_f64();
    let used = stand.usage()?.since(before);
    anyhow::ensure!(bytes == BULK as f64, "{bytes} of {BULK} bytes came within {PATIENCE:?}");
    Ok(vec![figure(row, bytes * 8e-9 / took), figure("- CPU for each GB, s", used.cpu * 1e9 / bytes)])
}

fn idle(stand: &Stand<'_>) -> anyhow::Result<Vec<Figure>> {
    let connections = possible(stand, IDLE);
    let before = stand.usage()?;
    let _holders = stand.idle(connections)?;
    thread::sleep(SETTLED);
    let used = stand.usage()?.since(before);
    let each = |what: f64| what / f64::from(connections);
    Ok(vec![
        figure(format!("memory for each of {connections} idle connections, KiB"), each(used.resident)),
        figure("- kernel sockets for each", each(used.sockets)),
    ])
}

fn crowd(stand: &Stand<'_>) -> anyhow::Result<Vec<Figure>> {
    let (alone, alone_cpu, alone_errors) = steady(stand)?;
    let connections = possible(stand, CROWD_IDLE);
    let _holders = stand.idle(connections)?;
    let (among, among_cpu, among_errors) = steady(stand)?;
    Ok(vec![
        figure("requests of 500 connections, 1000/s", alone / 1e3),
        figure("- CPU for each, us", alone_cpu),
        figure(format!("- among {connections} idle ones, 1000/s"), among / 1e3),
        figure("- CPU for each, us", among_cpu),
        figure("- of the rate alone", among / alone),
        figure("- errors", (alone_errors + among_errors) as f64),
    ])
}

/// Requests in a second of [`CROWD_BUSY`] connections once all of them are up, the CPU for each in microseconds, and
/// errors.
fn steady(stand: &Stand<'_>) -> anyhow::Result<(f64, f64, u64)> {
    let (seconds, url) = (stand.bench.seconds, stand.url("/"));
    thread::scope(|scope| {
        let load = scope
            .spawn(|| tools::wrk(&stand.lab.client, &url, CROWD_BUSY, WARM_UP + seconds + COOL_DOWN, false));
        thread::sleep(Duration::from_secs(WARM_UP.into()));
        let (start, before, requests) = (Instant::now(), stand.usage()?, stand.requests());
        thread::sleep(Duration::from_secs(seconds.into()));
        let (took, answered) = (start.elapsed().as_secs_f64(), (stand.requests() - requests) as f64);
        let used = stand.usage()?.since(before);
        let load = load.join().map_err(|_| anyhow::anyhow!("the load generator panicked"))??;
        Ok((answered / took, used.cpu * 1e6 / answered, load.errors))
    })
}

fn figure(row: impl Into<String>, value: f64) -> Figure {
    (row.into(), value)
}

/// So many connections, if whoever needs two descriptors for each has them.
fn possible(stand: &Stand<'_>, wanted: u32) -> u32 {
    let room = stand.bench.connections.saturating_sub(u64::from(2 * CROWD_BUSY));
    wanted.min(u32::try_from(room).unwrap_or(u32::MAX))
}
