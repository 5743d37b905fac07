//! One worker's share of the engine: the way of a frame from parse to verdict.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Cache};
use sched::{Dest, Direction, Flow, Proto, Service, ServiceTable};
use wire::edit::{self, Side};
use wire::frame::{Frame, GsoKind};
use wire::packet::{Fragment, L4, Packet};
use wire::{gso, icmp, reply};

use crate::conn::{Conn, ConnTable, FlowKey, Inserted, Legs, Millis, Wheel};
use crate::counters::WorkerCounters;
use crate::forward;
use crate::host::HostView;
use crate::state::tcp;
use crate::verdict::{DropReason, Verdict};
use crate::{Engine, millis_since};

/// A worker: owned by the thread that serves one queue.
#[derive(Debug)]
pub struct Worker {
    table: Cache<Arc<ArcSwap<ServiceTable>>, Arc<ServiceTable>>,
    host: Cache<Arc<ArcSwap<HostView>>, Arc<HostView>>,
    conns: Arc<ConnTable>,
    counters: Arc<WorkerCounters>,
    wheel: Wheel,
    born: Instant,
}

impl Worker {
    pub(crate) fn new(engine: &Engine, counters: Arc<WorkerCounters>) -> Self {
        Self {
            table: Cache::new(Arc::clone(&engine.table)),
            host: Cache::new(Arc::clone(&engine.host)),
            conns: Arc::clone(&engine.conns),
            counters,
            wheel: Wheel::new(),
            born: engine.born,
        }
    }

    /// Decides about `frame` and edits it accordingly.
    pub fn process(&mut self, frame: &mut Frame, now: Instant) -> Verdict {
        let super_packet = frame.offload.gso != GsoKind::None;
        let mut step = Step {
            table: self.table.load(),
            host: self.host.load(),
            conns: &self.conns,
            counters: &self.counters,
            wheel: &mut self.wheel,
            now: millis_since(self.born, now),
        };
        let verdict = step.decide(frame);
        self.counters.count(super_packet, verdict);
        verdict
    }

    /// When to call [`Worker::handle_timeout`] next; `None` while there is nothing to wait for.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wheel.next_due().map(|at| self.born + Duration::from_millis(at))
    }

    /// Lets connections go that have been idle for too long. Does a bounded amount of work: ask
    /// [`Worker::poll_timeout`] again afterwards.
    pub fn handle_timeout(&mut self, now: Instant) {
        let (conns, counters) = (&self.conns, &self.counters);
        self.wheel.advance(millis_since(self.born, now), |conn| {
            if conns.remove(conn) {
                counters.expired();
            }
        });
    }
}

/// What one frame's decision may use.
struct Step<'a> {
    table: &'a ServiceTable,
    host: &'a HostView,
    conns: &'a ConnTable,
    counters: &'a WorkerCounters,
    wheel: &'a mut Wheel,
    now: Millis,
}

impl Step<'_> {
    fn decide(&mut self, frame: &mut Frame) -> Verdict {
        let Ok(packet) = Packet::parse(frame.packet()) else {
            return Verdict::Drop(DropReason::Malformed);
        };
        match packet.l4 {
            L4::Tcp { src_port, dst_port, .. } => {
                self.transport(frame, &packet, Proto::Tcp, src_port, dst_port)
            }
            L4::Udp { src_port, dst_port, .. } => {
                self.transport(frame, &packet, Proto::Udp, src_port, dst_port)
            }
            L4::Icmp { .. } | L4::Icmp6 { .. } => self.icmp(frame, &packet),
            L4::Other => self.other(frame, &packet),
        }
    }

    fn transport(
        &mut self,
        frame: &mut Frame,
        packet: &Packet,
        proto: Proto,
        src_port: u16,
        dst_port: u16,
    ) -> Verdict {
        let src = SocketAddr::new(packet.src, src_port);
        let dst = SocketAddr::new(packet.dst, dst_port);
        if let Some((conn, direction)) = self.conns.find(&FlowKey::new(proto, src, dst)) {
            if packet.fragment != Fragment::None {
                return Verdict::Drop(DropReason::Fragment);
            }
            return match direction {
                Direction::Out => self.towards_client(frame, packet, &conn),
                Direction::In if conn.state().is_over() && opens(packet) => {
                    self.end(&conn);
                    self.begin(frame, packet, proto, src, dst)
                }
                Direction::In => self.towards_server(frame, packet, &conn),
            };
        }
        self.begin(frame, packet, proto, src, dst)
    }

    /// A packet that belongs to no connection.
    fn begin(
        &mut self,
        frame: &mut Frame,
        packet: &Packet,
        proto: Proto,
        src: SocketAddr,
        dst: SocketAddr,
    ) -> Verdict {
        let Some(service) = self.table.lookup(proto, dst.ip(), dst.port()) else {
            return self.not_ours(frame, packet);
        };
        if packet.fragment != Fragment::None {
            return Verdict::Drop(DropReason::Fragment);
        }
        if proto == Proto::Tcp && !opens(packet) {
            // A connection from before we knew the service is the host's own business, if the VIP is its address.
            return self.not_ours(frame, packet);
        }
        match self.schedule(service, proto, src, dst) {
            Ok(conn) => self.towards_server(frame, packet, &conn),
            Err(Refusal::Nobody) => answered(reply::icmp_unreachable_port(frame, packet, dst.ip())),
            Err(Refusal::Full) => Verdict::Drop(DropReason::TableFull),
            Err(Refusal::ReplyTaken) => Verdict::Drop(DropReason::ReplyTupleTaken),
        }
    }

    /// Chooses a server and makes the connection. The scheduler's choice stands, unless another connection of this
    /// client has its reply tuple: then the next server of the list that could be chosen and is free.
    fn schedule(
        &mut self,
        service: &Service,
        proto: Proto,
        client: SocketAddr,
        vip: SocketAddr,
    ) -> Result<Arc<Conn>, Refusal> {
        let first = service.pick(&Flow { client, vip }).ok_or(Refusal::Nobody)?;
        let others = service.dests.iter().filter(|d| d.eligible() && !Arc::ptr_eq(&d.live, &first.live));
        for dest in std::iter::once(first).chain(others) {
            let conn = Arc::new(Conn::new(self.legs(service, dest, proto, client, vip), self.now));
            let mut inserted = self.conns.insert(&conn);
            if let Inserted::ReplyTaken(other) = &inserted
                && other.state().is_over()
            {
                self.end(other);
                inserted = self.conns.insert(&conn);
            }
            match inserted {
                Inserted::Yes => {
                    service.live.stats.count_conn();
                    dest.live.stats.count_conn();
                    self.counters.created();
                    self.wheel.arm(&conn, self.now);
                    return Ok(conn);
                }
                refused => {
                    conn.retire();
                    match refused {
                        Inserted::Full => return Err(Refusal::Full),
                        // A flow from an address and port to the same is in its own way.
                        Inserted::Raced(other) if !other.is_gone() => return Ok(other),
                        Inserted::Raced(_) | Inserted::ReplyTaken(_) | Inserted::Yes => {}
                    }
                }
            }
        }
        Err(Refusal::ReplyTaken)
    }

    fn legs(
        &self,
        service: &Service,
        dest: &Dest,
        proto: Proto,
        client: SocketAddr,
        vip: SocketAddr,
    ) -> Legs {
        Legs {
            proto,
            client,
            vip,
            dest: Arc::clone(&dest.live),
            service: Arc::clone(&service.live),
            method: dest.method,
            hop_credit: self.both_hops(client.ip(), dest.live.key.ip()),
        }
    }

    fn towards_server(&mut self, frame: &mut Frame, packet: &Packet, conn: &Arc<Conn>) -> Verdict {
        let legs = &conn.legs;
        if !legs.dest.is_available() {
            return Verdict::Drop(DropReason::DestRemoved);
        }
        // The kernel would refuse it on its second pass and quote the server, which the client has never heard of.
        let mtu = legs.dest.mtu.load(Relaxed);
        if mtu != 0 && packet.dont_fragment && gso::largest(frame, packet) > mtu as usize {
            return answered(reply::icmp_too_big(frame, packet, legs.vip.ip(), mtu));
        }
        self.seen(frame, packet, conn, Direction::In);
        forward::request(legs.method, frame, packet, legs);
        self.credit(frame, packet, legs.hop_credit);
        Verdict::Transmit
    }

    fn towards_client(&mut self, frame: &mut Frame, packet: &Packet, conn: &Arc<Conn>) -> Verdict {
        let legs = &conn.legs;
        self.seen(frame, packet, conn, Direction::Out);
        forward::reply(legs.method, frame, packet, legs);
        self.credit(frame, packet, legs.hop_credit);
        Verdict::Transmit
    }

    fn seen(&mut self, frame: &Frame, packet: &Packet, conn: &Arc<Conn>, direction: Direction) {
        count(frame, packet, conn, direction);
        let event = match packet.l4 {
            L4::Tcp { flags, .. } => tcp::Event::of(flags.syn(), flags.fin(), flags.ack(), flags.rst()),
            _ => None,
        };
        conn.seen(direction, event, self.now);
        self.wheel.arm(conn, self.now);
    }

    fn icmp(&mut self, frame: &mut Frame, packet: &Packet) -> Verdict {
        if let Some(quoted) = icmp::quoted(frame.packet(), packet) {
            return self.icmp_error(frame, packet, &quoted);
        }
        if !self.is_our_vip(packet.dst) {
            return self.pass(frame, packet);
        }
        if packet.fragment != Fragment::None {
            return Verdict::Drop(DropReason::Fragment);
        }
        if reply::echo(frame, packet) { Verdict::Reply } else { Verdict::Drop(DropReason::IcmpUnrelated) }
    }

    /// An ICMP error is translated like the packet that it quotes, the other way round.
    fn icmp_error(&mut self, frame: &mut Frame, packet: &Packet, quoted: &icmp::Quoted) -> Verdict {
        let found = quoted_proto(quoted).and_then(|proto| {
            let src = SocketAddr::new(quoted.src, quoted.src_port);
            let dst = SocketAddr::new(quoted.dst, quoted.dst_port);
            self.conns.find(&FlowKey::new(proto, dst, src))
        });
        let Some((conn, direction)) = found else {
            if self.is_our_vip(packet.dst) {
                return Verdict::Drop(DropReason::IcmpUnrelated);
            }
            return self.pass(frame, packet);
        };
        if packet.fragment != Fragment::None {
            return Verdict::Drop(DropReason::Fragment);
        }
        // It counts as traffic, but keeps no connection alive.
        count(frame, packet, &conn, direction);
        let legs = &conn.legs;
        let (server, vip) = (legs.dest.key, legs.vip);
        match direction {
            // From the client's side, about a reply: it goes on to the server that sent it.
            Direction::In => {
                icmp::rewrite_quoted(frame, packet, quoted, Side::Source, server.ip(), server.port());
                edit::set_destination(frame, packet, server.ip(), 0);
            }
            // From the server's side, about a request: the client knows only the VIP.
            Direction::Out => {
                icmp::rewrite_quoted(frame, packet, quoted, Side::Destination, vip.ip(), vip.port());
                edit::set_source(frame, packet, vip.ip(), 0);
            }
        }
        let credit =
            self.both_hops(packet.src, if direction == Direction::In { server.ip() } else { packet.dst });
        self.credit(frame, packet, credit);
        Verdict::Transmit
    }

    /// A transport that has no ports for us to look at: later fragments, other protocols.
    fn other(&mut self, frame: &mut Frame, packet: &Packet) -> Verdict {
        if !self.is_our_vip(packet.dst) {
            return self.pass(frame, packet);
        }
        Verdict::Drop(if packet.fragment == Fragment::None {
            DropReason::UnknownProtocol
        } else {
            DropReason::Fragment
        })
    }

    /// TCP or UDP that is no service's: the host's, or refused as a host without a listener would.
    fn not_ours(&self, frame: &mut Frame, packet: &Packet) -> Verdict {
        if !self.is_our_vip(packet.dst) {
            return self.pass(frame, packet);
        }
        match packet.l4 {
            L4::Tcp { .. } => answered(reply::tcp_reset(frame, packet)),
            _ => answered(reply::icmp_unreachable_port(frame, packet, packet.dst)),
        }
    }

    fn pass(&self, frame: &mut Frame, packet: &Packet) -> Verdict {
        let both_hops = self.both_hops(packet.src, packet.dst);
        if both_hops && self.host.is_closed(packet.family) && !is_group(packet.dst) {
            return Verdict::Drop(DropReason::NotForwarded);
        }
        self.credit(frame, packet, both_hops);
        Verdict::Pass
    }

    /// A VIP that is nobody's address: what the host cannot answer, we do.
    fn is_our_vip(&self, addr: IpAddr) -> bool {
        self.table.is_vip(addr) && !self.host.is_local(addr)
    }

    /// The host's kernel forwards a packet to us and forwards it again from us: one hop too many, unless one end of
    /// the way is the host itself.
    fn both_hops(&self, src: IpAddr, dst: IpAddr) -> bool {
        !self.host.is_local(src) && !self.host.is_local(dst)
    }

    fn credit(&self, frame: &mut Frame, packet: &Packet, credit: bool) {
        if credit && packet.ttl < u8::MAX {
            edit::set_ttl(frame, packet, packet.ttl + 1);
        }
    }

    fn end(&self, conn: &Arc<Conn>) {
        if self.conns.remove(conn) {
            self.counters.expired();
        }
    }
}

/// Why a flow got no server.
enum Refusal {
    Nobody,
    Full,
    ReplyTaken,
}

/// Only a SYN begins a TCP connection: not one that answers another, nor one that resets.
fn opens(packet: &Packet) -> bool {
    match packet.l4 {
        L4::Tcp { flags, .. } => flags.syn() && !flags.ack() && !flags.rst(),
        _ => true,
    }
}

/// Broadcast to the link or multicast: not forwarded by anybody, but perhaps for the host.
fn is_group(addr: IpAddr) -> bool {
    addr.is_multicast() || addr == IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn count(frame: &Frame, packet: &Packet, conn: &Conn, direction: Direction) {
    let (packets, bytes) = (u64::from(gso::segments(frame, packet)), gso::wire_bytes(frame, packet));
    conn.legs.service.stats.count(direction, packets, bytes);
    conn.legs.dest.stats.count(direction, packets, bytes);
}

fn quoted_proto(quoted: &icmp::Quoted) -> Option<Proto> {
    [Proto::Tcp, Proto::Udp].into_iter().find(|p| p.number() == quoted.protocol)
}

fn answered(yes: bool) -> Verdict {
    if yes { Verdict::Reply } else { Verdict::Drop(DropReason::Unanswerable) }
}
