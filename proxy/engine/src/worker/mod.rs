//! One worker's share of the engine: the way of a frame from parse to verdict.

mod ahead;
mod aim;
mod begin;
mod explain;
mod fragments;
mod front;
mod ftp;
mod greetings;
mod hairpin;
mod icmp;
mod lease;
mod limit;
mod one_packet;
mod opening;
mod outbox;
mod persist;
mod refuse;
mod step;
mod tcp;
mod traffic;
mod tunnel_error;
mod usual;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Cache};
use sched::{ServiceTable, Writer};
use wire::frame::{Frame, GsoKind};
use wire::packet::Packet;

pub use self::ahead::Coming;
pub use self::explain::{Explanation, Own};
use self::front::HELD_MS;
use self::greetings::Greetings;
use self::limit::Limit;
use self::outbox::Outbox;
use self::step::Step;
use self::usual::Moment;
use crate::aims::Aims;
use crate::condemned::{Condemned, Sentence};
use crate::conn::{Conn, ConnTable, Known, Millis, Reader, Room, Wheel};
use crate::counters::WorkerCounters;
use crate::defence::{self, Sampler, Turnstile};
use crate::forward::Means;
use crate::fragments::Fragments;
use crate::host::HostView;
use crate::ids::Ids;
use crate::knobs::{Defence, Knobs};
use crate::persist::{Template, Templates};
use crate::ports::Ports;
use crate::random::Random;
use crate::verdict::{Egress, Verdict};
use crate::watch::{Off, Watch};
use crate::{Edits, Engine, millis_since};

/// A control connection of FTP that is idle is looked at again so much later, while it has data connections: as in IPVS.
const DATA_MS: Millis = 60_000;

/// Connections that the control plane wants ended, in one call: bounds the time that packets wait.
const SENTENCES: usize = 256;

/// A worker: owned by the thread that serves one queue.
#[derive(Debug)]
pub struct Worker {
    table: Cache<Arc<ArcSwap<ServiceTable>>, Arc<ServiceTable>>,
    host: Cache<Arc<ArcSwap<HostView>>, Arc<HostView>>,
    knobs: Cache<Arc<ArcSwap<Knobs>>, Arc<Knobs>>,
    random: Random,
    conns: Arc<ConnTable>,
    reader: Reader,
    known: Known,
    condemned: Arc<Condemned>,
    templates: Arc<Templates>,
    counters: Arc<WorkerCounters>,
    writer: Writer,
    wheel: Wheel<u32>,
    templates_wheel: Wheel<Arc<Template>>,
    outbox: Outbox,
    greetings: Greetings,
    fragments: Arc<Fragments>,
    room: Arc<Room>,
    ports: Arc<Ports>,
    ids: Arc<Ids>,
    turnstile: Arc<Turnstile>,
    aims: Arc<Aims>,
    sampler: Sampler,
    limit: Limit,
    born: Instant,
    clock: Clock,
    edits: Arc<Edits>,
    moment: Moment,
}

/// The time of the packet before: most have the same.
#[derive(Clone, Copy, Debug)]
struct Clock {
    now: Instant,
    elapsed: Duration,
    millis: Millis,
}

impl Worker {
    pub(crate) fn new(engine: &Engine, seed: u64, counters: Arc<WorkerCounters>, writer: Writer) -> Self {
        let (reader, known) = engine.conns.reader();
        Self {
            table: Cache::new(Arc::clone(&engine.table)),
            host: Cache::new(Arc::clone(&engine.host)),
            knobs: Cache::new(Arc::clone(&engine.knobs)),
            random: Random::new(seed),
            conns: Arc::clone(&engine.conns),
            reader,
            known,
            condemned: Arc::clone(&engine.condemned),
            templates: Arc::clone(&engine.templates),
            counters,
            writer,
            wheel: Wheel::new(),
            templates_wheel: Wheel::new(),
            outbox: Outbox::default(),
            greetings: Greetings::default(),
            fragments: Arc::clone(&engine.fragments),
            room: Arc::clone(&engine.room),
            ports: Arc::clone(&engine.ports),
            ids: Arc::clone(&engine.ids),
            turnstile: Arc::clone(&engine.turnstile),
            aims: Arc::clone(&engine.aims),
            sampler: Sampler::default(),
            limit: Limit::default(),
            born: engine.born,
            clock: Clock { now: engine.born, elapsed: Duration::ZERO, millis: 0 },
            edits: Arc::clone(&engine.edits),
            moment: Moment::over(),
        }
    }

    /// Decides about `frame` and edits it accordingly.
    pub fn process(&mut self, frame: &mut Frame, now: Instant) -> Verdict {
        match self.usual(frame, now) {
            Some(verdict) => verdict,
            None => self.unusual(frame, now),
        }
    }

    #[inline(never)]
    fn unusual(&mut self, frame: &mut Frame, now: Instant) -> Verdict {
        self.parse_watched(frame, now, Off)
    }

    #[inline(always)]
    fn parse_watched<W: Watch>(&mut self, frame: &mut Frame, now: Instant, watch: W) -> Verdict {
        match Packet::parse(frame.packet()) {
            Ok(packet) => self.process_watched(frame, &packet, now, watch),
            Err(error) => {
                self.outbox.catch_up();
                let verdict = Verdict::Drop(error.into());
                self.counters.count(frame.offload.gso != GsoKind::None, verdict);
                verdict
            }
        }
    }

    #[inline(always)]
    fn process_watched<W: Watch>(
        &mut self,
        frame: &mut Frame,
        packet: &Packet,
        now: Instant,
        watch: W,
    ) -> Verdict {
        self.outbox.catch_up();
        let super_packet = frame.offload.gso != GsoKind::None;
        self.tick(now);
        if self.moment.is_sampled {
            self.sampler.wake(self.clock.millis);
        }
        let verdict = self.step(now, watch).decide(frame, packet);
        self.counters.count(super_packet, verdict);
        verdict
    }

    /// What a decision may use.
    #[inline]
    fn step<W>(&mut self, now: Instant, watch: W) -> Step<'_, W> {
        self.tick(now);
        let Clock { elapsed, millis, .. } = self.clock;
        Step {
            table: self.table.load(),
            host: self.host.load(),
            knobs: self.knobs.load(),
            room: &self.room,
            ports: &self.ports,
            ids: &self.ids,
            turnstile: &self.turnstile,
            aims: &self.aims,
            limit: &self.limit,
            random: &mut self.random,
            conns: &self.conns,
            reader: &mut self.reader,
            known: &self.known,
            templates: &self.templates,
            counters: &self.counters,
            writer: self.writer,
            wheel: &mut self.wheel,
            templates_wheel: &mut self.templates_wheel,
            outbox: &mut self.outbox,
            greetings: &mut self.greetings,
            fragments: &self.fragments,
            way: None,
            tagged: None,
            now: millis,
            elapsed,
            watch,
        }
    }

    /// When to call [`Worker::handle_timeout`] next; `None` while there is nothing to wait for.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.condemned.is_empty() || self.outbox.is_behind() {
            return Some(self.born);
        }
        let wheels = [self.wheel.next_due(), self.templates_wheel.next_due()];
        let others = [
            self.sampler.next_due(),
            self.greetings.next_due(),
            self.fragments.next_due(),
            self.conns.expecting.next_due(),
            self.known.next_due(),
        ];
        let due = wheels.into_iter().chain(others).flatten().min();
        due.map(|at| self.born + Duration::from_millis(at))
    }

    /// Lets connections go that have been idle for too long, or that shall end for another reason, and templates whose
    /// time is over. Does a bounded amount of work: ask [`Worker::poll_timeout`] again afterwards. Some leave frames
    /// for [`Worker::next_own`].
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = millis_since(self.born, now);
        self.outbox.catch_up();
        self.fragments.expire(now, &self.counters);
        let (conns, known, counters, outbox) = (&self.conns, &self.known, &self.counters, &mut self.outbox);
        let knobs = **self.knobs.load();
        let Knobs { reset_on_end: resets, template_decay: decay, .. } = knobs;
        let mut end = |conn: &Conn<'_>, reset: bool| {
            if conns.remove(conn) {
                counters.expired();
                if reset && conn.state().is_open() {
                    outbox.reset(conn);
                }
            }
            if outbox.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        for _ in 0..SENTENCES {
            let Some(Sentence { conn, reset }) = self.condemned.pop() else { break };
            if conn.conn().is_some_and(|conn| end(&conn, reset).is_break()) {
                return;
            }
        }
        self.wheel.advance(conns.slab(), now, |at| {
            let Some(conn) = conns.at(known, *at) else { return ControlFlow::Continue(()) };
            if !conn.has_data() && !conn.is_held() {
                conn.is_given_up();
                return end(&conn, resets);
            }
            conn.wait(now, if conn.is_held() { HELD_MS } else { DATA_MS });
            ControlFlow::Continue(())
        });
        conns.expecting.sweep(now);
        // A template that is asked before the last of its members has gone stays for another period.
        if !self.wheel.is_behind(now) {
            self.expire_templates(now, decay);
        }
        self.greetings.advance(now, &mut self.outbox, &self.counters);
        self.defend(now, &knobs);
        self.known.forget(now, self.wheel.is_empty());
    }

    fn expire_templates(&mut self, now: Millis, decay: bool) {
        let (templates, counters) = (&self.templates, &self.counters);
        self.templates_wheel.advance(&(), now, |template| {
            if templates.expire(template, now, decay) {
                counters.expired();
            }
            ControlFlow::Continue(())
        });
    }

    /// `drop_entry`. Who has flooded is not told.
    fn defend(&mut self, now: Millis, knobs: &Knobs) {
        let held = self.wheel.next_due().is_some() || self.templates_wheel.next_due().is_some();
        let goes_on = held && knobs.drop_entry != Defence::Off;
        if self.sampler.is_due(now, goes_on) && defence::is_on(knobs.drop_entry, knobs, &self.room) {
            let part = Sampler::part(&mut self.random);
            self.wheel.begin_sample(part);
            self.templates_wheel.begin_sample(part);
        }
        let sampler = &mut self.sampler;
        self.wheel.sample(self.conns.slab(), |at| {
            let Some(conn) = self.conns.at(&self.known, *at) else { return };
            if !conn.has_data()
                && !conn.is_held()
                && sampler.lets_go(&conn, now, knobs)
                && self.conns.remove(&conn)
            {
                self.counters.expired();
            }
        });
        self.templates_wheel.sample(&(), |template| {
            if !template.is_assured() && !template.has_members() && self.templates.remove(template) {
                self.counters.expired();
            }
        });
    }

    /// Makes `frame` one that is to be sent though nothing has asked for it, and says which way; `None` when there is
    /// none, and the frame is as it was. Ask until then after [`Worker::handle_timeout`] and [`Worker::process`], in the
    /// latter case before the processed frame is sent.
    pub fn next_own(&mut self, frame: &mut Frame) -> Option<Egress> {
        let pmtu_disc = self.knobs.load().pmtu_disc;
        // These are short: what the path can carry does not matter.
        let means = Means { host: self.host.load(), ids: &self.ids, pmtu_disc, now: Millis::MAX };
        let (egress, reset) = self.outbox.pop(frame, &means)?;
        if reset {
            self.counters.reset();
        }
        Some(egress)
    }
}
