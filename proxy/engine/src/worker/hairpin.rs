//! A server that is a client of its own VIP, and clients on the servers' link: by NAT the server would answer such a
//! client straight, from an address that the client has never heard of. So their connections are forwarded as FullNAT,
//! which has the answers come by here.

use std::net::IpAddr;

use sched::{DestLive, ForwardMethod, Service};

use super::begin::{Choice, Request};
use super::step::Step;

impl Step<'_> {
    /// How a connection is forwarded to the server that was chosen for it.
    pub(super) fn method_for(&self, request: &Request<'_>, choice: &Choice) -> ForwardMethod {
        let past_us = self.knobs.hairpin
            && choice.method == ForwardMethod::Masq
            && self.is_past_us(choice.dest.key.ip(), request.client.ip())
            && self.has_local_address(request.service, &choice.dest);
        if past_us { ForwardMethod::FullNat } else { choice.method }
    }

    /// Whether two ends, neither of which is the host, speak to each other without it.
    fn is_past_us(&self, server: IpAddr, client: IpAddr) -> bool {
        (server == client || self.host.on_one_link(server, client)) && self.both_hops(client, server)
    }

    fn has_local_address(&self, service: &Service, dest: &DestLive) -> bool {
        !self.table.lips_of(service).is_empty() || dest.path().is_some_and(|path| path.source.is_some())
    }
}
