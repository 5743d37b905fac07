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
pub(super) type Figure = (&'static str, f64);

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
            Self::Requests => rate(
                stand,
                BUSY,
                false,
                [
                    "keep-alive requests, 1000/s",
                    "- CPU for each, us",
                    "- bytes to the client for each",
                    "- errors",
                ],
            ),
            Self::Full => rate(
                stand,
                BUSY,
                true,
                [
                    "full handshakes, 1000/s",
                    "- CPU for each, us",
                    "- bytes to the client for each",
                    "- errors",
                ],
            ),
            Self::Resumed => rate(
                stand,
                BUSY,
                true,
                [
                    "resumed connections, 1000/s",
                    "- CPU for each, us",
                    "- bytes to the client for each",
                    "- errors",
                ],
            ),
            Self::Bulk1 => bulk(stand, 1, ["download, 1 stream, Gbit/s", "- CPU for each GB, s"]),
            Self::Bulk4 => bulk(stand, 4, ["download, 4 streams, Gbit/s", "- CPU for each GB, s"]),
            Self::Idle => idle(stand),
            Self::Crowd => crowd(stand),
        }
    }
}

fn rate(
    stand: &Stand<'_>,
    connections: u32,
    close: bool,
    rows: [&'static str; 4],
) -> anyhow::Result<Vec<Figure>> {
    let before = stand.usage()?;
    let url = stand.url("/");
    let rate = tools::wrk(&stand.lab.client, &url, connections, stand.bench.seconds, close)?;
    let used = stand.usage()?.since(before);
    let values =
        [rate.per_s / 1e3, used.cpu * 1e6 / rate.requests, used.sent / rate.requests, rate.errors as f64];
    Ok(rows.into_iter().zip(values).collect())
}

fn bulk(stand: &Stand<'_>, streams: u64, rows: [&'static str; 2]) -> anyhow::Result<Vec<Figure>> {
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
    Ok(rows.into_iter().zip([bytes * 8e-9 / took, used.cpu * 1e9 / bytes]).collect())
}

fn idle(stand: &Stand<'_>) -> anyhow::Result<Vec<Figure>> {
    let connections = possible(stand, IDLE);
    let before = stand.usage()?;
    let _holders = stand.idle(connections)?;
    thread::sleep(SETTLED);
    let used = stand.usage()?.since(before);
    let each = |what: f64| what / f64::from(connections);
    Ok(vec![
        ("idle connections", f64::from(connections)),
        ("- memory for each, KiB", each(used.resident)),
        ("- kernel sockets for each", each(used.sockets)),
    ])
}

fn crowd(stand: &Stand<'_>) -> anyhow::Result<Vec<Figure>> {
    let requests = || {
        let url = stand.url("/");
        tools::wrk(&stand.lab.client, &url, CROWD_BUSY, stand.bench.seconds, false)
    };
    let alone = requests()?;
    let connections = possible(stand, CROWD_IDLE);
    let _holders = stand.idle(connections)?;
    let among = requests()?;
    Ok(vec![
        ("requests of 500 connections, 1000/s", alone.per_s / 1e3),
        ("- among so many idle ones", f64::from(connections)),
        ("- 1000/s", among.per_s / 1e3),
        ("- share of the rate alone", among.per_s / alone.per_s),
        ("- errors", (alone.errors + among.errors) as f64),
    ])
}

/// So many connections, if whoever needs two descriptors for each has them.
fn possible(stand: &Stand<'_>, wanted: u32) -> u32 {
    let room = stand.bench.connections.saturating_sub(u64::from(2 * CROWD_BUSY));
    wanted.min(u32::try_from(room).unwrap_or(u32::MAX))
}
