//! Counters of a service or a server: written by every worker, each in a place of its own, and summed up by listings.

mod estimator;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

pub use estimator::Estimator;

/// A reading of [`Stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Flows scheduled.
    pub conns: u64,
    /// Packets from clients; a super-packet counts as the segments it stands for.
    pub in_packets: u64,
    /// Packets from servers.
    pub out_packets: u64,
    /// Bytes from clients, from the IP header on.
    pub in_bytes: u64,
    /// Bytes from servers.
    pub out_bytes: u64,
}

/// Traffic per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// New flows.
    pub cps: u64,
    /// Packets from clients.
    pub in_pps: u64,
    /// Packets from servers.
    pub out_pps: u64,
    /// Bytes from clients.
    pub in_bps: u64,
    /// Bytes from servers.
    pub out_bps: u64,
}

impl Counts {
    /// What has happened since `zero`: how IPVS zeroes its counters.
    pub const fn since(self, zero: Self) -> Self {
        Self {
            conns: self.conns.wrapping_sub(zero.conns),
            in_packets: self.in_packets.wrapping_sub(zero.in_packets),
            out_packets: self.out_packets.wrapping_sub(zero.out_packets),
            in_bytes: self.in_bytes.wrapping_sub(zero.in_bytes),
            out_bytes: self.out_bytes.wrapping_sub(zero.out_bytes),
        }
    }
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Client to server.
    In,
    /// Server to client.
    Out,
}

/// Writers that count in a place of their own. The others share one.
const OWN: usize = 8;

/// Who counts traffic: a number from 0. No two threads have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writer(pub usize);

/// The live counters.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Stats {
    own: [OnceLock<Box<Traffic>>; OWN],
    shared: Traffic,
    conns: AtomicU64,
    readers: Mutex<Readers>,
}

/// Those of one writer, which no other one's are next to.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Traffic {
    packets: [AtomicU64; 2],
    bytes: [AtomicU64; 2],
}

/// What only the control plane touches.
#[derive(Debug, Default)]
struct Readers {
    zero: Counts,
    estimator: Estimator,
}

impl Stats {
    /// Counts a new flow.
    pub fn count_conn(&self) {
        self.conns.fetch_add(1, Relaxed);
    }

    /// Counts `packets` packets of `bytes` bytes together.
    #[inline(always)]
    pub fn count(&self, writer: Writer, direction: Direction, packets: u64, bytes: u64) {
        let i = direction as usize;
        if let Some(own) = self.own.get(writer.0) {
            let own = own.get_or_init(Box::default);
            // One writer only, so a plain load and store does what a locked add would.
            let add = |counter: &AtomicU64, n| counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
            add(&own.packets[i], packets);
            add(&own.bytes[i], bytes);
        } else {
            self.shared.packets[i].fetch_add(packets, Relaxed);
            self.shared.bytes[i].fetch_add(bytes, Relaxed);
        }
    }

    /// Has what a writer counts in fetched from memory, before it counts: what it gives means nothing.
    #[inline]
    pub fn fetch(&self, writer: Writer) -> u64 {
        let own = self.own.get(writer.0).and_then(OnceLock::get);
        own.map_or(0, |own| own.packets[0].load(Relaxed))
    }

    /// What has been counted since the last [`Stats::zero`].
    pub fn read(&self) -> Counts {
        self.total().since(self.readers().zero)
    }

    /// Traffic per second, by the latest [`Stats::sample`].
    pub fn rates(&self) -> Rates {
        self.readers().estimator.rates()
    }

    /// Brings the rates up to date; to be called every [`Estimator::PERIOD_SECS`]. Workers notice nothing but that
    /// their counters are read.
    pub fn sample(&self) {
        self.readers().estimator.sample(self.total());
    }

    /// Starts again from zero, rates too: keeps a zero point and lets the counters run, as `ipvsadm -Z` does in the
    /// kernel.
    pub fn zero(&self) {
        let total = self.total();
        let mut readers = self.readers();
        readers.zero = total;
        readers.estimator.zero(total);
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has been counted ever.
    pub(crate) fn total(&self) -> Counts {
        let mut total = Counts { conns: self.conns.load(Relaxed), ..Counts::default() };
        let own = self.own.iter().filter_map(|own| own.get().map(|own| &**own));
        for Traffic { packets, bytes } in own.chain([&self.shared]) {
            let add = |sum: &mut u64, counter: &AtomicU64| *sum = sum.wrapping_add(counter.load(Relaxed));
            add(&mut total.in_packets, &packets[0]);
            add(&mut total.out_packets, &packets[1]);
            add(&mut total.in_bytes, &bytes[0]);
            add(&mut total.out_bytes, &bytes[1]);
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_keeps_the_counters_running_and_moves_the_zero_point() {
        let stats = Stats::default();
        stats.count_conn();
        stats.count(Writer(0), Direction::In, 3, 180);
        stats.sample();
        assert_ne!(stats.rates(), Rates::default());
        stats.zero();
        stats.sample();
        assert_eq!(stats.rates(), Rates::default());
        stats.count(Writer(1), Direction::Out, 2, 120);
        assert_eq!(stats.read(), Counts { out_packets: 2, out_bytes: 120, ..Counts::default() });
    }

    #[test]
    fn nothing_that_any_writer_counts_is_lost() {
        const WRITERS: usize = OWN + 4;
        let stats = Stats::default();
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let stats = &stats;
                scope.spawn(move || {
                    (0..1000).for_each(|_| stats.count(Writer(writer), Direction::In, 1, 100));
                });
            }
        });
        let packets = 1000 * WRITERS as u64;
        let counted = Counts { in_packets: packets, in_bytes: 100 * packets, ..Counts::default() };
        assert_eq!(stats.read(), counted);
    }
}
