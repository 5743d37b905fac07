//! Servers called A, B, C … for the tests of single schedulers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{Algorithm, Change, Flow, Scheduler};
use crate::dest::{Dest, DestLive};
use crate::model::{DestKey, DestSpec, SchedFlags, Weight};
use crate::ramp::{Ramp, weigh};

pub(super) struct Bench {
    pub(super) dests: Vec<Dest>,
    scheduler: Box<dyn Scheduler>,
}

impl Bench {
    /// A service to which servers of these weights were added in this order.
    pub(super) fn new(algorithm: &Algorithm, weights: &[u32]) -> Self {
        Self::with_flags(algorithm, SchedFlags::default(), weights)
    }

    pub(super) fn with_flags(algorithm: &Algorithm, flags: SchedFlags, weights: &[u32]) -> Self {
        let mut bench = Self { dests: Vec::new(), scheduler: (algorithm.new)(flags) };
        for (i, weight) in (0..).zip(weights) {
            let live = Arc::new(DestLive::new(key(i)));
            let spec = DestSpec { weight: Weight(*weight), ..DestSpec::new(key(i)) };
            bench.dests.insert(0, Dest::new(&spec, live, Ramp::DONE));
            bench.scheduler.dests_changed(&bench.dests, &[Change::Added(key(i))]);
        }
        bench
    }

    /// The server with this letter.
    pub(super) fn server(&self, letter: char) -> &Dest {
        self.dests.iter().find(|d| name(d) == letter).unwrap()
    }

    pub(super) fn set_load(&self, letter: char, active: u32, inactive: u32) {
        let live = &self.server(letter).live;
        live.active.store(active, Relaxed);
        live.inactive.store(inactive, Relaxed);
    }

    /// The position of the pick in `dests`.
    pub(super) fn pick_index(&mut self) -> Option<usize> {
        self.scheduler.pick(&self.dests, &Flow::new(key(100), key(200)))
    }

    /// The pick for a flow like this; addresses as text, without a port if it does not matter.
    pub(super) fn pick_for(&mut self, client: &str, vip: &str) -> char {
        let addr = |text: &str| text.parse().unwrap_or_else(|_| SocketAddr::new(text.parse().unwrap(), 1));
        self.pick_flow(&Flow::new(addr(client), addr(vip)))
    }

    /// The pick of a scheduler that uses these random bits.
    pub(super) fn pick_with(&mut self, random: u64) -> char {
        self.pick_flow(&Flow { random, ..Flow::new(key(100), key(200)) })
    }

    pub(super) fn pick_flow(&mut self, flow: &Flow) -> char {
        self.scheduler.pick(&self.dests, flow).map_or('-', |i| name(&self.dests[i]))
    }

    pub(super) fn pick(&mut self) -> char {
        self.pick_index().map_or('-', |i| name(&self.dests[i]))
    }

    pub(super) fn picks(&mut self, count: usize) -> String {
        (0..count).map(|_| self.pick()).collect()
    }

    /// Gives the service a new scheduler.
    pub(super) fn rebind(&mut self, algorithm: &Algorithm) {
        self.scheduler = (algorithm.new)(SchedFlags::default());
        self.scheduler.dests_changed(&self.dests, &[Change::Bound]);
    }

    pub(super) fn edit(&mut self, letter: char, weight: u32) {
        let dest = self.dests.iter_mut().find(|d| name(d) == letter).unwrap();
        *dest = dest.edited(&DestSpec { weight: Weight(weight), ..dest.spec() });
        let key = dest.live.key;
        weigh(&mut self.dests);
        self.scheduler.dests_changed(&self.dests, &[Change::Edited(key)]);
    }

    /// Adds a server that was there before.
    pub(super) fn put(&mut self, dest: Dest) {
        let key = dest.live.key;
        self.dests.insert(0, dest);
        self.scheduler.dests_changed(&self.dests, &[Change::Added(key)]);
    }

    pub(super) fn remove(&mut self, letter: char) {
        let i = self.dests.iter().position(|d| name(d) == letter).unwrap();
        let gone = self.dests.remove(i).live.key;
        let previous = i.checked_sub(1).map(|p| self.dests[p].live.key);
        self.scheduler.dests_changed(&self.dests, &[Change::Removed { gone, previous }]);
    }
}

fn key(i: u8) -> DestKey {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, i)), 80)
}

fn name(dest: &Dest) -> char {
    let IpAddr::V4(addr) = dest.live.key.ip() else { unreachable!("see key()") };
    (b'A' + addr.octets()[3]).into()
}
