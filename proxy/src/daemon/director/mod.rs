//! The one task that changes things: the table of services, where traffic is steered, what the engine knows of the
//! host. Orders come one at a time, so an edit sees the table that the one before it left.

mod alone;
mod edits;
mod files;
mod ground;
mod notes;
mod rings;
mod steer;
mod taken;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use control::api::{
    Applied, Apply, ApplyError, DrainList, DrainOrder, DrainView, HealthList, Reloaded, ServerHealth,
    ServerOrder, SetError, TlsReloaded,
};
use control::config::Config;
use control::foreign::Notes;
use control::settings::{Settings, SettingsChange};
use control::source::Source;
use control::state;
use engine::Engine;
use netio::link::Keeper;
use netio::poll::Waker;
use sched::{Op, ReplySource, ServiceTable, Trash};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tracing::error;

pub(super) use self::ground::Ground;
pub(super) use self::rings::Rings;
use super::drains::Drains;
use super::health::{Health, Rest};
use super::knobs::knobs;
use super::orphans::Orphans;
use super::rules::{self, Rules};
use super::worker::{PortErrors, Turns, Workers};
use crate::front::{Fronts, Listing};
use crate::reason::reason;

/// How often removed servers are looked through; one that is idle twice in a row is forgotten.
const SWEEP: Duration = Duration::from_secs(60);

/// How often rings are looked after.
const LOOK: Duration = Duration::from_secs(2);

/// How often servers in their slow start are looked at.
const RAMP: Duration = Duration::from_secs(1);

/// How often fronts are told the time and their files are looked at.
const TICK: Duration = Duration::from_secs(1);

/// What the director can be asked.
#[derive(Debug)]
pub(super) enum Order {
    Apply(Apply, oneshot::Sender<Result<Applied, ApplyError>>),
    Set(SettingsChange, oneshot::Sender<Result<Settings, SetError>>),
    Drain(DrainOrder, oneshot::Sender<Result<DrainView, ApplyError>>),
    Drains(oneshot::Sender<DrainList>),
    Health(oneshot::Sender<HealthList>),
    Server(ServerOrder, oneshot::Sender<Result<ServerHealth, ApplyError>>),
    Reload(oneshot::Sender<Result<Reloaded, String>>),
    ReloadTls(oneshot::Sender<TlsReloaded>),
    Stop,
}

/// What steering has to say about the host, for whoever asks how things are.
pub(super) type Notices = ArcSwap<Vec<String>>;

/// Which port it is and where, in words, for whoever asks.
pub(super) type PortWords = ArcSwap<String>;

/// The settings in force, for whoever asks.
pub(super) type InForce = ArcSwap<Settings>;

pub(super) struct Director {
    notices: Arc<Notices>,
    settings: Arc<InForce>,
    engine: Arc<Engine>,
    ground: Ground,
    neighbours: Keeper,
    /// With the packet port.
    rings: Option<Rings>,
    /// Why they are on no device.
    no_rings: Option<String>,
    port_words: Arc<PortWords>,
    /// Why it is this port.
    port_reason: Arc<PortWords>,
    turns: Vec<Arc<Turns>>,
    errors: Arc<PortErrors>,
    next_look: Instant,
    /// Why DR cannot be sent by.
    no_link: Option<String>,
    trash: Trash,
    drains: Drains,
    health: Health,
    /// Where the configuration file is, and what was in it when it was last read.
    source: Option<Source>,
    /// What there is to say about it.
    source_notes: Notes,
    /// The same in a line.
    source_notice: Option<String>,
    file: Config,
    rules: Option<Rules>,
    /// Whether the command line asked for the kernel's behaviour.
    compat: bool,
    /// Local addresses that are in no pool any more, while connections have them.
    leaving: BTreeSet<IpAddr>,
    /// All ports of the range for local addresses are the host's own.
    no_host_ports: bool,
    /// What removed servers answered from that were forgotten lately: perhaps nobody does now.
    forgotten: Vec<ReplySource>,
    /// Why not all traffic is steered as it should be.
    unsteered: Option<String>,
    next_sweep: Instant,
    born: Instant,
    next_ramp: Instant,
    orphans: Orphans,
    wakers: Vec<Waker>,
    fronts: Fronts,
    next_tick: Instant,
    /// What is to be said about fronts, as it was said last.
    front_notices: Vec<String>,
}

impl Director {
    pub(super) fn new(
        engine: Arc<Engine>,
        ground: Ground,
        neighbours: Keeper,
        workers: &Workers,
        fronts: Fronts,
        source: Option<Source>,
        compat: bool,
    ) -> Self {
        Self {
            notices: Arc::default(),
            settings: Arc::default(),
            engine,
            neighbours,
            port_words: Arc::new(PortWords::from_pointee("tun".to_owned())),
            port_reason: Arc::default(),
            rings: None,
            no_rings: None,
            turns: workers.turns.clone(),
            errors: Arc::clone(&workers.errors),
            next_look: Instant::now() + LOOK,
            no_link: workers.no_link.clone(),
            trash: Trash::default(),
            drains: Drains::default(),
            health: Health::new(!ground.is_alone()),
            ground,
            source,
            source_notes: Notes::default(),
            source_notice: None,
            file: Config::default(),
            rules: None,
            compat,
            leaving: BTreeSet::new(),
            no_host_ports: false,
            forgotten: Vec::new(),
            unsteered: None,
            next_sweep: Instant::now() + SWEEP,
            born: Instant::now(),
            next_ramp: Instant::now(),
            orphans: Orphans::default(),
            wakers: workers.wakers(),
            fronts,
            next_tick: Instant::now() + TICK,
            front_notices: Vec::new(),
        }
    }

    pub(super) fn fronts(&self) -> Arc<Listing> {
        self.fronts.listing()
    }

    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    pub(super) fn notices(&self) -> Arc<Notices> {
        Arc::clone(&self.notices)
    }

    pub(super) fn port_words(&self) -> Arc<PortWords> {
        Arc::clone(&self.port_words)
    }

    pub(super) fn port_reason(&self) -> Arc<PortWords> {
        Arc::clone(&self.port_reason)
    }

    pub(super) fn settings(&self) -> Arc<InForce> {
        Arc::clone(&self.settings)
    }

    pub(super) fn obey(&mut self, order: Order) -> ControlFlow<()> {
        // Whoever asked may have gone away; what was asked for is done all the same.
        match order {
            Order::Apply(request, reply) => {
                let _ = reply.send(self.apply(request));
            }
            Order::Set(change, reply) => {
                let _ = reply.send(self.set(&change));
            }
            Order::Drain(order, reply) => {
                let _ = reply.send(self.drain(order));
            }
            Order::Drains(reply) => {
                let _ = reply.send(DrainList { drains: self.drains.views() });
            }
            Order::Health(reply) => self.health.list(reply),
            // Whoever asked hears of it when it has been done.
            Order::Server(order, reply) => {
                self.health.say(&self.engine, &self.engine.services(), order, reply)
            }
            Order::Reload(reply) => {
                let _ = reply.send(self.reload());
            }
            Order::ReloadTls(reply) => {
                let _ = reply.send(TlsReloaded { fronts: self.fronts.reload() });
            }
            Order::Stop => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    /// Waits for the host to change, or for the time to let removed servers and their connections go, and does it. May
    /// be dropped while it waits. Fails when the device is gone, or those who check servers are.
    pub(super) async fn watch(&mut self) -> anyhow::Result<()> {
        let end_dead = self.health.next_look();
        tokio::select! {
            change = self.ground.next_change() => {
                change?;
                self.keep_up_with_devices();
                self.keep_up_alone();
                self.tell_engine();
            }
            () = sleep_until(self.next_sweep) => {
                self.next_sweep = Instant::now() + SWEEP;
                self.forgotten.extend(self.trash.sweep());
                self.let_addresses_go();
            }
            () = sleep_until(self.next_look), if self.rings.is_some() => {
                self.next_look = Instant::now() + LOOK;
                self.look_at_rings()?;
            }
            () = sleep_until(self.next_ramp), if self.engine.services().is_ramping() => {
                self.next_ramp = Instant::now() + RAMP;
                self.ramp();
            }
            () = sleep_until(self.next_tick), if self.fronts.any() => {
                self.next_tick = Instant::now() + TICK;
                self.fronts.tick();
                self.fronts.heed_files();
                self.tell_front_notices();
            }
            () = due(self.orphans.next_look()) => {
                self.orphans.look(&self.engine, Instant::now());
                self.wakers.iter().for_each(Waker::wake);
            }
            news = self.health.news() => {
                let (ops, rest) = news?;
                self.heed_health(&ops, rest);
            }
            () = due(end_dead) => {
                self.health.end_connections(&self.engine);
                self.wakers.iter().for_each(Waker::wake);
            }
            () = due(self.drains.next_look()) => {
                self.drains.look(&self.engine, Instant::now());
                self.wakers.iter().for_each(Waker::wake);
            }
        }
        Ok(())
    }

    fn let_addresses_go(&mut self) {
        if self.retain_leaving() | self.fronts.let_go() {
            let table = self.engine.services();
            if let Err(error) = self.steer_all(&table) {
                tracing::warn!("an address that is no longer used is still answered for: {error}");
            }
        }
    }

    /// What checks, or somebody by hand, have made of servers. Who is in force changes, where traffic goes stays the same:
    /// whoever is configured is steered for, dead or alive.
    fn heed_health(&mut self, ops: &[Op], rest: Rest) {
        if !ops.is_empty() {
            // What is refused is about a server that has gone meanwhile.
            let (table, _) = self.engine.services().apply_each(&mut self.trash, ops);
            self.engine.set_services(Arc::new(table));
        }
        self.health.carry_out(rest);
    }

    /// The last words of those who look after servers.
    pub(super) async fn end_health(&mut self) {
        self.health.stop().await;
    }

    /// Gives servers in their slow start more of their weight. Where traffic goes stays the same.
    fn ramp(&self) {
        if let Some(table) = self.engine.services().ramp(self.born.elapsed()) {
            self.engine.set_services(Arc::new(table));
        }
    }

    /// Puts the host back as it was.
    pub(super) fn stop(mut self) {
        // Before the kernel answers again.
        self.close_rings();
        self.ground.stop();
    }

    fn put_settings(&mut self, settings: Settings) {
        self.engine.set_knobs(knobs(&settings));
        self.settings.store(Arc::new(settings));
        self.tell_ports();
        self.tell_notices();
    }

    /// Where traffic cannot be steered to a table that is new, the one before it comes back, and nothing has changed.
    /// What did not work before either is not the new table's fault.
    fn put_in_force(&mut self, table: ServiceTable) -> Result<(), String> {
        self.foresee(&table).map_err(|error| reason(&error))?;
        let before = self.engine.services();
        let known = self.unsteered.take();
        self.swap(table);
        let Some(reason) = self.unsteered.clone().filter(|reason| known.as_ref() != Some(reason)) else {
            return Ok(());
        };
        let specs = |table: &ServiceTable| table.services().map(|s| s.spec()).collect::<Vec<_>>();
        let failed = self.engine.services();
        let rules = |table: &ServiceTable| table.marks().rules().cloned().collect::<Vec<_>>();
        let mut undo = state::diff(&specs(&failed), &specs(&before));
        undo.extend(state::diff_marks(&rules(&failed), &rules(&before)));
        let lips = |table: &ServiceTable| table.shared_lips().collect::<Vec<_>>();
        undo.extend(state::diff_lips(None, &lips(&failed), &lips(&before)));
        match failed.apply(&mut self.trash, &undo) {
            Ok(table) => self.swap(table),
            Err((_, error)) => error!("services that cannot be served stay in the table: {error}"),
        }
        Err(reason)
    }

    fn swap(&mut self, table: ServiceTable) {
        self.drains.heed(&table);
        let before = self.engine.services();
        // The engine first: what is steered to it must not find it ignorant.
        self.engine.set_services(Arc::new(table));
        self.prepare(&before);
        if !self.trash.is_empty() {
            self.orphans.expect(Instant::now());
        }
        self.health.follow(&self.engine, &before, &self.engine.services());
        let fronted = self.fronts.follow(&self.engine.services());
        let steered = self.steer(&before);
        self.await_rings();
        self.unsteered = fronted.and(steered).err().map(|error| reason(&error));
    }
}

/// Waits until then, or for ever.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
