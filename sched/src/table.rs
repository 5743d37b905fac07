//! The immutable table of services.

mod next;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use foldhash::fast::FixedState;

use self::next::changes;
use crate::dest::Dest;
use crate::lips::Lips;
use crate::marks::{Marks, PacketFacts, Prefix};
use crate::model::{DestKey, Family, Mark, Proto, ServiceKey};
use crate::redirects::Redirects;
use crate::service::Service;
use crate::shards::Shards;

/// All services at one moment. Workers read a snapshot; the control plane makes the next one with
/// [`ServiceTable::apply`] and swaps it in. That costs what the edits touch, however many services there are.
#[derive(Clone, Debug, Default)]
pub struct ServiceTable {
    generation: u64,
    services: Shards<ServiceKey, Arc<Service>>,
    /// How many services have an address.
    vips: Shards<IpAddr, u32>,
    /// How many servers answer from there.
    servers: Shards<ReplySource, u32>,
    /// How many servers that answer clients past us have an address.
    one_way: Shards<IpAddr, u32>,
    marks: Arc<Marks>,
    /// The destinations of the rules that mark packets for services.
    marked: Arc<BTreeSet<Prefix>>,
    /// The local addresses that are everybody's, and how often each address is in any pool.
    lips: Lips,
    pooled: Shards<IpAddr, u32>,
    redirects: Redirects,
    kinds: Kinds,
    one_packet: Arc<OnePacket>,
    ramping: bool,
}

/// Who sends what comes from a server without a connection, by the server; port 0 is every port.
type OnePacket = HashMap<DestKey, (Arc<Service>, usize), FixedState>;

/// How many services there are of some kinds, so that no packet pays for those that there are not.
#[derive(Clone, Copy, Debug, Default)]
struct Kinds {
    marks: usize,
    ftp: usize,
    any_port: usize,
}

impl Kinds {
    fn of(key: &ServiceKey) -> Self {
        Self {
            marks: usize::from(matches!(key, ServiceKey::Mark { .. })),
            ftp: usize::from(key.l4_port() == Some(FTP)),
            any_port: usize::from(key.l4_port() == Some(0)),
        }
    }

    const fn add(&mut self, other: Self) {
        self.marks += other.marks;
        self.ftp += other.ftp;
        self.any_port += other.any_port;
    }

    const fn subtract(&mut self, other: Self) {
        self.marks -= other.marks;
        self.ftp -= other.ftp;
        self.any_port -= other.any_port;
    }
}

/// The port whose service takes the data connections of FTP as well (RFC 959).
pub const FTP: u16 = 21;
/// The server's port of active data connections.
pub const FTP_DATA: u16 = 20;
/// The first port that needs no privileges to listen on: passive data connections go to such ones.
const UNPRIVILEGED: u16 = 1024;

/// Whose packets are replies: a transport protocol, or any, and an address whose port 0 stands for any.
pub type ReplySource = (Option<Proto>, DestKey);

impl ServiceTable {
    /// Counts the snapshots: 0 for the empty one that everything starts from.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The service that takes packets to this address and port, in the order of IPVS: by mark; by the port itself; for
    /// TCP the service of FTP, if it may be one of its data connections; the service of all ports.
    pub fn lookup(&self, mark: Option<Mark>, proto: Proto, vip: SocketAddr) -> Option<&Arc<Service>> {
        let at = |l4_port| self.get(&ServiceKey::Addr { proto, vip: vip.ip(), l4_port });
        let mark = mark.filter(|_| self.kinds.marks > 0);
        let by_mark = mark.and_then(|mark| self.get(&ServiceKey::Mark { mark, family: vip.ip().into() }));
        let by_port = || at(vip.port()).filter(|_| vip.port() != 0);
        let ftp_data = self.kinds.ftp > 0 && proto == Proto::Tcp && may_be_ftp_data(vip.port());
        let by_ftp = || ftp_data.then(|| at(FTP)).flatten();
        let by_any_port = || (self.kinds.any_port > 0).then(|| at(0)).flatten();
        by_mark.or_else(by_port).or_else(by_ftp).or_else(by_any_port)
    }

    /// The service for which `server` answers datagrams that were scheduled by themselves, the server as it has it,
    /// and the address that the client knows. The first service, if there are several.
    pub fn one_packet_source(&self, server: DestKey) -> Option<(&Service, &Dest, SocketAddr)> {
        if self.one_packet.is_empty() {
            return None;
        }
        let any_port = SocketAddr::new(server.ip(), 0);
        let (service, at) = self.one_packet.get(&server).or_else(|| self.one_packet.get(&any_port))?;
        let (vip, l4_port) = (service.key.vip()?, service.key.l4_port()?);
        let vip = SocketAddr::new(vip, if l4_port == 0 { server.port() } else { l4_port });
        Some((service, service.everyone().nth(*at)?, vip))
    }

    /// The service with this key.
    pub fn get(&self, key: &ServiceKey) -> Option<&Arc<Service>> {
        self.services.get(key)
    }

    /// The mark that the rules give to a packet.
    pub fn mark_of(&self, facts: &PacketFacts<'_>) -> Option<Mark> {
        self.marks.mark_of(facts)
    }

    /// The rules that mark packets.
    pub fn marks(&self) -> &Arc<Marks> {
        &self.marks
    }

    /// Whether any service has this address, or a rule that marks packets for a service names it as destination.
    pub fn is_vip(&self, addr: IpAddr) -> bool {
        self.vips.contains(&addr) || !self.marked.is_empty() && self.marked.contains(&Prefix::host(addr))
    }

    /// The distinct VIPs, in no order.
    pub fn vips(&self) -> impl Iterator<Item = IpAddr> {
        let named =
            self.marked.iter().filter_map(|prefix| prefix.single()).filter(|addr| !self.vips.contains(addr));
        self.vips.iter().map(|(addr, _)| *addr).chain(named)
    }

    /// The addresses at which a service ends TLS: those that its front names, or its own; a mark has those to which its
    /// rules send whoever asks for the front's port.
    pub fn front_vips(&self, service: &Service) -> Vec<IpAddr> {
        let Some(tls) = &service.tls else { return Vec::new() };
        match service.key {
            _ if !tls.vips.is_empty() => tls.vips.clone(),
            ServiceKey::Addr { vip, .. } => vec![vip],
            ServiceKey::Mark { mark, family } => {
                let src = match family {
                    Family::Ipv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                    Family::Ipv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                };
                let named = self.marked.iter().filter_map(|prefix| prefix.single());
                let named = named.filter(|vip| Family::from(*vip) == family);
                let protocol = Proto::Tcp.number();
                let ports = Some((1024, tls.port));
                let facts = |dst| PacketFacts { src, dst, protocol, ports, input: None, mark: 0 };
                named.filter(|vip| self.mark_of(&facts(*vip)) == Some(mark)).collect()
            }
        }
    }

    /// The local addresses for connections of a service by FullNAT: its own, or else those that are everybody's. None
    /// where there are none of its family.
    pub fn lips_of<'a>(&'a self, service: &'a Service) -> &'a [IpAddr] {
        if service.lips.is_empty() { self.lips.of(service.key.family()) } else { &service.lips }
    }

    /// The local addresses that are everybody's: IPv4 first, each family in the order in which they were added.
    pub fn shared_lips(&self) -> impl Iterator<Item = IpAddr> {
        self.lips.iter()
    }

    /// All local addresses of any pool, once each, in no order.
    pub fn lips(&self) -> impl Iterator<Item = IpAddr> {
        self.pooled.iter().map(|(lip, _)| *lip)
    }

    /// Whether it is one of [`Self::lips`].
    pub fn is_lip(&self, addr: IpAddr) -> bool {
        self.pooled.len() > 0 && self.pooled.contains(&addr)
    }

    /// The destinations that rules name which mark packets for services, where they are more than single addresses
    /// (those are [`Self::vips`]).
    pub fn marked_prefixes(&self) -> impl Iterator<Item = Prefix> {
        self.marked.iter().copied().filter(|prefix| prefix.single().is_none())
    }

    /// All services in the order of `ipvsadm -L`.
    pub fn services(&self) -> impl ExactSizeIterator<Item = &Arc<Service>> {
        let mut services: Vec<_> = self.services.values().collect();
        services.sort_unstable_by_key(|service| service.key);
        services.into_iter()
    }

    /// How many services there are.
    pub const fn len(&self) -> usize {
        self.services.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The services that are not the same in `newer`, as they are in each. Costs what the edits between the two
    /// touched.
    pub fn changes<'a>(
        &'a self,
        newer: &'a Self,
    ) -> impl Iterator<Item = (Option<&'a Arc<Service>>, Option<&'a Arc<Service>>)> {
        changes(&self.services, &newer.services)
    }

    /// The distinct servers with what they speak: those whose replies have to come back through us.
    pub fn servers(&self) -> impl Iterator<Item = ReplySource> {
        self.servers.iter().map(|(source, _)| *source)
    }

    /// The distinct addresses of servers that answer clients past us (DR, tunnels).
    pub fn one_way_servers(&self) -> impl Iterator<Item = IpAddr> {
        self.one_way.iter().map(|(addr, _)| *addr)
    }

    /// Whether it is one of [`Self::one_way_servers`].
    pub fn has_one_way_server(&self, addr: IpAddr) -> bool {
        self.one_way.contains(&addr)
    }

    /// Whether it is one of [`Self::servers`].
    pub fn has_server(&self, source: &ReplySource) -> bool {
        self.servers.contains(source)
    }

    /// Whether a packet from there may be a server's.
    pub fn is_server(&self, proto: Proto, from: SocketAddr) -> bool {
        let any_port = SocketAddr::new(from.ip(), 0);
        [(Some(proto), from), (Some(proto), any_port), (None, any_port)].iter().any(|s| self.has_server(s))
    }
}

/// What a server of this service answers from. Where the connections of a service go to whatever port the client
/// asked for, that is any port.
pub(crate) fn reply_source(key: &ServiceKey, server: DestKey) -> ReplySource {
    let any_port = SocketAddr::new(server.ip(), 0);
    match *key {
        ServiceKey::Mark { .. } => (None, any_port),
        ServiceKey::Addr { proto, l4_port: 0, .. } => (Some(proto), any_port),
        ServiceKey::Addr { proto: Proto::Tcp, l4_port: FTP, .. } => (Some(Proto::Tcp), any_port),
        ServiceKey::Addr { proto, .. } => (Some(proto), server),
    }
}

const fn may_be_ftp_data(l4_port: u16) -> bool {
    l4_port == FTP_DATA || l4_port >= UNPRIVILEGED
}
