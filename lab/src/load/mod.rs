//! The load generator: one thread, one epoll, buffers used again. It has to be cheap, because on a small machine it
//! shares the cores with what it measures. It speaks to [`serve::Http`](crate::serve::Http), and for datagrams to
//! [`serve::UdpEcho`](crate::serve::UdpEcho).

mod clock;
mod datagrams;
mod histogram;
mod idle;
mod pace;
mod slot;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use mio::{Events, Poll, Token};
use serde::Serialize;

pub(crate) use self::idle::forget;
pub use self::idle::leave_idle;

use self::clock::Clock;
use self::histogram::Histogram;
use self::pace::Pace;
use self::slot::{Slot, Turn};
use crate::node::Node;
use crate::pattern::{MAX_PIECE, Pattern};

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct LoadSpec {
    /// A server, or a VIP before some.
    pub target: SocketAddr,
    /// What to ask of it.
    pub mode: Mode,
    /// For how long.
    pub duration: Duration,
}

/// Kinds of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Small requests, one after the other, on connections that stay open.
    KeepAlive {
        /// Connections at once.
        concurrency: usize,
    },
    /// Small requests on connections that stay open, so many in a second, whether or not earlier ones have been answered.
    /// A request's latency is from when it was due: a server that is late for one is late for those behind it.
    Paced {
        /// Connections at once.
        concurrency: usize,
        /// Requests in a second.
        per_s: u32,
    },
    /// A connection for each small request. The server closes first, so that TIME_WAIT is on its side and the client
    /// does not run out of ports.
    NewConn {
        /// Connections at once.
        concurrency: usize,
    },
    /// Streams without end.
    Bulk {
        /// Connections at once.
        streams: usize,
        /// Which way the bytes go.
        direction: Direction,
    },
}

/// Datagrams that are answered, each answer followed by the next one. What is lost is an error, and sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatagramSpec {
    /// A [`serve::UdpEcho`](crate::serve::UdpEcho), or a VIP before some.
    pub target: SocketAddr,
    /// Sockets at once.
    pub sockets: usize,
    /// Datagrams on their way, for each socket.
    pub window: usize,
    /// Bytes in each.
    pub payload: usize,
    /// For how long.
    pub duration: Duration,
}

/// Which way bulk data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From server to client.
    Download,
    /// From client to server.
    Upload,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Seconds measured.
    pub seconds: f64,
    /// Seconds of CPU of the thread that made the load. What the kernel does for a packet at once, up to its arrival, is
    /// in it.
    pub cpu: f64,
    /// Requests answered in full, or datagrams answered.
    pub requests: u64,
    /// Connections on which something was answered for the first time.
    pub connections: u64,
    /// Bytes received or, for uploads, sent.
    pub bytes: u64,
    /// Connections refused, reset or closed too early, answers that were no 200, and requests without progress for
    /// two seconds.
    pub errors: u64,
    /// Time from request (for [`Mode::NewConn`] from before connecting) to the answer's end.
    pub latency: Latency,
}

/// Percentiles in microseconds (of datagrams there are none), at most 2 % too high.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Half of the requests were faster.
    pub p50: u64,
    /// 90 % were faster.
    pub p90: u64,
    /// 99 % were faster.
    pub p99: u64,
    /// The slowest.
    pub max: u64,
}

impl Report {
    /// Requests answered in a second.
    pub fn requests_per_s(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// Payload in Gbit/s.
    pub fn gbit_per_s(&self) -> f64 {
        self.bytes as f64 * 8e-9 / self.seconds
    }
}

/// Produces the load from the node and returns when the time is over.
pub fn run(node: &Node, spec: &LoadSpec) -> anyhow::Result<Report> {
    measure(node, spec, Duration::ZERO, || {})
}

/// The same after a time of the same load that is not counted. `mark` is called, on the thread that makes the load, when
/// the counted time begins, and when it ends and all connections are still there.
pub fn measure(
    node: &Node,
    spec: &LoadSpec,
    warm_up: Duration,
    mut mark: impl FnMut() + Send,
) -> anyhow::Result<Report> {
    node.run(|| generate(spec, Clock::new(warm_up, spec.duration, &mut mark)))?
        .with_context(|| format!("cannot produce load from {node}"))
}

/// The same with datagrams.
pub fn measure_datagrams(
    node: &Node,
    spec: &DatagramSpec,
    warm_up: Duration,
    mut mark: impl FnMut() + Send,
) -> anyhow::Result<Report> {
    node.run(|| datagrams::exchange(spec, Clock::new(warm_up, spec.duration, &mut mark)))?
        .with_context(|| format!("cannot send datagrams from {node}"))
}

/// A request or stream without progress for so long has failed.
const STALLED: Duration = Duration::from_secs(2);
/// A connection that failed is made again after this, so that a refusing server is not stormed.
const BACK_OFF: Duration = Duration::from_millis(10);

/// What all connections share.
struct Shared {
    spec: LoadSpec,
    poll: Poll,
    pattern: Pattern,
    buffer: Vec<u8>,
    report: Report,
    latency: Histogram,
    /// Paced connections that have nothing to do.
    resting: VecDeque<usize>,
}

fn generate(spec: &LoadSpec, mut clock: Clock<'_>) -> io::Result<Report> {
    let slots = match spec.mode {
        Mode::KeepAlive { concurrency } | Mode::NewConn { concurrency } | Mode::Paced { concurrency, .. } => {
            concurrency
        }
        Mode::Bulk { streams, .. } => streams,
    };
    let mut shared = Shared {
        spec: *spec,
        poll: Poll::new()?,
        pattern: Pattern::default(),
        buffer: vec![0; MAX_PIECE],
        report: Report::default(),
        latency: Histogram::default(),
        resting: VecDeque::new(),
    };
    let mut pace = match spec.mode {
        Mode::Paced { per_s, .. } => Some(Pace::new(per_s, shared.poll.registry())?),
        _ => None,
    };
    let mut events = Events::with_capacity(1024);
    let mut slots: Vec<Slot> = (0..slots).map(|index| Slot::new(Token(index))).collect();
    let (mut again, mut turn) = (Vec::new(), Vec::new());
    let mut now = clock.start();
    for slot in &mut slots {
        slot.connect(&mut shared, now);
    }
    let mut swept = now;
    while now < clock.end() {
        if clock.begins(now)? {
            (shared.report, shared.latency) = <_>::default();
        }
        let timeout = if again.is_empty() { BACK_OFF.min(clock.end() - now) } else { Duration::ZERO };
        match shared.poll.poll(&mut events, Some(timeout)) {
            Err(err) if err.kind() != io::ErrorKind::Interrupted => return Err(err),
            _ => {}
        }
        std::mem::swap(&mut again, &mut turn);
        turn.extend(events.iter().map(|event| event.token().0).filter(|index| *index < slots.len()));
        now = Instant::now();
        for index in turn.drain(..) {
            if let Turn::Again = slots[index].ready(&mut shared) {
                again.push(index);
            }
        }
        while let Some(pace) = &mut pace
            && let Some(&index) = shared.resting.front()
            && let Some(at) = pace.due(now)
        {
            shared.resting.pop_front();
            if let Turn::Again = slots[index].ask(&mut shared, at, now) {
                again.push(index);
            }
        }
        if now - swept >= BACK_OFF {
            swept = now;
            for slot in &mut slots {
                slot.sweep(&mut shared, now);
            }
        }
    }
    let latency = shared.latency.summary();
    clock.finish(Report { latency, ..shared.report }, now)
}

#[cfg(test)]
mod tests;
