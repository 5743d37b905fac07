//! The shadow: what should be, kept as simply as can be.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use engine::{Counters, Defence, DropReason, Knobs, State, Verdict};
use sched::{
    Counts, DestLive, DestSpec, Direction, Family, ForwardMethod, Mark, Op, Path, Persistence, Proto,
    ServiceKey, ServiceSpec, Share,
};

use crate::cast::{host, straight};
use crate::health::{Encounters, shake};
use crate::packets::Segment;
use crate::persist::Templates;
use crate::sctp;
use crate::tcp::{self, End, States};
use crate::way::Way;

/// Protocol, client, VIP.
pub(crate) type FlowKey = (Proto, SocketAddr, SocketAddr);

/// A server as one service has or had it.
pub(crate) struct Dest {
    pub(crate) addr: SocketAddr,
    pub(crate) available: bool,
    /// The one in force, and the configured one.
    pub(crate) weight: u32,
    pub(crate) configured: u32,
    /// What the control plane makes of it.
    pub(crate) share: Share,
    pub(crate) other_weight: Option<u32>,
    pub(crate) down: bool,
    pub(crate) encounters: Encounters,
    pub(crate) method: ForwardMethod,
    /// Its answers come by here, or did by a method that it had before.
    pub(crate) replies: bool,
    pub(crate) mtu: u32,
    /// What the network has said of the path, and until when that is believed.
    pub(crate) learned: Option<(u32, u64)>,
    pub(crate) path: Option<Path>,
    active: u32,
    inactive: u32,
    pub(crate) counts: Counts,
    /// Which making of the service it was last in.
    service: u64,
    /// The real one, once the engine has it.
    pub(crate) live: Option<Arc<DestLive>>,
}

pub(crate) struct Service {
    making: u64,
    pub(crate) persistence: Option<Persistence>,
    pub(crate) one_packet: bool,
    /// Clients are told apart by a Call-ID, which no packet here has.
    pub(crate) sip: bool,
    pub(crate) lips: Vec<IpAddr>,
    /// Those that are configured, as indices into [`Model::dests`].
    pub(crate) dests: Vec<usize>,
    pub(crate) sorry: Option<usize>,
    pub(crate) sorry_inhibit: bool,
    pub(crate) on_sorry: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) way: Way,
    pub(crate) state: State,
    pub(crate) deadline: u64,
    /// Which end it was, counted from the first, if it is over.
    pub(crate) over: Option<u64>,
    pub(crate) client_end: End,
    /// Packets from the client.
    requests: u32,
    pub(crate) server_end: End,
    /// When its SYN came that has not been answered, and whether that is known to be one that has not.
    pub(crate) asked: Option<(u64, bool)>,
    pub(crate) template: Option<u64>,
}

/// Refusals that a worker sends at once.
pub(crate) const BURST: u64 = 2000;

/// What the rules make of all packets to the second VIP.
pub(crate) const MARK: u32 = 5;

/// A reset: from, to, sequence number, acknowledgment, the way that it takes.
pub(crate) type Reset = (SocketAddr, SocketAddr, u32, u32, Leaves);

/// The way of a packet without a flow.
#[derive(Clone, Debug)]
pub(crate) enum Once {
    To(Way),
    /// From this server, as from this VIP.
    From(usize, SocketAddr),
}

/// Which way a frame leaves: whereto, to which neighbour, through the tunnel to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Leaves {
    Routed,
    To(IpAddr),
    Inside(IpAddr),
}

pub(crate) struct Model {
    states: States,
    pub(crate) now: u64,
    /// Until when fragments wait for their first ones.
    pub(crate) waiting: VecDeque<u64>,
    /// Which way the last packet without a flow went.
    pub(crate) once: Option<Once>,
    /// How many refusals each worker has left, and since when.
    limits: Vec<(u64, u64)>,
    /// Which one has the frame.
    pub(crate) worker: usize,
    /// Local addresses that are everybody's, and the ports of each.
    pub(crate) lips: Vec<IpAddr>,
    pub(crate) local_ports: Vec<u16>,
    /// Flows that have been over.
    ends: u64,
    pub(crate) max: usize,
    pub(crate) local: BTreeSet<IpAddr>,
    /// The host is no router in IPv4, in IPv6.
    pub(crate) closed: [bool; 2],
    pub(crate) services: BTreeMap<ServiceKey, Service>,
    pub(crate) dests: Vec<Dest>,
    trash: BTreeMap<(ServiceKey, SocketAddr), usize>,
    makings: u64,
    pub(crate) flows: BTreeMap<FlowKey, Flow>,
    /// Who has which reply tuple: protocol, server, client.
    pub(crate) replies: BTreeMap<FlowKey, FlowKey>,
    pub(crate) templates: Templates,
    pub(crate) counters: Counters,
    pub(crate) knobs: Knobs,
    /// Packets that could have begun a flow while drop_packet was on.
    attempts: u32,
    /// Those that have to leave.
    pub(crate) resets: Vec<Reset>,
    /// How often what has happened.
    pub(crate) seen: BTreeMap<&'static str, u64>,
}

impl Model {
    pub(crate) fn new(max: usize, local_ports: Vec<u16>, workers: usize) -> Self {
        Self {
            states: States::new(),
            now: 0,
            waiting: VecDeque::new(),
            once: None,
            limits: vec![(BURST, 0); workers],
            worker: 0,
            lips: Vec::new(),
            local_ports,
            ends: 0,
            max,
            local: BTreeSet::new(),
            closed: [false; 2],
            services: BTreeMap::new(),
            dests: Vec::new(),
            trash: BTreeMap::new(),
            makings: 0,
            flows: BTreeMap::new(),
            replies: BTreeMap::new(),
            templates: Templates::default(),
            counters: Counters::default(),
            knobs: Knobs::default(),
            attempts: 0,
            resets: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    pub(crate) fn happened(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Which service takes packets for this address: by mark, by port, of FTP, of all ports.
    pub(crate) fn service(&self, proto: Proto, vip: SocketAddr) -> Option<ServiceKey> {
        let at = |l4_port| ServiceKey::Addr { proto, vip: vip.ip(), l4_port };
        let mut keys = Vec::new();
        if is_marked(vip.ip()) {
            keys.push(mark_service(vip.ip().into()));
        }
        keys.push(at(vip.port()));
        if proto == Proto::Tcp && (vip.port() == 20 || vip.port() >= 1024) {
            keys.push(at(21));
        }
        keys.push(at(0));
        keys.into_iter().find(|key| self.services.contains_key(key))
    }

    /// The servers that a scheduler may choose.
    pub(crate) fn eligible(&self, service: ServiceKey) -> Vec<usize> {
        let service = &self.services[&service];
        let weight = |dest: &usize| service.weight_in(&self.dests, *dest);
        service.everyone().filter(|dest| weight(dest).is_some_and(|weight| weight > 0)).collect()
    }

    pub(crate) fn held(&self) -> usize {
        self.flows.len() + self.templates.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.held() >= self.max
    }

    /// Whether the flow's server has weight 0 in the service that takes the packet now.
    pub(crate) fn weighs_nothing(&self, segment: &Segment, flow: &Flow) -> bool {
        let service = self.service(segment.proto, segment.dst);
        let dest = flow.way.dest;
        service.is_some_and(|key| {
            let service = &self.services[&key];
            let known = service.everyone().any(|known| known == dest);
            known && service.weight_in(&self.dests, dest).is_none_or(|weight| weight == 0)
        })
    }

    pub(crate) fn is_server(&self, proto: Proto, addr: SocketAddr) -> bool {
        self.services.iter().any(|(key, service)| {
            let any_port = match *key {
                ServiceKey::Mark { .. } => true,
                ServiceKey::Addr { proto: of, l4_port, .. } => {
                    if of != proto {
                        return false;
                    }
                    l4_port == 0 || (proto == Proto::Tcp && l4_port == 21)
                }
            };
            let is_it = |server: SocketAddr| if any_port { server.ip() == addr.ip() } else { server == addr };
            service.everyone().any(|dest| self.dests[dest].replies && is_it(self.dests[dest].addr))
        })
    }

    /// A VIP or a local address that is nobody's.
    pub(crate) fn is_our_vip(&self, addr: IpAddr) -> bool {
        let marked = is_marked(addr) && self.services.contains_key(&mark_service(addr.into()));
        let vip = marked || self.services.keys().any(|key| key.vip() == Some(addr));
        let lip = self.lips.contains(&addr) || self.services.values().any(|of| of.lips.contains(&addr));
        (vip || lip) && !self.local.contains(&addr)
    }

    /// The time to live that a packet between these two leaves with.
    pub(crate) fn ttl(&self, ttl: u8, src: IpAddr, dst: IpAddr) -> u8 {
        credited(ttl, self.both_hops(src, dst))
    }

    pub(crate) fn both_hops(&self, src: IpAddr, dst: IpAddr) -> bool {
        !self.local.contains(&src) && !self.local.contains(&dst)
    }

    /// Whether nothing goes this way but by a connection.
    pub(crate) fn is_closed(&self, src: IpAddr, dst: IpAddr) -> bool {
        self.both_hops(src, dst) && self.closed[usize::from(src.is_ipv6())]
    }

    pub(crate) fn verdict(&mut self, verdict: Verdict) {
        self.counters.received += 1;
        match verdict {
            Verdict::Transmit(_) => self.counters.transmitted += 1,
            Verdict::Reply => self.counters.replied += 1,
            Verdict::Divert(_) => self.counters.diverted += 1,
            Verdict::Pass => self.counters.passed += 1,
            Verdict::Wait => self.counters.waiting += 1,
            Verdict::Drop(reason) => {
                self.counters.dropped[reason as usize] += 1;
                self.happened(reason.name());
            }
        }
    }

    /// Places missing from those that should be free.
    fn shortage(&self) -> u32 {
        self.knobs.amemthresh.saturating_sub((self.max - self.held()) as u32)
    }

    fn is_on(&self, defence: Defence) -> bool {
        defence == Defence::Always || (defence == Defence::Auto && self.shortage() > 0)
    }

    /// Why a packet for a VIP begins nothing, whoever is there.
    pub(crate) fn fault(&self, segment: &Segment) -> Option<DropReason> {
        let (src, dst) = (segment.src, segment.dst);
        let local = |addr: SocketAddr| self.local.contains(&addr.ip());
        if src == dst || src.ip() == dst.ip() && !local(dst) {
            return Some(DropReason::Land);
        }
        let odd = match src.ip() {
            IpAddr::V4(ip) => matches!(ip.octets()[0], 0 | 127 | 224..=239) || ip.is_broadcast(),
            // Those that end in an address of IPv4, and multicast.
            IpAddr::V6(ip) => ip.segments()[..5] == [0; 5] || ip.is_multicast(),
        };
        let vip = self.services.keys().any(|key| key.vip() == Some(src.ip()))
            || is_marked(src.ip()) && self.services.contains_key(&mark_service(src.ip().into()));
        (odd || vip && !local(src)).then_some(DropReason::MartianSource)
    }

    /// Whether the worker may send another refusal. It takes its place.
    pub(crate) fn may_refuse(&mut self) -> bool {
        let (left, since) = &mut self.limits[self.worker];
        *left = (*left + 10 * (self.now - *since)).min(BURST);
        *since = self.now;
        let yes = *left > 0;
        *left -= u64::from(yes);
        yes
    }

    /// Whether drop_packet takes this one.
    pub(crate) fn refuses(&mut self) -> bool {
        let every = match self.knobs.drop_packet {
            Defence::Always => self.knobs.am_droprate,
            Defence::Auto if self.shortage() > 0 => self.knobs.amemthresh / self.shortage(),
            _ => 0,
        };
        if every == 0 {
            return false;
        }
        self.attempts += 1;
        (self.attempts - 1).is_multiple_of(every)
    }

    /// Whether drop_entry may take this one: half open, or idle for a minute after a few packets.
    pub(crate) fn may_be_let_go(&self, key: FlowKey) -> bool {
        let flow = &self.flows[&key];
        let idle = (self.now + tcp::timeout_millis(key.0, flow.state, &self.knobs)) - flow.deadline;
        self.knobs.drop_entry != Defence::Off
            && match flow.state {
                State::SynRecv | State::SynAck | State::Init1 | State::Init => true,
                State::Established | State::Udp => idle >= 60_000 && (1..=8).contains(&flow.requests),
                _ => false,
            }
    }

    /// The resets that a flow would end with.
    pub(crate) fn resets_of(&self, key: FlowKey) -> Vec<Reset> {
        let flow = &self.flows[&key];
        if key.0 != Proto::Tcp || !tcp::is_open(flow.state) {
            return Vec::new();
        }
        let (client, server, way) = (flow.client_end, flow.server_end, &flow.way);
        let routed = |from, to| move |(seq, ack)| (from, to, seq, ack, Leaves::Routed);
        let mut resets: Vec<_> = client.resets(&server).into_iter().map(routed(key.2, key.1)).collect();
        if way.method.sees_replies() {
            resets.extend(server.resets(&client).into_iter().map(routed(way.peer, way.server)));
        } else if let (Some((seq, ack)), Some(leaves)) = (client.last_words(), way.leaves(self, key.2)) {
            resets.push((key.1, key.2, seq, ack, leaves));
        }
        resets
    }

    pub(crate) fn begin(&mut self, key: FlowKey, way: Way, template: Option<u64>) {
        let (source, to) = way.back(key.1, key.2);
        let back = (key.0, source, to);
        if let Some(holder) = self.replies.get(&back).copied() {
            self.happened("took the reply tuple of one that was over");
            self.end(holder);
        }
        let state = if key.0 == Proto::Udp { State::Udp } else { State::None };
        let dest = way.dest;
        let (deadline, ends) = (self.now + 3000, End::default());
        let flow = Flow {
            way,
            state,
            deadline,
            over: None,
            requests: 0,
            client_end: ends,
            server_end: ends,
            asked: None,
            template,
        };
        if let Some(id) = template {
            self.templates.joined(id);
        }
        assert!(self.flows.insert(key, flow).is_none(), "{key:?} is there already");
        assert!(self.replies.insert(back, key).is_none(), "a shared reply tuple: {key:?}");
        self.dests[dest].inactive += 1;
        self.dests[dest].counts.conns += 1;
        self.counters.created += 1;
        if self.services.values().any(|service| service.sorry == Some(dest)) {
            self.happened("the sorry server's");
        }
    }

    /// A packet has passed on a flow.
    pub(crate) fn seen(&mut self, key: FlowKey, direction: Direction, segment: &Segment) {
        self.count(key, direction, segment.on_wire());
        let guarded = self.is_on(self.knobs.secure_tcp);
        let flow = self.flows.get_mut(&key).expect("the flow");
        let both = flow.way.method.sees_replies();
        flow.requests += u32::from(direction == Direction::In);
        if key.0 != Proto::Udp {
            let end = if direction == Direction::In { &mut flow.client_end } else { &mut flow.server_end };
            end.says(segment);
            let next = match key.0 {
                Proto::Sctp => sctp::next(direction, !both, segment.chunk, flow.state),
                _ => self.states.next(direction, !both, segment.flags, flow.state, guarded),
            };
            match (tcp::is_over(flow.state), tcp::is_over(next)) {
                (false, true) => {
                    self.ends += 1;
                    flow.over = Some(self.ends);
                }
                (true, false) => flow.over = None,
                _ => {}
            }
            let dest = &mut self.dests[flow.way.dest];
            match (tcp::is_active(flow.state), tcp::is_active(next)) {
                (false, true) => (dest.active, dest.inactive) = (dest.active + 1, dest.inactive - 1),
                (true, false) => (dest.active, dest.inactive) = (dest.active - 1, dest.inactive + 1),
                _ => {}
            }
            let from = std::mem::replace(&mut flow.state, next);
            if key.0 == Proto::Tcp {
                shake(flow, &mut dest.encounters, direction, segment.flags, from, self.now);
            }
        }
        flow.deadline = self.now + tcp::timeout_millis(key.0, flow.state, &self.knobs);
        let name = flow.state.name();
        let assures =
            flow.state == State::Established || (key.0 == Proto::Udp && direction == Direction::Out);
        if let Some(id) = flow.template.filter(|_| assures) {
            self.templates.assure(id);
        }
        self.happened(name);
    }

    /// A packet passes without a flow.
    pub(crate) fn count_once(&mut self, dest: usize, direction: Direction, on_wire: (u64, u64)) {
        self.dests[dest].counts.conns += u64::from(direction == Direction::In);
        self.count_more(dest, direction, on_wire);
    }

    /// So does another fragment of it.
    pub(crate) fn count_more(&mut self, dest: usize, direction: Direction, on_wire: (u64, u64)) {
        add(&mut self.dests[dest].counts, direction, on_wire);
    }

    pub(crate) fn count(&mut self, key: FlowKey, direction: Direction, on_wire: (u64, u64)) {
        add(&mut self.dests[self.flows[&key].way.dest].counts, direction, on_wire);
    }

    pub(crate) fn end(&mut self, key: FlowKey) {
        let flow = self.flows.remove(&key).expect("the flow");
        let (source, to) = flow.way.back(key.1, key.2);
        assert_eq!(self.replies.remove(&(key.0, source, to)), Some(key));
        if let Some(id) = flow.template {
            self.templates.left(id);
        }
        let dest = &mut self.dests[flow.way.dest];
        if tcp::is_active(flow.state) {
            dest.active -= 1;
        } else {
            dest.inactive -= 1;
        }
        self.counters.expired += 1;
    }

    /// A flow ends with resets: to its server, and to its client unless that has begun another one.
    pub(crate) fn reset(&mut self, key: FlowKey, client_too: bool) {
        let resets = self.resets_of(key).into_iter().filter(|(_, to, ..)| client_too || *to != key.1);
        let before = self.resets.len();
        self.resets.extend(resets);
        let n = self.resets.len() - before;
        self.counters.resets += n as u64;
        if n > 0 {
            self.happened(if client_too { "told both ends" } else { "told the old server" });
            if !self.flows[&key].way.method.sees_replies() {
                self.happened("told a server past its answers");
            }
        }
        self.end(key);
    }

    /// A legal edit.
    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::AddService { service } => {
                self.makings += 1;
                self.services.insert(service.key, Service::new(self.makings, service));
                for dest in &service.dests {
                    self.add_dest(service.key, dest);
                }
            }
            Op::EditService { service } => {
                let old = self.services.get_mut(&service.key).expect("a legal edit");
                let (dests, lips) = (std::mem::take(&mut old.dests), std::mem::take(&mut old.lips));
                let &mut Service { making, sorry, sorry_inhibit, on_sorry, .. } = old;
                let new = Service::new(making, service);
                *old = Service { dests, lips, sorry, sorry_inhibit, on_sorry, ..new };
            }
            Op::DelService { key } => {
                let service = self.services.remove(key).expect("a legal edit");
                service.everyone().for_each(|dest| self.retire(*key, dest));
            }
            Op::AddDest { key, dest } => self.add_dest(*key, dest),
            Op::EditDest { key, dest } => {
                let index = self.index(key, dest.addr);
                let known = &mut self.dests[index];
                known.edit(dest);
            }
            Op::DelDest { key, addr } => {
                let index = self.index(key, *addr);
                self.services.get_mut(key).expect("a legal edit").dests.retain(|d| *d != index);
                self.retire(*key, index);
            }
            Op::Flush => {
                self.lips.clear();
                for (key, service) in std::mem::take(&mut self.services) {
                    service.everyone().for_each(|dest| self.retire(key, dest));
                }
            }
            Op::Zero { .. } => {
                let dests = self.services.values().flat_map(Service::everyone);
                dests.for_each(|dest| self.dests[dest].zero());
            }
            Op::AddLip { lip, .. } => self.lips.push(*lip),
            Op::DelLip { lip, .. } => self.lips.retain(|known| known != lip),
            Op::SetTls { .. }
            | Op::AddMark { .. }
            | Op::DelMark { .. }
            | Op::DelMarkAt { .. }
            | Op::FlushMarks { .. }
            | Op::ZeroMarks { .. } => unreachable!("there are no fronts, and the rules stay as they are"),
            Op::SetFitness { key, addr, fitness } => {
                let index = self.index(key, *addr);
                let dest = &mut self.dests[index];
                (dest.share, dest.other_weight) = (fitness.share, fitness.weight.map(|weight| weight.0));
                dest.weigh();
            }
            Op::SetSorry { key, on } => self.services.get_mut(key).expect("a legal edit").on_sorry = *on,
            Op::SetHealth { key, health } => self.set_health(*key, health.as_deref()),
        }
    }

    fn index(&self, key: &ServiceKey, addr: SocketAddr) -> usize {
        let mut dests = self.services[key].dests.iter().copied();
        dests.find(|d| self.dests[*d].addr == addr).expect("a legal edit")
    }

    fn add_dest(&mut self, key: ServiceKey, spec: &DestSpec) {
        let index = self.join(key, spec);
        self.services.get_mut(&key).expect("a legal edit").dests.push(index);
    }

    /// A server of a service, the same as before if it was there.
    pub(crate) fn join(&mut self, key: ServiceKey, spec: &DestSpec) -> usize {
        let (addr, weight, method) = (spec.addr, spec.weight.0, spec.method);
        let making = self.services[&key].making;
        let index = match self.trash.remove(&(key, addr)) {
            Some(index) => {
                self.happened("a server came back");
                index
            }
            None => {
                let (counts, live) = (Counts::default(), None);
                let (mtu, active, inactive, service) = (0, 0, 0, making);
                self.dests.push(Dest {
                    addr,
                    available: true,
                    weight,
                    configured: weight,
                    share: Share::In,
                    other_weight: None,
                    down: false,
                    encounters: Encounters::default(),
                    method,
                    replies: false,
                    learned: None,
                    path: Some(straight(addr.ip())),
                    mtu,
                    active,
                    inactive,
                    counts,
                    service,
                    live,
                });
                self.dests.len() - 1
            }
        };
        let dest = &mut self.dests[index];
        if dest.service != making {
            // Connections outlive their service, its counters do not.
            dest.zero();
            dest.service = making;
        }
        (dest.share, dest.other_weight, dest.down, dest.available) = (Share::In, None, false, true);
        dest.edit(spec);
        index
    }

    pub(crate) fn retire(&mut self, key: ServiceKey, dest: usize) {
        self.dests[dest].available = false;
        self.trash.insert((key, self.dests[dest].addr), dest);
    }

    /// What can be read of the servers is what it should be.
    pub(crate) fn compare_dests(&self) {
        for (i, dest) in self.dests.iter().enumerate() {
            let live = dest.live.as_ref().expect("known since the last edit");
            let loads = (live.active.load(Relaxed), live.inactive.load(Relaxed));
            assert_eq!(loads, (dest.active, dest.inactive), "active and inactive of {}", dest.addr);
            let persistent = live.persistent.load(Relaxed) as usize;
            assert_eq!(persistent, self.templates.of(i), "templates of {}", dest.addr);
            assert_eq!(live.stats.read(), dest.counts, "counters of {}", dest.addr);
            assert_eq!(live.is_available(), dest.available, "{} available", dest.addr);
        }
    }
}

impl Service {
    fn new(making: u64, spec: &ServiceSpec) -> Self {
        let &ServiceSpec { persistence, one_packet, pe, .. } = spec;
        let (sip, lips) = (pe.is_some(), spec.lips.clone());
        let (dests, sorry, sorry_inhibit, on_sorry) = (Vec::new(), None, false, false);
        Self { making, persistence, one_packet, sip, lips, dests, sorry, sorry_inhibit, on_sorry }
    }
}

fn is_marked(addr: IpAddr) -> bool {
    addr == host(addr.is_ipv4(), 2, 2)
}

pub(crate) fn mark_service(family: Family) -> ServiceKey {
    ServiceKey::Mark { mark: Mark(MARK.try_into().expect("not 0")), family }
}

fn add(counts: &mut Counts, direction: Direction, (packets, bytes): (u64, u64)) {
    match direction {
        Direction::In => {
            (counts.in_packets, counts.in_bytes) = (counts.in_packets + packets, counts.in_bytes + bytes)
        }
        Direction::Out => {
            (counts.out_packets, counts.out_bytes) = (counts.out_packets + packets, counts.out_bytes + bytes);
        }
    }
}

/// A hop given back, where there is room for it.
pub(crate) fn credited(ttl: u8, credit: bool) -> u8 {
    if credit { ttl.saturating_add(1) } else { ttl }
}
