//! What outlives the snapshots of a server: its counters, thresholds and conditions, and the way to it. Snapshots,
//! connections and workers share it, so that all of it is atomics.

mod met;
mod way;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use self::met::Encounters;
pub use self::met::Met;
use self::way::Way;
use crate::model::DestKey;
use crate::stats::Stats;

/// The way to a server, as the host's routing has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Index of the device that leads there.
    pub device: u32,
    /// The neighbour on that link who takes its packets: a router, or the server itself.
    pub next_hop: IpAddr,
    /// The host's address that it would use itself to speak to the server.
    pub source: Option<IpAddr>,
}

/// How a learned path MTU and its end share a word.
const MTU_BITS: u32 = 16;
const MTU_MASK: u32 = 0xffff;

/// The live part of a server: one per (service, address, port) for as long as it or a connection to it exists. What every
/// packet asks for is in its first cache line, and in that of the counters.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct DestLive {
    learned: AtomicU64,
    /// Path MTU towards the server in bytes, as the host has it; 0 while unknown.
    pub mtu: AtomicU32,
    available: AtomicBool,
    overloaded: AtomicBool,
    draining: AtomicBool,
    down: AtomicBool,
    /// Traffic counters.
    pub stats: Stats,
    /// Connections in an active state.
    pub active: AtomicU32,
    /// Connections in any other state.
    pub inactive: AtomicU32,
    /// Persistence templates: clients that come back to it.
    pub persistent: AtomicU32,
    upper: AtomicU32,
    lower: AtomicU32,
    handshake_us: AtomicU32,
    /// Address and port.
    pub key: DestKey,
    path: Way,
    encounters: Encounters,
}

impl DestLive {
    /// A server that has just been added.
    pub fn new(key: DestKey) -> Self {
        Self {
            key,
            stats: Stats::default(),
            active: AtomicU32::new(0),
            inactive: AtomicU32::new(0),
            persistent: AtomicU32::new(0),
            mtu: AtomicU32::new(0),
            learned: AtomicU64::new(0),
            path: Way::default(),
            available: AtomicBool::new(true),
            overloaded: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            down: AtomicBool::new(false),
            encounters: Encounters::default(),
            upper: AtomicU32::new(0),
            lower: AtomicU32::new(0),
            handshake_us: AtomicU32::new(0),
        }
    }

    /// The same server, for nobody to see.
    pub(crate) fn copied(&self) -> Self {
        let [active, inactive, persistent, mtu] =
            [&self.active, &self.inactive, &self.persistent, &self.mtu].map(|n| n.load(Relaxed).into());
        let [upper, lower, handshake_us] =
            [&self.upper, &self.lower, &self.handshake_us].map(|n| n.load(Relaxed).into());
        let [available, overloaded, draining, down] =
            [&self.available, &self.overloaded, &self.draining, &self.down].map(|is| is.load(Relaxed).into());
        Self {
            key: self.key,
            stats: Stats::default(),
            active,
            inactive,
            persistent,
            mtu,
            learned: self.learned.load(Relaxed).into(),
            path: self.path.get().into(),
            available,
            overloaded,
            draining,
            down,
            encounters: self.encounters.copied(),
            upper,
            lower,
            handshake_us,
        }
    }

    /// How busy it is, as the least-connection schedulers measure: all connections, and each active one weighs 256
    /// more. (Older kernels leave the active ones out of "all"; it shows only where loads are nearly equal.)
    pub fn load(&self) -> u64 {
        let [active, inactive] = [&self.active, &self.inactive].map(|count| u64::from(count.load(Relaxed)));
        (active << 8) + active + inactive
    }

    /// Path MTU towards the server in bytes at a time, 0 while unknown: what the host knows, or what
    /// [`Self::learn_mtu`] was told if that is less. Times are milliseconds since whenever.
    #[inline]
    pub fn path_mtu(&self, now: u64) -> u32 {
        let (host, learned) = (self.mtu.load(Relaxed), self.learned.load(Relaxed));
        let (until, mtu) = (learned >> MTU_BITS, learned as u32 & MTU_MASK);
        if until <= now || host != 0 && host <= mtu { host } else { mtu }
    }

    /// The network says that no packet longer than `mtu` bytes (at most 65535) gets there. That holds until then, as
    /// the way may be another later.
    pub fn learn_mtu(&self, mtu: u32, until: u64) {
        self.learned.store(until << MTU_BITS | u64::from(mtu & MTU_MASK), Relaxed);
    }

    /// The way to it; `None` while there is none, or none is known.
    #[inline]
    pub fn path(&self) -> Option<Path> {
        self.path.get()
    }

    /// Tells what the way to it is.
    pub fn set_path(&self, path: Option<Path>) {
        if self.path() != path {
            self.path.set(path);
        }
    }

    /// False once it has been removed from its service: its connections get no more packets.
    #[inline]
    pub fn is_available(&self) -> bool {
        self.available.load(Relaxed)
    }

    /// Who comes back is not known to be dead.
    pub(crate) fn set_available(&self, yes: bool) {
        if yes {
            self.set_down(false);
        }
        self.available.store(yes, Relaxed);
    }

    /// While it is being drained, not even the clients who come back to it do.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Begins to turn those clients away too, or ends it. Weight 0 does the rest of a drain.
    pub fn set_draining(&self, yes: bool) {
        self.draining.store(yes, Relaxed);
    }

    /// It has been found dead: clients who come back to it do not, nor do those whose handshake with it was not over.
    /// What becomes of its connections, [`OnDown`](crate::OnDown) says.
    pub fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }

    /// Tells that it has been found dead, or alive again. Whoever takes it out of use does the rest.
    pub fn set_down(&self, yes: bool) {
        self.down.store(yes, Relaxed);
    }

    /// Tells the schedulers to leave it alone, or to come back.
    pub fn set_overloaded(&self, yes: bool) {
        self.overloaded.store(yes, Relaxed);
    }

    /// It has reached its upper threshold, and has not yet come down to the lower one.
    pub fn is_overloaded(&self) -> bool {
        self.overloaded.load(Relaxed)
    }

    /// Gives it thresholds, in connections; 0 for none. They count at once.
    pub(crate) fn set_thresholds(&self, upper: u32, lower: u32) {
        self.upper.store(upper, Relaxed);
        self.lower.store(lower, Relaxed);
        self.update_overload();
    }

    /// To be called when a connection or a persistence template comes or goes, after it has been counted. With as many
    /// connections as the upper threshold says it is overloaded, below the lower one it is not, and in between it is
    /// what it was. (Older kernels look at the two by turns, and at an edit of the upper one only.)
    pub fn update_overload(&self) {
        let upper = self.upper.load(Relaxed);
        let connections = self.connections();
        let overloaded = if upper == 0 {
            false
        } else if connections >= u64::from(upper) {
            true
        } else {
            let lower = match self.lower.load(Relaxed) {
                0 => upper - upper / 4,
                lower => lower,
            };
            connections >= u64::from(lower) && self.is_overloaded()
        };
        // All workers share the line, and most of the time there is nothing to write.
        if overloaded != self.is_overloaded() {
            self.set_overloaded(overloaded);
        }
    }

    /// How long it takes to answer a SYN, in microseconds: an average in which each new one weighs an eighth.
    /// `None` until there was one.
    pub fn handshake_us(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.handshake_us.load(Relaxed))
    }

    /// Takes the time of one more handshake into the average.
    pub fn count_handshake(&self, micros: u32) {
        // Two workers at once may lose one of the two: it is an average.
        let new = u64::from(micros.max(1));
        let average = self.handshake_us().map_or(new, |old| (u64::from(old.get()) * 7 + new).div_ceil(8));
        self.handshake_us.store(u32::try_from(average).unwrap_or(u32::MAX), Relaxed);
    }

    /// All that it serves; templates are no connections.
    fn connections(&self) -> u64 {
        u64::from(self.active.load(Relaxed)) + u64::from(self.inactive.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overload_comes_with_the_upper_threshold_and_goes_below_the_lower() {
        let live = server();
        live.set_thresholds(4, 2);
        assert_eq!(bind_until_overloaded(&live), 4);
        assert_eq!(unbind_until_relieved(&live), 1, "below the lower one");
        live.set_thresholds(8, 0);
        assert_eq!(bind_until_overloaded(&live), 8);
        assert_eq!(unbind_until_relieved(&live), 5, "below three quarters of the upper one");
        live.set_thresholds(7, 0);
        assert_eq!(bind_until_overloaded(&live), 7);
        assert_eq!(unbind_until_relieved(&live), 5, "5 1/4, rounded up to 6");
        live.set_thresholds(u32::MAX, u32::MAX);
        live.active.store(u32::MAX, Relaxed);
        live.update_overload();
        assert!(live.is_overloaded());
    }

    #[test]
    fn new_thresholds_count_at_once() {
        let live = server();
        live.inactive.store(8, Relaxed);
        for (upper, lower, overloaded) in [
            (0, 0, false),
            (9, 0, false),
            (8, 0, true),
            (9, 8, true),
            (10, 0, true),
            (11, 0, false),
            (11, 8, false),
            (7, 7, true),
            (12, 9, false),
            (1, 0, true),
            (0, 0, false),
        ] {
            live.set_thresholds(upper, lower);
            assert_eq!(live.is_overloaded(), overloaded, "{upper} {lower}");
        }
    }

    #[test]
    fn a_learned_mtu_counts_while_it_is_less_and_not_old() {
        let live = server();
        assert_eq!(live.path_mtu(0), 0);
        live.learn_mtu(1400, 1000);
        assert_eq!([0, 999, 1000].map(|now| live.path_mtu(now)), [1400, 1400, 0]);
        live.mtu.store(1500, Relaxed);
        assert_eq!([0, 999, 1000].map(|now| live.path_mtu(now)), [1400, 1400, 1500]);
        live.mtu.store(1300, Relaxed);
        assert_eq!([0, 999, 1000].map(|now| live.path_mtu(now)), [1300; 3]);
    }

    #[test]
    fn handshakes_are_averaged() {
        let live = server();
        assert_eq!(live.handshake_us(), None);
        let count = |micros| {
            live.count_handshake(micros);
            live.handshake_us().map(NonZeroU32::get)
        };
        assert_eq!(count(0), Some(1), "measured, and too fast to measure");
        assert_eq!(count(801), Some(101));
        (0..300).for_each(|_| live.count_handshake(u32::MAX));
        assert_eq!(count(u32::MAX), Some(u32::MAX));
        (0..300).for_each(|_| live.count_handshake(0));
        assert!(count(0) < Some(9), "it comes down again");
    }

    fn server() -> DestLive {
        DestLive::new("10.0.0.1:80".parse().unwrap())
    }

    fn bind_until_overloaded(live: &DestLive) -> u32 {
        while !live.is_overloaded() {
            live.inactive.fetch_add(1, Relaxed);
            live.update_overload();
        }
        live.inactive.load(Relaxed)
    }

    fn unbind_until_relieved(live: &DestLive) -> u32 {
        while live.is_overloaded() {
            live.inactive.fetch_sub(1, Relaxed);
            live.update_overload();
        }
        live.inactive.load(Relaxed)
    }
}
