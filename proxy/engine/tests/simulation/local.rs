//! Which flows may begin, as the shadow has it: whether there is room, a reply tuple, a local address and a port of it.

use std::net::{IpAddr, SocketAddr};

use engine::DropReason;
use sched::{Family, ForwardMethod, Proto, ServiceKey};

use crate::model::{FlowKey, Model};
use crate::persist::server_for;
use crate::tcp;
use crate::way::Way;

/// What is to be expected of a flow that is to begin at some server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Prospect {
    /// It may begin.
    pub(crate) fine: bool,
    /// It may be refused for want of room.
    pub(crate) full: bool,
    /// It may be refused for this, unless another server takes it.
    pub(crate) fault: Option<DropReason>,
}

impl Model {
    /// The address that a connection to `vip` has at a server.
    pub(crate) fn server_for(&self, at: ServiceKey, dest: usize, vip: SocketAddr) -> SocketAddr {
        server_for(at, self.services[&at].persistence.is_some(), self.dests[dest].addr, vip)
    }

    /// The way of a flow, or of a single packet.
    pub(crate) fn way(
        &self,
        at: ServiceKey,
        dest: usize,
        method: ForwardMethod,
        client: SocketAddr,
        vip: SocketAddr,
    ) -> Way {
        let server = self.server_for(at, dest, vip);
        let hop_credit = self.both_hops(client.ip(), server.ip());
        Way { dest, method, server, peer: client, hop_credit, outer_port: None }
    }

    pub(crate) fn lips_of(&self, at: ServiceKey) -> Vec<IpAddr> {
        let own = &self.services[&at].lips;
        let shared = self.lips.iter().filter(|lip| lip.is_ipv4() == (at.family() == Family::Ipv4));
        if own.is_empty() { shared.copied().collect() } else { own.clone() }
    }

    /// The local addresses that a connection to this server may have.
    fn locals(&self, at: ServiceKey, dest: usize) -> Vec<IpAddr> {
        let lips = self.lips_of(at);
        let own = self.dests[dest].path.and_then(|path| path.source);
        if lips.is_empty() { own.into_iter().collect() } else { lips }
    }

    fn has_free(&self, proto: Proto, server: SocketAddr, lip: IpAddr) -> bool {
        let is_free = |port: &u16| !self.replies.contains_key(&(proto, server, SocketAddr::new(lip, *port)));
        self.local_ports.iter().any(is_free)
    }

    /// The flow that has been over for longest of those that speak from there.
    fn longest_over(&self, proto: Proto, server: SocketAddr, lip: IpAddr) -> Option<FlowKey> {
        let of_pool = self.flows.iter().filter(|((of, ..), flow)| {
            let way = &flow.way;
            *of == proto
                && way.method == ForwardMethod::FullNat
                && way.server == server
                && way.peer.ip() == lip
        });
        let over = of_pool.filter_map(|(key, flow)| Some((flow.over?, *key)));
        over.min().map(|(_, key)| key)
    }

    /// What becomes of a flow that gets this server.
    pub(crate) fn prospect(
        &self,
        at: ServiceKey,
        key: FlowKey,
        dest: usize,
        method: ForwardMethod,
    ) -> Prospect {
        let (room, server) = (!self.is_full(), self.server_for(at, dest, key.2));
        if method == ForwardMethod::FullNat {
            let locals = self.locals(at, dest);
            let free = |lip: &IpAddr| self.has_free(key.0, server, *lip);
            let gives = |lip: &IpAddr| !free(lip) && self.longest_over(key.0, server, *lip).is_some();
            let (free, gives) = (locals.iter().any(free), locals.iter().any(gives));
            let none =
                if locals.is_empty() { DropReason::NoLocalAddress } else { DropReason::PortsExhausted };
            let fault = (!free && !gives).then_some(none);
            return Prospect { fine: gives || free && room, full: free && !room, fault };
        }
        let holder = self.replies.get(&(key.0, server, key.1));
        let taken = method == ForwardMethod::Masq
            && holder.is_some_and(|holder| !tcp::is_over(self.flows[holder].state));
        let fault = taken.then_some(DropReason::ReplyTupleTaken);
        Prospect { fine: room && !taken, full: !room, fault: fault.filter(|_| room) }
    }

    /// A flow has got this local address and port: one that was free, or that of the flow that was over for longest.
    pub(crate) fn takes_local(&mut self, at: ServiceKey, key: FlowKey, dest: usize, local: SocketAddr) {
        let server = self.server_for(at, dest, key.2);
        assert!(self.locals(at, dest).contains(&local.ip()), "{local} is no address for that");
        assert!(self.local_ports.contains(&local.port()), "{local} is not for that");
        if !self.has_free(key.0, server, local.ip()) {
            let over = self.longest_over(key.0, server, local.ip()).expect("one that is over");
            assert_eq!(self.flows[&over].way.peer, local, "one has been over for longer");
            self.happened("gave its local port up");
            self.end(over);
        }
    }
}
