//! Counters of a service or a server: written by every worker, read by listings.

mod estimator;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// The live counters.
#[derive(Debug, Default)]
pub struct Stats {
    conns: AtomicU64,
    packets: [AtomicU64; 2],
    bytes: [AtomicU64; 2],
    readers: Mutex<Readers>,
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
    pub fn count(&self, direction: Direction, packets: u64, bytes: u64) {
        let i = direction as usize;
        self.packets[i].fetch_add(packets, Relaxed);
        self.bytes[i].fetch_add(bytes, Relaxed);
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

    fn total(&self) -> Counts {
        Counts {
            conns: self.conns.load(Relaxed),
            in_packets: self.packets[0].load(Relaxed),
            out_packets: self.packets[1].load(Relaxed),
            in_bytes: self.bytes[0].load(Relaxed),
            out_bytes: self.bytes[1].load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_keeps_the_counters_running_and_moves_the_zero_point() {
        let stats = Stats::default();
        stats.count_conn();
        stats.count(Direction::In, 3, 180);
        stats.sample();
        assert_ne!(stats.rates(), Rates::default());
        stats.zero();
        stats.sample();
        assert_eq!(stats.rates(), Rates::default());
        stats.count(Direction::Out, 2, 120);
        assert_eq!(stats.read(), Counts { out_packets: 2, out_bytes: 120, ..Counts::default() });
    }
}
