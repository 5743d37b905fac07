//! Next hops that somebody sends to, with their link addresses: written by the keeper, read by every worker without a
//! lock. They come by being asked for and go when nobody has used them for a while.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A neighbour: the index of a device, and an address on its link.
pub type NextHop = (u32, IpAddr);

/// How many there may be: what is beyond goes by the kernel.
const MOST: usize = 1 << 16;
/// After so many looks at which it was not used a next hop is forgotten.
const IDLE: u8 = 12;

/// There is an address below.
const KNOWN: u64 = 1 << 63;
/// Nobody keeps it any more: whoever has it is to look for it again.
const GONE: u64 = 1 << 62;

/// One of them.
#[derive(Debug)]
pub(super) struct Hop {
    pub(super) at: NextHop,
    state: AtomicU64,
    /// Somebody has sent to it since the last look.
    used: AtomicBool,
    /// Somebody needs the address and has said so.
    called: AtomicBool,
    /// Packets of ours wait for it.
    awaited: AtomicBool,
}

/// What is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Known([u8; 6]),
    Unknown,
    Gone,
}

impl Hop {
    fn new(at: NextHop) -> Self {
        let off = || AtomicBool::new(false);
        Self { at, state: AtomicU64::new(0), used: off(), called: off(), awaited: off() }
    }

    /// Says that it is used.
    #[inline]
    pub(super) fn address(&self) -> Address {
        let state = self.state.load(Ordering::Relaxed);
        // All workers read this; it is written once for each look.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        match state {
            state if state & KNOWN != 0 => {
                let [a, b, c, d, e, f, ..] = state.to_le_bytes();
                Address::Known([a, b, c, d, e, f])
            }
            GONE => Address::Gone,
            _ => Address::Unknown,
        }
    }

    /// What the kernel says. Returns whether packets of ours have waited for it.
    pub(super) fn learn(&self, address: Option<[u8; 6]>) -> bool {
        let known = |[a, b, c, d, e, f]: [u8; 6]| u64::from_le_bytes([a, b, c, d, e, f, 0, 0]) | KNOWN;
        let state = address.map_or(0, known);
        self.state.store(state, Ordering::Relaxed);
        if address.is_none() {
            return false;
        }
        // Whoever needs it once it has been forgotten does not wait because of this call.
        self.called.store(false, Ordering::Relaxed);
        self.awaited.swap(false, Ordering::Relaxed)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Hops {
    of: Mutex<HashMap<NextHop, Kept>>,
    calls: Mutex<Vec<Arc<Hop>>>,
}

#[derive(Debug)]
struct Kept {
    hop: Arc<Hop>,
    /// It stays though nobody uses it.
    pinned: bool,
    idle: u8,
}

impl Hops {
    fn lock(&self) -> MutexGuard<'_, HashMap<NextHop, Kept>> {
        // Every change leaves it whole.
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn calls(&self) -> MutexGuard<'_, Vec<Arc<Hop>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody needs the address, and packets of ours may wait for it. False when the keeper has been told already.
    pub(super) fn call(&self, hop: &Arc<Hop>, awaited: bool) -> bool {
        if awaited {
            hop.awaited.store(true, Ordering::Relaxed);
        }
        let new = !hop.called.load(Ordering::Relaxed) && !hop.called.swap(true, Ordering::Relaxed);
        if new {
            self.calls().push(Arc::clone(hop));
        }
        new
    }

    /// The one, a new one if need be; None when there are too many.
    pub(super) fn get(&self, at: NextHop) -> Option<Arc<Hop>> {
        let mut hops = self.lock();
        let full = hops.len() >= MOST;
        match hops.entry(at) {
            Entry::Occupied(kept) => Some(Arc::clone(&kept.get().hop)),
            Entry::Vacant(_) if full => None,
            Entry::Vacant(free) => {
                let kept = Kept { hop: Arc::new(Hop::new(at)), pinned: false, idle: 0 };
                Some(Arc::clone(&free.insert(kept).hop))
            }
        }
    }

    /// The one, if anybody wants it.
    pub(super) fn find(&self, at: NextHop) -> Option<Arc<Hop>> {
        self.lock().get(&at).map(|kept| Arc::clone(&kept.hop))
    }

    /// Those stay, whether used or not. Returns the new ones.
    pub(super) fn pin(&self, wanted: impl IntoIterator<Item = NextHop>) -> Vec<Arc<Hop>> {
        let mut hops = self.lock();
        let mut new = Vec::new();
        for at in wanted {
            let kept = hops.entry(at).or_insert_with(|| {
                let hop = Arc::new(Hop::new(at));
                new.push(Arc::clone(&hop));
                Kept { hop, pinned: true, idle: 0 }
            });
            kept.pinned = true;
        }
        new
    }

    /// All others come and go again.
    pub(super) fn unpin_all_but(&self, mut wanted: impl FnMut(&NextHop) -> bool) {
        self.lock().iter_mut().for_each(|(at, kept)| kept.pinned &= wanted(at));
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Hop>> {
        self.lock().values().map(|kept| Arc::clone(&kept.hop)).collect()
    }

    /// Those that somebody has called for since the last time.
    pub(super) fn called(&self) -> Vec<Arc<Hop>> {
        std::mem::take(&mut self.calls())
    }

    /// Whoever needs one of them may call again.
    pub(super) fn answer(of: &[Arc<Hop>]) {
        of.iter().for_each(|hop| hop.called.store(false, Ordering::Relaxed));
    }

    /// Forgets those that nobody has used for long, and returns those that are in use, or are to stay.
    pub(super) fn look(&self) -> Vec<Arc<Hop>> {
        let mut in_use = Vec::new();
        self.lock().retain(|_, kept| {
            let used = kept.hop.used.swap(false, Ordering::Relaxed);
            kept.idle = if used || kept.pinned { 0 } else { kept.idle + 1 };
            if kept.idle >= IDLE {
                kept.hop.state.store(GONE, Ordering::Relaxed);
                return false;
            }
            if kept.idle == 0 {
                in_use.push(Arc::clone(&kept.hop));
            }
            true
        });
        in_use
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0xff, 0, 0xff, 0, 7];

    fn at(n: u8) -> NextHop {
        (3, IpAddr::from([10, 0, 0, n]))
    }

    #[test]
    fn an_address_is_read_as_it_was_learnt() {
        let hops = Hops::default();
        let hop = hops.get(at(1)).unwrap();
        assert_eq!(hop.address(), Address::Unknown);
        assert!(!hops.find(at(1)).unwrap().learn(Some(MAC)), "nobody waited");
        assert_eq!(hop.address(), Address::Known(MAC));
        hop.learn(Some([0; 6]));
        assert_eq!(hop.address(), Address::Known([0; 6]));
        hop.learn(None);
        assert_eq!(hop.address(), Address::Unknown);
        assert!(hops.find(at(2)).is_none());
    }

    #[test]
    fn who_waits_is_told_once() {
        let hops = Hops::default();
        let hop = hops.get(at(1)).unwrap();
        assert!(hops.call(&hop, true) && !hops.call(&hop, true) && !hops.call(&hop, false));
        assert_eq!((hops.called().len(), hops.called().len()), (1, 0));
        assert!(!hop.learn(None), "still nothing");
        assert!(!hops.call(&hop, true), "nor has anybody answered");
        assert!(hop.learn(Some(MAC)));
        assert!(!hop.learn(Some(MAC)));
        hop.learn(None);
        assert!(hops.call(&hop, false), "forgotten again");
        Hops::answer(&[Arc::clone(&hop)]);
        assert!(hops.call(&hop, false));
        assert!(!hop.learn(Some(MAC)), "called without waiting");
    }

    #[test]
    fn what_nobody_uses_is_forgotten_and_what_is_pinned_stays() {
        let hops = Hops::default();
        let (used, unused) = (hops.get(at(1)).unwrap(), hops.get(at(2)).unwrap());
        assert_eq!(hops.pin([at(3), at(1)]).len(), 1, "one is new");
        hops.unpin_all_but(|at| at.1 != IpAddr::from([10, 0, 0, 1]));
        unused.learn(Some(MAC));
        for round in 0..IDLE {
            used.address();
            assert!(hops.find(at(2)).is_some(), "{round}");
            let mut in_use: Vec<_> = hops.look().iter().map(|hop| hop.at).collect();
            in_use.sort();
            assert_eq!(in_use, [at(1), at(3)]);
        }
        assert!(hops.find(at(2)).is_none());
        assert_eq!(unused.address(), Address::Gone);
        assert_ne!(Arc::as_ptr(&hops.get(at(2)).unwrap()), Arc::as_ptr(&unused));
        hops.unpin_all_but(|_| false);
        (0..IDLE).for_each(|_| drop(hops.look()));
        assert!(hops.all().is_empty());
    }

    #[test]
    fn there_are_bounds() {
        let hops = Hops::default();
        for n in 0..MOST as u32 {
            assert!(hops.get((1, IpAddr::from(n.to_be_bytes()))).is_some());
        }
        assert!(hops.get((2, IpAddr::from([0; 4]))).is_none());
        assert!(hops.get((1, IpAddr::from([0; 4]))).is_some(), "an old one");
        assert_eq!(hops.pin([(2, IpAddr::from([0; 4]))]).len(), 1, "what is configured");
    }
}
