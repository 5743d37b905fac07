//! A server that is a client of its own VIP, and clients on a server's link: by NAT the server would answer such a
//! client straight, from an address that the client has never heard of. So their connections are forwarded as FullNAT,
//! which has the answers come by here.

use std::net::IpAddr;

use sched::marks::Prefix;
use sched::{DestLive, ForwardMethod, Service};

use super::begin::{Choice, Request};
use super::step::Step;
use crate::front::{FrontWay, Speaker};
use crate::watch::Watch;

impl<W: Watch> Step<'_, W> {
    /// How a connection is forwarded to the server that was chosen for it.
    pub(super) fn method_for(&self, request: &Request<'_>, choice: &Choice) -> ForwardMethod {
        match request.front {
            None => {}
            Some(FrontWay::Userspace { speaker: Speaker::Local, .. }) => return ForwardMethod::FullNat,
            Some(_) => return ForwardMethod::Masq,
        }
        let past_us = self.knobs.hairpin
            && choice.method == ForwardMethod::Masq
            && self.is_past_us(&choice.dest, request.client.ip())
            && self.has_local_address(request.service, &choice.dest);
        if past_us { ForwardMethod::FullNat } else { choice.method }
    }

    /// Whether server and client, neither of which is the host, speak to each other without it.
    fn is_past_us(&self, dest: &DestLive, client: IpAddr) -> bool {
        let server = dest.key.ip();
        let behind_router = || dest.path().is_some_and(|path| path.next_hop != server);
        self.both_hops(client, server)
            && (server == client
                || self.host.on_one_link(server, client)
                || behind_router() && in_one_usual_subnet(server, client))
    }

    fn has_local_address(&self, service: &Service, dest: &DestLive) -> bool {
        !self.table.lips_of(service).is_empty() || dest.path().is_some_and(|path| path.source.is_some())
    }
}

/// What links there are behind a router is not known here; most are subnets of these sizes. Two ends that only look like
/// neighbours are served by FullNAT all the same.
fn in_one_usual_subnet(one: IpAddr, other: IpAddr) -> bool {
    let subnet = |addr: IpAddr| Prefix::new(addr, if addr.is_ipv4() { 24 } else { 64 });
    subnet(one) == subnet(other)
}
