//! What is asked of the contenders, and what is counted of it.

use std::time::Duration;

use clap::ValueEnum;

use super::stand::{Moment, Stand};
use super::usage;
use crate::load::{self, DatagramSpec, Direction, LoadSpec, Mode, Report};

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Workload {
    /// A download
    Bulk1,
    /// Eight downloads at once
    Bulk8,
    /// Small requests, one after the other, on one connection
    Requests1,
    /// The same on 64 connections
    Requests64,
    /// The same on 1000 connections
    Requests1000,
    /// The latency of requests at half of what nftables DNAT can do on 64 connections
    Half,
    /// Connections for one small request each, 64 at a time
    Connections,
    /// 64-byte frames with UDP that are answered
    Udp,
    /// Connections for one small request each, 1000 at a time, while 100,000 others are idle
    Crowd,
}

/// What came of one measurement.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) report: Report,
    /// Seconds of CPU meanwhile: of the contender's processes, and of the whole machine.
    pub(super) own_cpu: f64,
    pub(super) machine_cpu: f64,
    /// Connections that were idle meanwhile.
    pub(super) idle: usize,
    /// What a reader has to know.
    pub(super) remark: Option<String>,
}

/// A number of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    /// What the workload is about.
    Value,
    P50,
    P99,
    /// CPU for each unit, of the contender's processes and of the machine.
    OwnCpu,
    MachineCpu,
}

/// Connections that [`Workload::Crowd`] wants idle.
pub(super) const IDLE: usize = 100_000;
/// Connections that it makes at a time.
pub(super) const CROWD: usize = 1000;
/// Bytes in a datagram whose frame has 64 with its check sequence.
const PAYLOAD: usize = 64 - 4 - 14 - 20 - 8;
/// The longest time before counting begins.
const WARM_UP: f64 = 0.4;

impl Workload {
    /// As tables have it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Bulk1 => "bulk, 1 stream",
            Self::Bulk8 => "bulk, 8 streams",
            Self::Requests1 => "keep-alive requests, 1 connection",
            Self::Requests64 => "keep-alive requests, 64 connections",
            Self::Requests1000 => "keep-alive requests, 1000 connections",
            Self::Half => "p99 at half load",
            Self::Connections => "new connections",
            Self::Udp => "64-byte frames of UDP, answered",
            Self::Crowd => "1000 short flows over 100,000 idle ones",
        }
    }

    /// As the command line has it.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Of [`Figure::Value`].
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Bulk1 | Self::Bulk8 => "Gbit/s",
            Self::Half => "p99, us",
            _ => "k/s",
        }
    }

    /// Of CPU.
    pub(super) fn cpu_unit(self) -> &'static str {
        if self.is_bulk() { "ms for a GB" } else { "us for each" }
    }

    fn is_bulk(self) -> bool {
        matches!(self, Self::Bulk1 | Self::Bulk8)
    }

    /// Whether latencies say anything.
    pub(super) fn has_latency(self) -> bool {
        !self.is_bulk() && self != Self::Udp
    }

    /// Whether more of [`Figure::Value`] is better.
    pub(super) fn is_rate(self) -> bool {
        self != Self::Half
    }

    /// A number of a sample.
    pub(super) fn figure(self, sample: &Sample, figure: Figure) -> f64 {
        let report = &sample.report;
        let each = |cpu: f64| {
            let (units, scale) =
                if self.is_bulk() { (report.bytes as f64 / 1e9, 1e3) } else { (report.requests as f64, 1e6) };
            cpu * scale / units
        };
        match figure {
            Figure::Value if self.is_bulk() => report.gbit_per_s(),
            Figure::Value if self == Self::Half => report.latency.p99 as f64,
            Figure::Value => report.requests_per_s() / 1e3,
            Figure::P50 => report.latency.p50 as f64,
            Figure::P99 => report.latency.p99 as f64,
            Figure::OwnCpu => each(sample.own_cpu),
            Figure::MachineCpu => each(sample.machine_cpu),
        }
    }

    /// Measures it. `pace` is that of [`Workload::Half`].
    pub(super) fn run(self, stand: &Stand, seconds: f64, pace: u32) -> anyhow::Result<Sample> {
        let idle = if self == Self::Crowd { stand.leave_idle()? } else { 0 };
        let mode = match self {
            Self::Bulk1 => Mode::Bulk { streams: 1, direction: Direction::Download },
            Self::Bulk8 => Mode::Bulk { streams: 8, direction: Direction::Download },
            Self::Requests1 => Mode::KeepAlive { concurrency: 1 },
            Self::Requests64 | Self::Udp => Mode::KeepAlive { concurrency: 64 },
            Self::Requests1000 => Mode::KeepAlive { concurrency: 1000 },
            Self::Half => Mode::Paced { concurrency: 64, per_s: pace },
            Self::Connections => Mode::NewConn { concurrency: 64 },
            Self::Crowd => Mode::NewConn { concurrency: CROWD },
        };
        let (target, duration) = (stand.target, Duration::from_secs_f64(seconds));
        let warm_up = Duration::from_secs_f64(WARM_UP.min(seconds));
        let mut moments = Vec::new();
        let pids = usage::processes(stand.lab.director.netns())?;
        let mark = || moments.push(Moment::now(&pids));
        let report = if self == Self::Udp {
            let spec = DatagramSpec { target, sockets: 16, window: 8, payload: PAYLOAD, duration };
            load::measure_datagrams(&stand.lab.client, &spec, warm_up, mark)
        } else {
            load::measure(&stand.lab.client, &LoadSpec { target, mode, duration }, warm_up, mark)
        }?;
        let mut moments = moments.into_iter();
        let (Some(begun), Some(ended)) = (moments.next(), moments.next()) else {
            anyhow::bail!("the load ended before it was counted");
        };
        let (begun, ended) = (begun?, ended?);
        anyhow::ensure!(report.requests + report.bytes > 0, "nothing came back: {report:?}");
        Ok(Sample {
            report,
            own_cpu: ended.own - begun.own,
            machine_cpu: ended.machine - begun.machine,
            idle,
            remark: stand.remark(),
        })
    }
}
