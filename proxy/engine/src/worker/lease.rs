//! Which local address and port the server of a connection by FullNAT speaks with.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sched::{DestLive, Proto, Service};

use super::step::Step;
use crate::conn::{Conn, FlowKey};
use crate::ports::{Lease, Pool, PoolKey, Whose};
use crate::verdict::DropReason;
use crate::watch::Watch;

/// Ports of a local address that are looked at for one connection.
const TRIES: usize = 8;

impl<'a, W: Watch> Step<'a, W> {
    /// A port of one of the service's local addresses, each of them as likely as the others as long as it has any left;
    /// where the service has none, of the address that the host itself would use towards that server.
    pub(super) fn lease(
        &mut self,
        service: &Service,
        dest: &DestLive,
        proto: Proto,
        server: SocketAddr,
    ) -> Result<Lease, DropReason> {
        let (first, start) = (self.random.next() as usize, self.random.next());
        let pool = self.table.lips_of(service);
        if pool.is_empty() {
            let own =
                dest.path().and_then(|path| path.source).filter(|lip| lip.is_ipv4() == server.is_ipv4());
            let own = own.ok_or(DropReason::NoLocalAddress)?;
            return self.free_port(own, proto, server, start).ok_or(DropReason::PortsExhausted);
        }
        let (before, after) = pool.split_at(first % pool.len());
        let lease = after.iter().chain(before).find_map(|lip| self.free_port(*lip, proto, server, start));
        lease.ok_or(DropReason::PortsExhausted)
    }

    /// A port from which nothing speaks with that server.
    pub(super) fn free_port(
        &mut self,
        lip: IpAddr,
        proto: Proto,
        server: SocketAddr,
        start: u64,
    ) -> Option<Lease> {
        let whose = if self.host.is_local(lip) { Whose::Hosts } else { Whose::Ours };
        let key = PoolKey { proto, lip, whose, server };
        self.watch.fetch(|twin| twin.pool(&key));
        let pool = self.ports.pool(key, start);
        // It may still be somebody's who took it before the range was another.
        let mut leases = (0..TRIES).map_while(|_| pool.take());
        let free = leases.find(|lease| self.speaker(&pool, lease.addr()).is_none());
        let lease = free.or_else(|| self.give_up(&pool));
        if lease.is_none() {
            pool.refuse();
        }
        lease
    }

    /// The port of the connection that has been over for longest.
    fn give_up(&mut self, pool: &Arc<Pool>) -> Option<Lease> {
        let mut resting = (0..TRIES).map_while(|_| pool.next_resting());
        let over = resting.find_map(|addr| self.speaker(pool, addr).filter(|conn| conn.state().is_over()))?;
        self.end(&over);
        pool.take()
    }

    /// The connection that speaks with a pool's server from there.
    fn speaker(&mut self, pool: &Pool, addr: SocketAddr) -> Option<Conn<'a>> {
        let key = pool.key();
        self.find(&FlowKey::new(key.proto, key.server, addr)).map(|(conn, _)| conn)
    }
}
