//! One worker's share of the engine: the way of a frame from parse to verdict.

mod begin;
mod icmp;
mod limit;
mod one_packet;
mod opening;
mod outbox;
mod persist;
mod refuse;

use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Cache};
use sched::{DestLive, Direction, Proto, ServiceTable, SvcLive};
use wire::edit;
use wire::frame::{Frame, GsoKind};
use wire::packet::{Fragment, L4, Packet};
use wire::{gso, reply};

use self::limit::Limit;
use self::outbox::Outbox;
use crate::condemned::{Condemned, Sentence};
use crate::conn::{Conn, ConnTable, FlowKey, Legs, Millis, Room, Wheel};
use crate::counters::WorkerCounters;
use crate::defence::{self, Sampler, Turnstile};
use crate::forward;
use crate::host::HostView;
use crate::knobs::{Defence, Knobs};
use crate::persist::{Template, Templates};
use crate::random::Random;
use crate::state::{Event, State, sctp, tcp};
use crate::verdict::{DropReason, Verdict};
use crate::{Engine, marks, millis_since};

/// A worker: owned by the thread that serves one queue.
#[derive(Debug)]
pub struct Worker {
    table: Cache<Arc<ArcSwap<ServiceTable>>, Arc<ServiceTable>>,
    host: Cache<Arc<ArcSwap<HostView>>, Arc<HostView>>,
    knobs: Cache<Arc<ArcSwap<Knobs>>, Arc<Knobs>>,
    random: Random,
    conns: Arc<ConnTable>,
    condemned: Arc<Condemned>,
    templates: Arc<Templates>,
    counters: Arc<WorkerCounters>,
    wheel: Wheel<Conn>,
    templates_wheel: Wheel<Template>,
    outbox: Outbox,
    room: Arc<Room>,
    turnstile: Arc<Turnstile>,
    sampler: Sampler,
    limit: Limit,
    born: Instant,
}

impl Worker {
    pub(crate) fn new(engine: &Engine, seed: u64, counters: Arc<WorkerCounters>) -> Self {
        Self {
            table: Cache::new(Arc::clone(&engine.table)),
            host: Cache::new(Arc::clone(&engine.host)),
            knobs: Cache::new(Arc::clone(&engine.knobs)),
            random: Random::new(seed),
            conns: Arc::clone(&engine.conns),
            condemned: Arc::clone(&engine.condemned),
            templates: Arc::clone(&engine.templates),
            counters,
            wheel: Wheel::new(),
            templates_wheel: Wheel::new(),
            outbox: Outbox::default(),
            room: Arc::clone(&engine.room),
            turnstile: Arc::clone(&engine.turnstile),
            sampler: Sampler::default(),
            limit: Limit::default(),
            born: engine.born,
        }
    }

    /// Decides about `frame` and edits it accordingly.
    pub fn process(&mut self, frame: &mut Frame, now: Instant) -> Verdict {
        let super_packet = frame.offload.gso != GsoKind::None;
        let elapsed = now.saturating_duration_since(self.born);
        let now = elapsed.as_millis() as Millis;
        let knobs = self.knobs.load();
        if knobs.drop_entry != Defence::Off {
            self.sampler.wake(now);
        }
        let mut step = Step {
            table: self.table.load(),
            host: self.host.load(),
            knobs,
            room: &self.room,
            turnstile: &self.turnstile,
            limit: &self.limit,
            random: &mut self.random,
            conns: &self.conns,
            templates: &self.templates,
            counters: &self.counters,
            wheel: &mut self.wheel,
            templates_wheel: &mut self.templates_wheel,
            outbox: &mut self.outbox,
            now,
            elapsed,
        };
        let verdict = step.decide(frame);
        self.counters.count(super_packet, verdict);
        verdict
    }

    /// When to call [`Worker::handle_timeout`] next; `None` while there is nothing to wait for.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.condemned.is_empty() {
            return Some(self.born);
        }
        let wheels = [self.wheel.next_due(), self.templates_wheel.next_due()];
        let due = wheels.into_iter().chain([self.sampler.next_due()]).flatten().min();
        due.map(|at| self.born + Duration::from_millis(at))
    }

    /// Lets connections go that have been idle for too long, or that shall end for another reason, and templates whose
    /// time is over. Does a bounded amount of work: ask [`Worker::poll_timeout`] again afterwards. Some leave frames
    /// for [`Worker::next_own`].
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = millis_since(self.born, now);
        let (conns, counters, outbox) = (&self.conns, &self.counters, &mut self.outbox);
        let knobs = **self.knobs.load();
        let Knobs { reset_on_end: resets, template_decay: decay, .. } = knobs;
        let mut end = |conn: &Arc<Conn>, reset: bool| {
            if conns.remove(conn) {
                counters.expired();
                if reset && conn.state().is_open() {
                    outbox.reset(conn);
                }
            }
            if outbox.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        while let Some(Sentence { conn, reset }) = self.condemned.pop() {
            if end(&conn, reset).is_break() {
                return;
            }
        }
        self.wheel.advance(now, |conn| end(conn, resets));
        let templates = &self.templates;
        self.templates_wheel.advance(now, |template| {
            if templates.expire(template, now, decay) {
                counters.expired();
            }
            ControlFlow::Continue(())
        });
        self.defend(now, &knobs);
    }

    /// `drop_entry`. Who has flooded is not told.
    fn defend(&mut self, now: Millis, knobs: &Knobs) {
        let held = self.wheel.next_due().is_some() || self.templates_wheel.next_due().is_some();
        let goes_on = held && knobs.drop_entry != Defence::Off;
        if !self.sampler.is_due(now, goes_on) || !defence::is_on(knobs.drop_entry, knobs, &self.room) {
            return;
        }
        let (part, sampler) = (Sampler::part(&mut self.random), &mut self.sampler);
        self.wheel.sample(part, |conn| {
            if sampler.lets_go(conn, now, knobs) && self.conns.remove(conn) {
                self.counters.expired();
            }
        });
        self.templates_wheel.sample(part, |template| {
            if !template.is_assured() && !template.has_members() && self.templates.remove(template) {
                self.counters.expired();
            }
        });
    }

    /// Makes `frame` one that is to be sent though nothing has asked for it; `false` when there is none, and the frame
    /// as it was. Ask until then after [`Worker::handle_timeout`] and [`Worker::process`], in the latter case before
    /// the processed frame is sent.
    pub fn next_own(&mut self, frame: &mut Frame) -> bool {
        let made = self.outbox.pop(frame);
        if made {
            self.counters.reset();
        }
        made
    }
}

/// What one frame's decision may use.
struct Step<'a> {
    table: &'a ServiceTable,
    host: &'a HostView,
    knobs: &'a Knobs,
    room: &'a Room,
    turnstile: &'a Turnstile,
    limit: &'a Limit,
    random: &'a mut Random,
    conns: &'a ConnTable,
    templates: &'a Templates,
    counters: &'a WorkerCounters,
    wheel: &'a mut Wheel<Conn>,
    templates_wheel: &'a mut Wheel<Template>,
    outbox: &'a mut Outbox,
    now: Millis,
    /// The same time, exactly.
    elapsed: Duration,
}

impl Step<'_> {
    fn decide(&mut self, frame: &mut Frame) -> Verdict {
        let Ok(packet) = Packet::parse(frame.packet()) else {
            return Verdict::Drop(DropReason::Malformed);
        };
        marks::count(self.table.marks(), self.host, frame, &packet);
        match packet.l4 {
            L4::Tcp { src_port, dst_port, .. } => {
                self.transport(frame, &packet, Proto::Tcp, src_port, dst_port)
            }
            L4::Udp { src_port, dst_port, .. } => {
                self.transport(frame, &packet, Proto::Udp, src_port, dst_port)
            }
            L4::Sctp { src_port, dst_port, .. } => {
                self.transport(frame, &packet, Proto::Sctp, src_port, dst_port)
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
                Direction::In if self.begins_anew(&conn, packet) => {
                    self.end(&conn);
                    if self.knobs.reset_on_end && conn.state().is_open() {
                        self.outbox.reset_server(&conn);
                    }
                    self.begin(frame, packet, proto, src, dst)
                }
                Direction::In => self.towards_server(frame, packet, &conn),
            };
        }
        self.begin(frame, packet, proto, src, dst)
    }

    fn towards_server(&mut self, frame: &mut Frame, packet: &Packet, conn: &Arc<Conn>) -> Verdict {
        if !conn.legs.dest.is_available() {
            return Verdict::Drop(DropReason::DestRemoved);
        }
        if let Some(refused) = self.too_big(frame, packet, &conn.legs) {
            return refused;
        }
        self.seen(frame, packet, conn, Direction::In);
        self.request(frame, packet, &conn.legs)
    }

    /// The answer to a packet that does not fit the path to its server.
    fn too_big(&self, frame: &mut Frame, packet: &Packet, legs: &Legs) -> Option<Verdict> {
        // The kernel would refuse it on its second pass and quote the server, which the client has never heard of.
        let mtu = legs.dest.mtu.load(Relaxed);
        let too_big = self.knobs.pmtu_disc
            && mtu != 0
            && packet.dont_fragment
            && gso::largest(frame, packet) > mtu as usize;
        too_big.then(|| self.refuse(|| reply::icmp_too_big(frame, packet, legs.vip.ip(), mtu)))
    }

    /// Sends a packet on to its server.
    fn request(&self, frame: &mut Frame, packet: &Packet, legs: &Legs) -> Verdict {
        if !legs.method.sees_replies() {
            return Verdict::Drop(DropReason::MethodUnavailable);
        }
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
        count(frame, packet, &conn.legs.service, &conn.legs.dest, direction);
        let guarded = defence::is_on(self.knobs.secure_tcp, self.knobs, self.room);
        let event = match packet.l4 {
            L4::Tcp { flags, seq, ack, .. } => {
                let end = if direction == Direction::In { &conn.client } else { &conn.server };
                end.says(flags, seq, ack, packet.payload_len());
                tcp::Event::of(flags.syn(), flags.fin(), flags.ack(), flags.rst()).map(Event::Tcp)
            }
            L4::Sctp { chunk, .. } => Some(Event::Sctp(sctp::Event::of(chunk))),
            _ => None,
        };
        conn.seen(direction, event, self.now, self.knobs, guarded);
        if let Some(Event::Tcp(event)) = event {
            conn.time_handshake(direction, event, self.elapsed);
        }
        if let Some(template) = &conn.legs.template {
            let answered = conn.legs.proto == Proto::Udp && direction == Direction::Out;
            if answered || conn.state() == State::Established {
                template.assure();
            }
        }
        self.wheel.arm(conn, self.now);
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

fn count(frame: &Frame, packet: &Packet, service: &SvcLive, dest: &DestLive, direction: Direction) {
    let (packets, bytes) = (u64::from(gso::segments(frame, packet)), gso::wire_bytes(frame, packet));
    service.stats.count(direction, packets, bytes);
    dest.stats.count(direction, packets, bytes);
}
