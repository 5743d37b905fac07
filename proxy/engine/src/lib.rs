//! What happens to a frame: frame in, [`Verdict`] out.
//!
//! An [`Engine`] is made from a seed and limits and holds what all workers share: the connection table, an immutable
//! snapshot of the services and one of the host's addresses, each swapped without stopping traffic. A [`Worker`]
//! belongs to one queue:
//!
//! - [`Worker::process`] takes a frame and the time and decides about it, editing it in place; [`Worker::look_ahead`] and
//!   [`Worker::process_coming`] do the same for batches, with less waiting for memory;
//! - [`Worker::poll_timeout`] says when to call [`Worker::handle_timeout`], which lets idle connections go;
//! - [`Worker::next_own`] has, after either, the frames that nothing has asked for: resets at the end of connections,
//!   and fragments that had to wait for the first one.
//!
//! [`Worker::explain`] says what would become of a frame, and why, and changes nothing: the same code on copies of what the
//! frame looks at.
//!
//! Time must not run backwards by more than the caller can bear: a deadline is only as good as the clock.
//!
//! Pure: no IO, no clock, no randomness. The same seed and inputs give the same outputs. It never panics on any
//! bytes. Every frame is counted once by its verdict, every drop by its reason.

#![forbid(unsafe_code)]
#![warn(clippy::disallowed_methods)]
#![warn(missing_docs)]

mod aims;
mod condemned;
mod conn;
mod counters;
mod defence;
mod forward;
mod fragments;
mod front;
mod ftp;
mod host;
mod ids;
mod knobs;
mod listing;
mod marks;
mod persist;
mod ports;
mod proxy_protocol;
mod random;
mod state;
mod verdict;
mod watch;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};
use std::time::Instant;

use arc_swap::ArcSwap;
use sched::{DestKey, DestLive, OnDown, Proto, ServiceKey, ServiceTable, Writer};

use aims::Aims;
use condemned::{Condemned, Sentence};
use conn::{Conn, ConnTable, FlowKey, Millis, Room};
use counters::WorkerCounters;
use defence::Turnstile;
use fragments::Fragments;
use ids::Ids;
use persist::Templates;
use ports::Ports;
use random::Random;

pub use aims::Aimed;
pub use counters::{ByReason, Counters};
pub use front::{Diverted, FrontConn, FrontEnd, FrontRefusal, FrontSide, FrontWay, Speaker};
pub use host::HostView;
pub use knobs::{Defence, Knobs};
pub use listing::{Connection, Part};
pub use ports::PortsInUse;
pub use proxy_protocol::header as proxy_header;
pub use state::State;
pub use verdict::{DropReason, Egress, Verdict};
pub use watch::{Flow, Near, Note, RuleHit, Supposed};
pub use worker::{Coming, Explanation, Own, Worker};

/// Bounds of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections, expected ones included, and persistence templates held at most. A new flow beyond that is refused ([`DropReason::TableFull`]); those in the table
    /// are not touched.
    pub max_connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_connections: 1_000_000 }
    }
}

/// What all workers share.
#[derive(Debug)]
pub struct Engine {
    table: Arc<ArcSwap<ServiceTable>>,
    host: Arc<ArcSwap<HostView>>,
    knobs: Arc<ArcSwap<Knobs>>,
    conns: Arc<ConnTable>,
    condemned: Arc<Condemned>,
    templates: Arc<Templates>,
    room: Arc<Room>,
    ports: Arc<Ports>,
    fragments: Arc<Fragments>,
    ids: Arc<Ids>,
    turnstile: Arc<Turnstile>,
    aims: Arc<Aims>,
    counters: Vec<Arc<WorkerCounters>>,
    edits: Arc<Edits>,
    born: Instant,
}

/// How often the services, the view of the host or the settings have been exchanged: what a worker has found out from
/// them holds until that is another number.
#[derive(Debug, Default)]
struct Edits(AtomicU64);

impl Edits {
    #[inline]
    fn number(&self) -> u64 {
        self.0.load(Acquire)
    }

    /// Whoever sees the new number sees what has been put in force before.
    fn one_more(&self) {
        self.0.fetch_add(1, Release);
    }
}

impl Engine {
    /// An engine for `workers` workers. `seed` keys the hash of the connection table: it must be unpredictable to
    /// clients. `now` is the beginning of its time.
    pub fn new(seed: u64, limits: Limits, workers: usize, now: Instant) -> (Self, Vec<Worker>) {
        let room = Arc::new(Room::new(limits.max_connections));
        let engine = Self {
            table: Arc::default(),
            host: Arc::default(),
            knobs: Arc::default(),
            condemned: Arc::default(),
            conns: Arc::new(ConnTable::new(seed, Arc::clone(&room))),
            templates: Arc::new(Templates::new(seed, Arc::clone(&room))),
            room,
            ports: Arc::new(Ports::new(seed)),
            fragments: Arc::new(Fragments::new(seed)),
            ids: Arc::new(Ids::new(seed)),
            turnstile: Arc::default(),
            aims: Arc::new(Aims::new(seed)),
            counters: (0..workers).map(|_| Arc::default()).collect(),
            edits: Arc::default(),
            born: now,
        };
        let mut seeds = Random::new(seed);
        let worker = |(n, counters)| Worker::new(&engine, seeds.next(), Arc::clone(counters), Writer(n));
        let workers = engine.counters.iter().enumerate().map(worker).collect();
        (engine, workers)
    }

    /// The services in force.
    pub fn services(&self) -> Arc<ServiceTable> {
        self.table.load_full()
    }

    /// Puts another snapshot of the services in force, for every packet from now on. Flows in progress stay.
    pub fn set_services(&self, table: Arc<ServiceTable>) {
        self.table.store(table);
        self.edits.one_more();
    }

    /// The view of the host in force.
    pub fn host(&self) -> Arc<HostView> {
        self.host.load_full()
    }

    /// Puts another view of the host in force.
    pub fn set_host(&self, host: HostView) {
        self.host.rcu(|before| host.clone().stamped(before.stamp() + 1));
        self.edits.one_more();
    }

    /// The settings in force.
    pub fn knobs(&self) -> Knobs {
        **self.knobs.load()
    }

    /// Puts other settings in force, for every packet from now on.
    pub fn set_knobs(&self, knobs: Knobs) {
        self.knobs.store(Arc::new(knobs));
        self.edits.one_more();
    }

    /// The ports of local addresses (FullNAT) that may be taken, for connections to come: `ours` of addresses that are
    /// nobody's, `hosts` of the host's own. Without being told, all from 1024 on.
    pub fn set_local_ports(&self, ours: &[u16], hosts: &[u16]) {
        self.ports.set_usable(ours, hosts);
    }

    /// Shows how many ports of local addresses are taken towards each server that has connections by FullNAT, and
    /// forgets servers that have none any more. For listings and alarms.
    pub fn local_ports_in_use(&self, visit: impl FnMut(PortsInUse)) {
        self.ports.sweep();
        self.ports.in_use(visit);
    }

    /// Connections, expected ones included, and persistence templates held.
    pub fn connections_held(&self) -> usize {
        self.room.held()
    }

    /// Shows every connection, expected or begun, and template of one part of the table to `visit`, in no order. Walks the whole table: for listings.
    pub fn for_each_connection(&self, now: Instant, part: Part, mut visit: impl FnMut(Connection)) {
        let now = millis_since(self.born, now);
        self.conns.for_each(part, |conn| visit(Connection::of(conn, now)));
        self.conns.expecting.for_each(part, now, |expected| visit(Connection::of_expected(expected, now)));
        self.templates.for_each(part, |template| visit(Connection::of_template(template, now)));
    }

    /// Has connections of servers ended by the workers: wake them after it. `how` says by the server what becomes of its
    /// ones; nothing, with `None`. Who has not yet heard of a connection (a handshake that was not over) is not told of its
    /// end, and nobody can be told of an association's (SCTP), which takes its verification tag: those are forgotten. What
    /// belongs to a connection goes with it: fragments that follow, expected data connections of FTP. A front resets its
    /// client where its connection to the server ends, however that is.
    ///
    /// One walk through the table is for any number of servers, and is done in steps: each looks at no more than `slots` and
    /// has up to `limit` connections ended. The first step is from 0 on; returns where the next one begins, `None` at the
    /// end of the table, and whose connections are ended, each as often as it has some.
    pub fn end_connections_from(
        &self,
        from: u32,
        (slots, limit): (u32, usize),
        how: impl Fn(&Arc<DestLive>) -> Option<OnDown>,
    ) -> (Option<u32>, Vec<Arc<DestLive>>) {
        let mut whose = Vec::new();
        let next = self.condemn(from, (slots, limit), |conn| {
            let legs = &conn.legs;
            let reset = how(&legs.dest).and_then(|how| sentence(how, legs.proto))?;
            whose.push(Arc::clone(&legs.dest));
            Some(reset)
        });
        (next, whose)
    }

    /// What this client begins at this VIP goes to one given server of the service, in force or not, while the result is
    /// held; or to nobody, once the service does not have it any more. A connection that this flow has had is forgotten, and
    /// its own at the end, unless it was established. `None` if somebody else aims that flow.
    pub fn aim(
        &self,
        (proto, client, vip): (Proto, SocketAddr, SocketAddr),
        service: ServiceKey,
        server: DestKey,
    ) -> Option<Aimed> {
        self.aims.put(FlowKey::new(proto, client, vip), service, server, &self.conns)
    }

    /// Has connections ended whose server has been removed from its service, as the settings want it: with
    /// `reset_on_end` those of TCP, with a reset to both ends; with `expire_nodest_conn` all, in silence unless the former
    /// is set too. A step of a walk as those of [`Engine::end_connections_from`]; returns how many are ended beside where
    /// the next one begins.
    pub fn end_orphans_from(&self, from: u32, step: (u32, usize)) -> (Option<u32>, usize) {
        let knobs = self.knobs();
        if !knobs.reset_on_end && !knobs.expire_nodest_conn {
            return (None, 0);
        }
        let mut n = 0;
        let next = self.condemn(from, step, |conn| {
            let legs = &conn.legs;
            let wanted = knobs.expire_nodest_conn || legs.proto == Proto::Tcp;
            let reset = (wanted && !legs.dest.is_available()).then_some(knobs.reset_on_end)?;
            n += 1;
            Some(reset)
        });
        (next, n)
    }

    /// `sentence` says whether the connection shall end, and whether with a reset.
    fn condemn(
        &self,
        from: u32,
        (slots, limit): (u32, usize),
        mut sentence: impl FnMut(&Conn<'_>) -> Option<bool>,
    ) -> Option<u32> {
        let mut found = Vec::new();
        let next = self.conns.walk_held(from, slots, |conn| {
            if let Some(reset) = sentence(conn) {
                found.push(Sentence { conn: conn.keep(), reset });
            }
            found.len() < limit
        });
        self.condemned.extend(found);
        next
    }

    /// The counters of all workers together.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters { expired: self.aims.ended(), ..Counters::default() };
        for counters in &self.counters {
            counters.add_to(&mut sum);
        }
        // Read while a worker settles what another has made wait, it may be one too few.
        sum.waiting = sum.waiting.cast_signed().max(0).cast_unsigned();
        sum
    }
}

/// Whether a connection of a server that has died shall end, and whether with a reset.
fn sentence(how: OnDown, proto: Proto) -> Option<bool> {
    (how != OnDown::Keep || proto == Proto::Udp).then_some(how == OnDown::Reset)
}

fn millis_since(born: Instant, now: Instant) -> Millis {
    now.saturating_duration_since(born).as_millis() as Millis
}
