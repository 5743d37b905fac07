//! Local ports for FullNAT: which one of an address of ours (LIP) a connection to a server gets.
//!
//! A port is taken only towards one server, so each LIP has as many connections to *every* server as there are ports.
//! Taking one and giving it back cost the same however many are taken: fresh ports come first, then those that have been
//! given back, the one that has rested longest before the others, so that a server seldom sees a port again while it
//! still remembers it (TIME_WAIT).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use sched::Proto;

/// What a pool is for: its ports are those of one LIP towards one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PoolKey {
    proto: Proto,
    lip: IpAddr,
    server: SocketAddr,
}

/// How much of a LIP's ports towards a server is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortsInUse {
    /// Protocol.
    pub proto: Proto,
    /// Local address.
    pub lip: IpAddr,
    /// The server.
    pub server: SocketAddr,
    /// Ports taken.
    pub taken: usize,
    /// Ports there are.
    pub all: usize,
}

/// All pools of an engine, made as they are needed.
#[derive(Debug)]
pub(crate) struct Ports {
    pools: DashMap<PoolKey, Arc<Pool>, SeedableRandomState>,
    usable: ArcSwap<Box<[u16]>>,
}

/// Ports that are not for anybody special: RFC 6335 section 6.
const FIRST_USER_PORT: u16 = 1024;

impl Ports {
    pub(crate) fn new(seed: u64) -> Self {
        let usable = (FIRST_USER_PORT..=u16::MAX).collect::<Box<[u16]>>();
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        Self { pools: DashMap::with_hasher(hasher), usable: ArcSwap::from_pointee(usable) }
    }

    /// From now on these are handed out. What is taken stays taken.
    pub(crate) fn set_usable(&self, usable: Box<[u16]>) {
        if **self.usable.load() != usable {
            self.usable.store(Arc::new(usable));
            // Pools that are still in use live on in their leases; the table of connections keeps their ports apart.
            self.pools.clear();
        }
    }

    /// Takes a port of `lip` towards `server`; `None` when all are taken. `start` says, for the first of a pool, where
    /// in the range it begins: unpredictable, so that others cannot guess it.
    pub(crate) fn take(&self, proto: Proto, lip: IpAddr, server: SocketAddr, start: u64) -> Option<Lease> {
        let key = PoolKey { proto, lip, server };
        let found = self.pools.get(&key).map(|pool| Arc::clone(&pool));
        let pool = found.unwrap_or_else(|| {
            let new = || Arc::new(Pool::new(self.usable.load_full(), start));
            Arc::clone(&self.pools.entry(key).or_insert_with(new))
        });
        let port = pool.state().take(&pool.usable)?;
        Some(Lease { addr: SocketAddr::new(lip, port), pool, given_back: AtomicBool::new(false) })
    }

    /// What is taken of each pool. For listings and alarms.
    pub(crate) fn in_use(&self, mut visit: impl FnMut(PortsInUse)) {
        for pool in &self.pools {
            let (PoolKey { proto, lip, server }, all) = (*pool.key(), pool.usable.len());
            visit(PortsInUse { proto, lip, server, taken: pool.state().taken(), all });
        }
    }

    /// Forgets pools of which nothing is taken. For the control plane, now and then.
    pub(crate) fn sweep(&self) {
        self.pools.retain(|_, pool| Arc::strong_count(pool) > 1 || pool.state().taken() > 0);
    }
}

/// A port of a LIP, for as long as the connection that holds it is in the table.
#[derive(Debug)]
pub(crate) struct Lease {
    addr: SocketAddr,
    pool: Arc<Pool>,
    given_back: AtomicBool,
}

impl Lease {
    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Others may have it. Does nothing the second time.
    pub(crate) fn give_back(&self) {
        if !self.given_back.swap(true, Relaxed) {
            self.pool.state().returned.push_back(self.addr.port());
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[derive(Debug)]
struct Pool {
    usable: Arc<Box<[u16]>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Where in the list it has begun, and how many of it have been handed out at least once.
    start: usize,
    fresh: usize,
    returned: VecDeque<u16>,
}

impl Pool {
    fn new(usable: Arc<Box<[u16]>>, start: u64) -> Self {
        let start = start.checked_rem(usable.len() as u64).unwrap_or(0) as usize;
        Self { usable, state: Mutex::new(State { start, fresh: 0, returned: VecDeque::new() }) }
    }

    /// No code that holds it can panic half-way.
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, usable: &[u16]) -> Option<u16> {
        if self.fresh < usable.len() {
            let at = (self.start + self.fresh) % usable.len();
            self.fresh += 1;
            return usable.get(at).copied();
        }
        self.returned.pop_front()
    }

    fn taken(&self) -> usize {
        self.fresh - self.returned.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn server(n: u16) -> SocketAddr {
        SocketAddr::new(LIP, n)
    }

    fn ports(usable: &[u16]) -> Ports {
        let ports = Ports::new(1);
        ports.set_usable(usable.into());
        ports
    }

    #[test]
    fn one_port_serves_many_servers_and_each_only_once() {
        let ports = ports(&[5000, 5001, 5002]);
        for n in 1..100 {
            let leases: Vec<_> =
                (0..3).map(|_| ports.take(Proto::Tcp, LIP, server(n), n.into()).unwrap()).collect();
            let mut got: Vec<_> = leases.iter().map(|lease| lease.addr().port()).collect();
            assert_eq!(got[0], 5000 + n % 3, "it begins where it was told");
            got.sort_unstable();
            assert_eq!(got, [5000, 5001, 5002]);
            assert!(ports.take(Proto::Tcp, LIP, server(n), 0).is_none(), "exhausted");
            assert!(ports.take(Proto::Udp, LIP, server(n), 0).is_some(), "another protocol");
        }
    }

    #[test]
    fn the_port_that_has_rested_longest_comes_first() {
        let ports = ports(&[7, 8, 9]);
        let take = || ports.take(Proto::Tcp, LIP, server(1), 0);
        let [a, b, c] = [(); 3].map(|()| take().unwrap());
        c.give_back();
        a.give_back();
        a.give_back();
        drop(a);
        assert_eq!(take().unwrap().addr().port(), 9);
        assert_eq!(take().unwrap().addr().port(), 7, "and so on, in turn");
        drop((b, c));
        assert_eq!((0..4).filter_map(|_| take()).count(), 4, "each is given back as it is dropped");
    }

    #[test]
    fn what_is_taken_is_told_and_what_is_idle_is_forgotten() {
        let ports = ports(&[1, 2, 3, 4]);
        let told = || {
            let mut all = Vec::new();
            ports.in_use(|pool| all.push((pool.taken, pool.all)));
            all
        };
        let leases = [(); 3].map(|()| ports.take(Proto::Tcp, LIP, server(1), 0).unwrap());
        assert_eq!(told(), [(3, 4)]);
        ports.sweep();
        assert_eq!(told(), [(3, 4)]);
        drop(leases);
        assert_eq!(told(), [(0, 4)]);
        ports.sweep();
        assert_eq!(told(), []);
    }

    #[test]
    fn another_range_is_for_those_who_come_then() {
        let ports = ports(&[1, 2]);
        let old = ports.take(Proto::Tcp, LIP, server(1), 0).unwrap();
        ports.set_usable([2, 3].into());
        let taken: Vec<_> =
            std::iter::from_fn(|| ports.take(Proto::Tcp, LIP, server(1), 0)).take(2).collect();
        assert_eq!(taken.iter().map(|lease| lease.addr().port()).collect::<Vec<_>>(), [2, 3]);
        ports.set_usable(Box::default());
        assert!(ports.take(Proto::Tcp, LIP, server(1), 7).is_none(), "no range at all");
        drop(old);
    }
}
