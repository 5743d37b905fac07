//! Local ports for FullNAT: which one of an address of ours (LIP) a connection to a server gets.
//!
//! A port is taken only towards one server, so each LIP has as many connections to *every* server as there are ports.
//! Taking one and giving it back cost the same however many are taken: fresh ports come first, then those that have been
//! given back, the one that has rested longest before the others, so that a server seldom sees a port again while it
//! still remembers it (TIME_WAIT).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use sched::Proto;

/// What a pool is for: its ports are those of one LIP towards one server. An address that becomes the host's own, or
/// ceases to be, has another one from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PoolKey {
    proto: Proto,
    lip: IpAddr,
    whose: Whose,
    server: SocketAddr,
}

/// Who else speaks from a LIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    /// Nobody.
    Ours,
    /// The host: it is an address of its own.
    Hosts,
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
    /// How often all were taken when another one was needed.
    pub refused: u64,
}

/// All pools of an engine, made as they are needed.
#[derive(Debug)]
pub(crate) struct Ports {
    pools: DashMap<PoolKey, Arc<Pool>, SeedableRandomState>,
    /// Of LIPs that are ours alone, and of those that the host speaks from as well.
    usable: ArcSwap<[Arc<[u16]>; 2]>,
}

/// Ports that are not for anybody special: RFC 6335 section 6.
const FIRST_USER_PORT: u16 = 1024;

impl Ports {
    pub(crate) fn new(seed: u64) -> Self {
        let all = (FIRST_USER_PORT..=u16::MAX).collect::<Arc<[u16]>>();
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        Self { pools: DashMap::with_hasher(hasher), usable: ArcSwap::from_pointee([Arc::clone(&all), all]) }
    }

    /// From now on these are handed out. What is taken stays taken.
    pub(crate) fn set_usable(&self, ours: &[u16], hosts: &[u16]) {
        let usable = [ours.into(), hosts.into()];
        if **self.usable.load() != usable {
            self.usable.store(Arc::new(usable));
            // Pools that are still in use live on in their leases; the table of connections keeps their ports apart.
            self.pools.clear();
        }
    }

    /// Takes a port of `lip` towards `server`; `None` when all are taken. `start` says, for the first of a pool, where
    /// in the range it begins: unpredictable, so that others cannot guess it.
    pub(crate) fn take(
        &self,
        proto: Proto,
        lip: (IpAddr, Whose),
        server: SocketAddr,
        start: u64,
    ) -> Option<Lease> {
        let (lip, whose) = lip;
        let key = PoolKey { proto, lip, whose, server };
        let found = self.pools.get(&key).map(|pool| Arc::clone(&pool));
        let pool = found.unwrap_or_else(|| {
            let new = || Arc::new(Pool::new(Arc::clone(&self.usable.load()[whose as usize]), start));
            Arc::clone(&self.pools.entry(key).or_insert_with(new))
        });
        let Some(port) = pool.state().take(&pool.usable) else {
            pool.refused.fetch_add(1, Relaxed);
            return None;
        };
        Some(Lease { addr: SocketAddr::new(lip, port), pool, given_back: AtomicBool::new(false) })
    }

    /// What is taken of each pool. For listings and alarms.
    pub(crate) fn in_use(&self, mut visit: impl FnMut(PortsInUse)) {
        for pool in &self.pools {
            let PoolKey { proto, lip, server, .. } = *pool.key();
            let (taken, all) = (pool.state().taken(), pool.usable.len());
            visit(PortsInUse { proto, lip, server, taken, all, refused: pool.refused.load(Relaxed) });
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
    usable: Arc<[u16]>,
    state: Mutex<State>,
    refused: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// Where in the list it has begun, and how many of it have been handed out at least once.
    start: usize,
    fresh: usize,
    returned: VecDeque<u16>,
}

impl Pool {
    fn new(usable: Arc<[u16]>, start: u64) -> Self {
        let start = start.checked_rem(usable.len() as u64).unwrap_or(0) as usize;
        let state = Mutex::new(State { start, fresh: 0, returned: VecDeque::new() });
        Self { usable, state, refused: AtomicU64::new(0) }
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

    const ADDR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const LIP: (IpAddr, Whose) = (ADDR, Whose::Ours);

    fn server(n: u16) -> SocketAddr {
        SocketAddr::new(ADDR, n)
    }

    fn ports(usable: &[u16]) -> Ports {
        let ports = Ports::new(1);
        ports.set_usable(usable, &[]);
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
            ports.in_use(|pool| all.push((pool.taken, pool.all, pool.refused)));
            all
        };
        let take = || ports.take(Proto::Tcp, LIP, server(1), 0);
        let leases = [(); 3].map(|()| take().unwrap());
        assert_eq!(told(), [(3, 4, 0)]);
        ports.sweep();
        assert_eq!(told(), [(3, 4, 0)]);
        let last = take();
        assert!(take().is_none() && take().is_none());
        assert_eq!(told(), [(4, 4, 2)]);
        drop((leases, last));
        assert_eq!(told(), [(0, 4, 2)]);
        ports.sweep();
        assert_eq!(told(), []);
    }

    #[test]
    fn another_range_is_for_those_who_come_then() {
        let ports = ports(&[1, 2]);
        let old = ports.take(Proto::Tcp, LIP, server(1), 0).unwrap();
        ports.set_usable(&[2, 3], &[]);
        let taken: Vec<_> =
            std::iter::from_fn(|| ports.take(Proto::Tcp, LIP, server(1), 0)).take(2).collect();
        assert_eq!(taken.iter().map(|lease| lease.addr().port()).collect::<Vec<_>>(), [2, 3]);
        ports.set_usable(&[], &[]);
        assert!(ports.take(Proto::Tcp, LIP, server(1), 7).is_none(), "no range at all");
        drop(old);
    }

    #[test]
    fn an_address_of_the_host_has_ports_of_its_own() {
        let ports = Ports::new(1);
        ports.set_usable(&[1, 2, 3], &[3]);
        let take = |whose| {
            let leases = std::iter::from_fn(|| ports.take(Proto::Tcp, (ADDR, whose), server(1), 0));
            leases.map(|lease| lease.addr().port()).take(9).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(take(Whose::Hosts), [3].into());
        assert_eq!(take(Whose::Ours), [1, 2, 3].into());
    }
}
