//! The immutable table of services.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::dest::Dest;
use crate::draft::Draft;
use crate::marks::{MarkRule, Marks, PacketFacts, Prefix};
use crate::model::{DestKey, Mark, Proto, ServiceKey};
use crate::op::{Op, OpError};
use crate::service::Service;
use crate::trash::Trash;

/// All services at one moment. Workers read a snapshot; the control plane makes the next one with
/// [`ServiceTable::apply`] and swaps it in.
#[derive(Clone, Debug, Default)]
pub struct ServiceTable {
    generation: u64,
    services: BTreeMap<ServiceKey, Arc<Service>>,
    // Keys come from the operator and not from the network, so the hash needs no secret seed.
    by_key: HashMap<ServiceKey, Arc<Service>, FixedState>,
    vips: HashSet<IpAddr, FixedState>,
    marks: Arc<Marks>,
    marked: BTreeSet<Prefix>,
    kinds: Kinds,
    one_packet: OnePacket,
    ramping: bool,
    /// [`Self::servers`], once it has been asked for by a packet.
    sources: OnceLock<BTreeSet<ReplySource>>,
}

/// Who sends what comes from a server without a connection, by the server; port 0 is every port.
type OnePacket = HashMap<DestKey, (Arc<Service>, usize), FixedState>;

/// Which kinds of services there are, so that no packet pays for those that there are not.
#[derive(Clone, Copy, Debug, Default)]
struct Kinds {
    marks: bool,
    ftp: bool,
    any_port: bool,
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
        let mark = mark.filter(|_| self.kinds.marks);
        let by_mark = mark.and_then(|mark| self.get(&ServiceKey::Mark { mark, family: vip.ip().into() }));
        let by_port = || at(vip.port()).filter(|_| vip.port() != 0);
        let ftp_data = self.kinds.ftp && proto == Proto::Tcp && may_be_ftp_data(vip.port());
        let by_ftp = || ftp_data.then(|| at(FTP)).flatten();
        let by_any_port = || self.kinds.any_port.then(|| at(0)).flatten();
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
        Some((service, service.dests.get(*at)?, vip))
    }

    /// The service with this key.
    pub fn get(&self, key: &ServiceKey) -> Option<&Arc<Service>> {
        self.by_key.get(key)
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
        self.vips.contains(&addr)
    }

    /// The distinct VIPs, in no order.
    pub fn vips(&self) -> impl Iterator<Item = IpAddr> {
        self.vips.iter().copied()
    }

    /// The destinations that rules name which mark packets for services, where they are more than single addresses
    /// (those are [`Self::vips`]).
    pub fn marked_prefixes(&self) -> impl Iterator<Item = Prefix> {
        self.marked.iter().copied()
    }

    /// All services in the order of `ipvsadm -L`.
    pub fn services(&self) -> impl ExactSizeIterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// The distinct servers with what they speak: those whose replies have to come back through us.
    pub fn servers(&self) -> BTreeSet<ReplySource> {
        let of =
            |s: &Arc<Service>| s.dests.iter().map(|d| reply_source(&s.key, d.live.key)).collect::<Vec<_>>();
        self.services.values().flat_map(of).collect()
    }

    /// Whether a packet from there may be a server's.
    pub fn is_server(&self, proto: Proto, from: SocketAddr) -> bool {
        let sources = self.sources.get_or_init(|| self.servers());
        let any_port = SocketAddr::new(from.ip(), 0);
        [(Some(proto), from), (Some(proto), any_port), (None, any_port)].iter().any(|s| sources.contains(s))
    }

    /// Applies all `ops` or none.
    ///
    /// # Errors
    /// The first op that was refused and why. Then nothing has changed, neither `trash` nor any scheduler's state.
    pub fn apply(&self, trash: &mut Trash, ops: &[Op]) -> Result<Self, (usize, OpError)> {
        let mut draft = Draft::new(&self.services, &self.marks, trash);
        for (i, op) in ops.iter().enumerate() {
            draft.apply(op).map_err(|error| (i, error))?;
        }
        Ok(self.next(draft, trash))
    }

    /// Applies those `ops` that can be applied, as a restore does, and reports the others with their index.
    pub fn apply_each(&self, trash: &mut Trash, ops: &[Op]) -> (Self, Vec<(usize, OpError)>) {
        let mut draft = Draft::new(&self.services, &self.marks, trash);
        let refuse = |(i, op)| draft.apply(op).err().map(|error| (i, error));
        let refused = ops.iter().enumerate().filter_map(refuse).collect();
        (self.next(draft, trash), refused)
    }

    /// Whether some server is in its slow start. Then [`ServiceTable::ramp`] is to be called, once a second, say.
    pub fn is_ramping(&self) -> bool {
        self.ramping
    }

    /// Lets servers that are in their slow start come nearer to their weight. `now` is the time since any fixed
    /// moment. `None` if nothing changes.
    pub fn ramp(&self, now: Duration) -> Option<Self> {
        if !self.ramping {
            return None;
        }
        let ramped = self.services.values().filter_map(|service| service.ramp(now));
        let ramped: Vec<_> = ramped.map(Arc::new).collect();
        if ramped.is_empty() && self.services.values().any(|s| s.is_ramping()) {
            return None;
        }
        let mut next = Self { generation: self.generation + 1, ..self.clone() };
        for service in ramped {
            next.by_key.insert(service.key, Arc::clone(&service));
            next.services.insert(service.key, service);
        }
        next.ramping = next.services.values().any(|s| s.is_ramping());
        Some(next)
    }

    fn next(&self, draft: Draft, trash: &mut Trash) -> Self {
        let ramping = self.ramping || draft.is_ramping();
        let (services, marks) = draft.commit(trash);
        let marked = marked(&services, &marks);
        let single = marked.iter().filter_map(|prefix| prefix.single());
        Self {
            generation: self.generation + 1,
            by_key: services.iter().map(|(key, service)| (*key, Arc::clone(service))).collect(),
            vips: services.keys().filter_map(ServiceKey::vip).chain(single).collect(),
            marked: marked.iter().copied().filter(|prefix| prefix.single().is_none()).collect(),
            one_packet: one_packet(&services),
            kinds: Kinds {
                marks: services.keys().any(|key| matches!(key, ServiceKey::Mark { .. })),
                ftp: services.keys().any(|key| key.l4_port() == Some(FTP)),
                any_port: services.keys().any(|key| key.l4_port() == Some(0)),
            },
            sources: OnceLock::new(),
            services,
            marks,
            ramping,
        }
    }
}

/// The destinations of the rules that mark packets for services.
fn marked(services: &BTreeMap<ServiceKey, Arc<Service>>, marks: &Marks) -> BTreeSet<Prefix> {
    let served: Vec<_> = services
        .keys()
        .filter_map(|key| match *key {
            ServiceKey::Mark { mark, family } => Some((mark, family)),
            ServiceKey::Addr { .. } => None,
        })
        .collect();
    let for_service = |rule: &MarkRule| {
        served.iter().any(|(mark, family)| *family == rule.family && rule.set.can_make(*mark))
    };
    marks.rules().filter(|rule| for_service(rule)).filter_map(MarkRule::only_dest).collect()
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

fn one_packet(services: &BTreeMap<ServiceKey, Arc<Service>>) -> OnePacket {
    let mut all = OnePacket::default();
    for service in services.values().filter(|service| service.one_packet) {
        // Of a mark the VIP cannot be told from an answer.
        let ServiceKey::Addr { proto: Proto::Udp, l4_port, .. } = service.key else { continue };
        for (at, dest) in service.dests.iter().enumerate().filter(|(_, dest)| dest.method.sees_replies()) {
            let server = dest.live.key;
            let port = if l4_port == 0 || server.port() == 0 { l4_port } else { server.port() };
            all.entry(SocketAddr::new(server.ip(), port)).or_insert_with(|| (Arc::clone(service), at));
        }
    }
    all
}

const fn may_be_ftp_data(l4_port: u16) -> bool {
    l4_port == FTP_DATA || l4_port >= UNPRIVILEGED
}
