//! What would become of a packet, and why: the code that decides about all packets decides about this one too, on copies.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::{ArcSwap, Cache};
use sched::{Family, Mark, Proto, Service, ServiceKey, ServiceTable};
use wire::frame::Frame;
use wire::packet::Packet;

use super::greetings::Greetings;
use super::outbox::Outbox;
use super::step::Step;
use super::{Clock, Worker};
use crate::aims::Aims;
use crate::conn::{ConnTable, Wheel};
use crate::defence::Sampler;
use crate::fragments::Fragments;
use crate::marks;
use crate::persist::Templates;
use crate::verdict::{Egress, Verdict};
use crate::watch::{Near, Note, Recorder, RuleHit, Supposed, Tables, Twin, Watch};

/// Services that are named though they are not meant, and mark rules that match.
const NEAREST: usize = 4;
const RULES: usize = 8;

/// What would become of a packet. The frame that was given has become what would leave.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The decision.
    pub verdict: Verdict,
    /// What it went by, in the order in which things happen.
    pub notes: Vec<Note>,
    /// Frames of our own that would leave besides,
    pub own: Vec<Own>,
    /// and behind it: fragments that have waited for it.
    pub behind: Vec<Own>,
}

/// A frame that no frame has asked for.
#[derive(Clone, Debug)]
pub struct Own {
    /// It.
    pub frame: Frame,
    /// Which way it leaves.
    pub egress: Egress,
}

impl Worker {
    /// Says what [`Worker::process`] would decide about `frame` now, and why. Nothing changes but the frame: no counter, no
    /// connection, no scheduler's turn, no port. Takes as long as some hundred packets.
    ///
    /// With something supposed it says what would be decided if that were so.
    pub fn explain(&self, frame: &mut Frame, now: Instant, supposed: Supposed) -> Explanation {
        let real = Tables {
            conns: Arc::clone(&self.conns),
            templates: Arc::clone(&self.templates),
            ports: Arc::clone(&self.ports),
            fragments: Arc::clone(&self.fragments),
            aims: Arc::clone(&self.aims),
        };
        let (mut copy, twin) = self.copied(real, frame.packet());
        let recorder = Recorder::of(twin, supposed);
        let verdict = copy.parse_watched(frame, now, &recorder);
        let own = copy.all_own();
        copy.outbox.catch_up();
        let behind = copy.all_own();
        Explanation { verdict, notes: recorder.into_notes(), own, behind }
    }

    /// [`Worker::process`], with notes of why.
    pub fn process_noted(&mut self, frame: &mut Frame, now: Instant) -> (Verdict, Vec<Note>) {
        let recorder = Recorder::default();
        let verdict = self.parse_watched(frame, now, &recorder);
        (verdict, recorder.into_notes())
    }

    fn all_own(&mut self) -> Vec<Own> {
        let (mut all, mut frame) = (Vec::new(), Frame::new());
        while let Some(egress) = self.next_own(&mut frame) {
            all.push(Own { frame: frame.clone(), egress });
        }
        all
    }

    /// A worker like this one, on tables of its own that get what it looks at.
    fn copied(&self, real: Tables, bytes: &[u8]) -> (Self, Twin) {
        let room = Arc::new(self.room.copied());
        let copy = Tables {
            conns: Arc::new(ConnTable::new(0, Arc::clone(&room))),
            templates: Arc::new(Templates::new(0, Arc::clone(&room))),
            ports: Arc::new(real.ports.copied()),
            fragments: Arc::new(Fragments::new(0)),
            aims: Arc::new(Aims::new(0)),
        };
        copy.conns.expecting.count_as(&real.conns.expecting);
        let twin = Twin::new(real, copy.clone());
        let table = twin.services(self.table.clone().load(), bytes);
        let (reader, known) = copy.conns.reader();
        let worker = Self {
            table: Cache::new(Arc::new(ArcSwap::from_pointee(table))),
            host: self.host.clone(),
            knobs: self.knobs.clone(),
            random: self.random.clone(),
            conns: copy.conns,
            reader,
            known,
            condemned: Arc::default(),
            templates: copy.templates,
            counters: Arc::default(),
            writer: self.writer,
            wheel: Wheel::new(),
            templates_wheel: Wheel::new(),
            outbox: Outbox::default(),
            greetings: Greetings::default(),
            fragments: copy.fragments,
            room,
            ports: copy.ports,
            ids: Arc::new(self.ids.copied()),
            turnstile: Arc::new(self.turnstile.copied()),
            aims: copy.aims,
            sampler: Sampler::default(),
            limit: self.limit.clone(),
            born: self.born,
            clock: Clock { ..self.clock },
            edits: Arc::clone(&self.edits),
            moment: self.moment,
        };
        (worker, twin)
    }
}

impl<W: Watch> Step<'_, W> {
    /// Notes which service a packet is for, and by which mark.
    #[inline(always)]
    pub(super) fn note_service(
        &self,
        found: Option<&Arc<Service>>,
        packet: &Packet,
        mark: Option<Mark>,
        proto: Proto,
        dst: SocketAddr,
    ) {
        self.watch.study(|| {
            let rules = self.table.marks();
            let facts = marks::facts(rules, self.host, packet, self.watch.supposed());
            let hit = |(rule, mark): (Arc<sched::MarkRule>, u32)| RuleHit { rule: rule.to_string(), mark };
            let of = rules.entries(packet.dst.into()).len();
            Note::Mark { mark, rules: rules.matching(&facts).into_iter().take(RULES).map(hit).collect(), of }
        });
        self.watch.note(|| Note::Service {
            key: found.map(|service| service.key),
            scheduler: found.map(|service| service.algorithm.name.into()),
            persistence: found.and_then(|service| service.persistence).map(|persistence| persistence.timeout),
        });
        self.watch.study(|| Note::Near { services: nearest(self.table, found, (mark, proto, dst)) });
    }
}

/// Services that come near to what a packet asks for.
fn nearest(
    table: &ServiceTable,
    found: Option<&Arc<Service>>,
    (mark, proto, dst): (Option<Mark>, Proto, SocketAddr),
) -> Vec<Near> {
    let found = found.map(|service| service.key);
    let others = table.services().map(|service| service.key).filter(|key| Some(*key) != found);
    let mut near: Vec<_> = others.filter_map(|key| Some((distance(&key, mark, proto, dst)?, key))).collect();
    near.sort_by_key(|((far, _), _)| *far);
    near.truncate(NEAREST);
    near.into_iter().map(|((_, why), service)| Near { service, why }).collect()
}

/// How far a service is from what a packet asks for, and in what; `None` when it has nothing to do with it.
fn distance(key: &ServiceKey, mark: Option<Mark>, proto: Proto, dst: SocketAddr) -> Option<(u8, String)> {
    match *key {
        ServiceKey::Mark { mark: wanted, family } => {
            let why = match mark {
                _ if family != Family::from(dst.ip()) => return None,
                Some(mark) if mark == wanted => return None,
                Some(mark) => format!("it is for mark {}, and the packet has {}", wanted.0, mark.0),
                None => format!("it is for mark {}, and no rule has given the packet one", wanted.0),
            };
            Some((3, why))
        }
        ServiceKey::Addr { proto: other, vip, l4_port } => {
            let (same_proto, same_vip, same_port) = (other == proto, vip == dst.ip(), l4_port == dst.port());
            match (same_proto, same_vip, same_port) {
                // By a mark, or by its own port: what comes first takes it.
                (true, true, true) => {
                    Some((0, "a service that comes first takes the packet: by its mark".into()))
                }
                (true, true, false) if l4_port == 0 => {
                    Some((0, "a service that comes first takes the packet: the one of its own port".into()))
                }
                (true, true, false) => Some((1, format!("another port: {l4_port}, not {}", dst.port()))),
                (false, true, true) => {
                    Some((1, format!("another protocol: {}, not {}", other.name(), proto.name())))
                }
                (true, false, true) => Some((2, format!("another address: {vip}, not {}", dst.ip()))),
                (false, true, false) => {
                    Some((4, format!("another protocol and port: {} {l4_port}", other.name())))
                }
                _ => None,
            }
        }
    }
}
