//! The daemon as the control socket sees it: reads come from the engine directly, changes go to the director.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use control::api::{
    Applied, Apply, ApplyError, Backend, ConnPage, ConnQuery, ConnView, DrainList, DrainOrder, DrainView,
    DropList, DropView, ExplainOrder, HealthList, LastDrop, Lines, LocalPortsView, MarkList, Reloaded,
    ServerHealth, ServerOrder, ServiceList, ServiceView, SetError, Settings, SettingsChange, Status, TlsList,
    TlsReloaded, TraceOrder,
};
use control::health::prober::StateWords;
use engine::{Connection, Counters, DropReason, Engine, Part, PortsInUse};
use sched::{Dest, Share};
use tokio::sync::{mpsc, oneshot};
use wire::frame::MAX_PACKET;

use super::director::{Director, InForce, Notices, Order, PortWords};
use super::health::Listeners;
use super::worker::{Examples, PortErrors};
use crate::explain::{Explained, frame_of, from_hex, supposed};
use crate::front::Listing;
use crate::trace::Taps;

/// Connections on one page, about. Each page walks the table, so few and large ones.
const PAGE: usize = 65_536;

/// What does not change while the daemon runs.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) began: Instant,
    pub(super) device: String,
    pub(super) offload: String,
    pub(super) workers: usize,
    pub(super) max_connections: usize,
    pub(super) config: Option<PathBuf>,
    pub(super) log: Option<PathBuf>,
}

/// Those who see packets and have nothing to do with them.
#[derive(Debug)]
pub(super) struct Onlookers {
    /// Has no queue: it says what a worker would do.
    pub(super) observer: Mutex<engine::Worker>,
    pub(super) taps: Arc<Taps>,
    /// Packets that workers have dropped.
    pub(super) examples: Vec<Arc<Examples>>,
}

/// Given to the control socket.
#[derive(Debug)]
pub(super) struct Handle {
    engine: Arc<Engine>,
    port: Arc<PortErrors>,
    facts: Facts,
    port_words: Arc<PortWords>,
    port_reason: Arc<PortWords>,
    notices: Arc<Notices>,
    settings: Arc<InForce>,
    fronts: Arc<Listing>,
    words: Arc<StateWords>,
    listeners: Arc<Listeners>,
    onlookers: Onlookers,
    orders: mpsc::Sender<Order>,
}

impl Handle {
    pub(super) fn new(
        engine: Arc<Engine>,
        port: Arc<PortErrors>,
        facts: Facts,
        director: &Director,
        onlookers: Onlookers,
        orders: mpsc::Sender<Order>,
    ) -> Self {
        let (notices, settings, fronts) = (director.notices(), director.settings(), director.fronts());
        let (port_words, port_reason) = (director.port_words(), director.port_reason());
        let (words, listeners) = (director.health().words(), director.health().listeners());
        Self {
            engine,
            port,
            facts,
            port_words,
            port_reason,
            notices,
            settings,
            fronts,
            words,
            listeners,
            onlookers,
            orders,
        }
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, String> {
        let (reply, answer) = oneshot::channel();
        let stopping = || "the engine is stopping".to_owned();
        self.orders.send(order(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }
}

impl Backend for Handle {
    fn status(&self) -> Status {
        let services = self.engine.services();
        let counters = self.engine.counters();
        let settings = self.settings.load();
        let all_servers = || services.services().flat_map(|service| service.all.iter());
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.facts.began.elapsed().as_secs(),
            device: self.facts.device.clone(),
            port: self.port_words.load().to_string(),
            port_reason: self.port_reason.load().to_string(),
            offload: self.facts.offload.clone(),
            workers: self.facts.workers,
            generation: services.generation(),
            services: services.len(),
            fronts: services.services().filter(|service| service.tls.is_some()).count(),
            servers: all_servers().count(),
            servers_down: all_servers().filter(|dest| dest.fitness.share != Share::In).count(),
            memory: netio::process::resident().unwrap_or_default(),
            connections: self.engine.connections_held() as u64,
            max_connections: self.facts.max_connections as u64,
            config: self.facts.config.as_ref().map(|path| path.display().to_string()),
            log: self.facts.log.as_ref().map(|path| path.display().to_string()),
            notices: self.notices.load().to_vec(),
            compat: settings.compat,
            timeouts: settings.timeouts,
            counters: named(&counters, &self.port),
            local_ports: local_ports(&self.engine),
            drops: DropReason::ALL.iter().map(|r| (r.name().to_owned(), counters.dropped(*r))).collect(),
        }
    }

    fn services(&self) -> ServiceList {
        let table = self.engine.services();
        ServiceList {
            generation: table.generation(),
            services: table.services().map(|s| ServiceView::of(s, &self.words.look())).collect(),
            lips: table.shared_lips().collect(),
        }
    }

    fn marks(&self) -> MarkList {
        let table = self.engine.services();
        MarkList::of(table.generation(), table.marks())
    }

    fn connections(&self, query: &ConnQuery) -> ConnPage {
        let part = match query.cursor {
            0 => {
                let page = if query.limit == 0 { PAGE } else { query.limit.max(PAGE) };
                Part { index: 0, of: (self.engine.connections_held() / page + 1) as u32 }
            }
            cursor => Part { index: (cursor >> 32) as u32, of: cursor as u32 },
        };
        let mut page = ConnPage::default();
        self.engine.for_each_connection(Instant::now(), part, |conn| {
            let view = conn_view(&conn);
            if query.matches(&view) {
                page.connections.push(view);
            }
        });
        let next = part.index + 1;
        page.next = (next < part.of).then(|| u64::from(next) << 32 | u64::from(part.of));
        page
    }

    async fn apply(&self, request: Apply) -> Result<Applied, ApplyError> {
        self.ask(|reply| Order::Apply(request, reply)).await.map_err(ApplyError::System)?
    }

    fn settings(&self) -> Settings {
        Settings::clone(&self.settings.load())
    }

    async fn set(&self, change: SettingsChange) -> Result<Settings, SetError> {
        self.ask(|reply| Order::Set(change, reply)).await.map_err(SetError::System)?
    }

    async fn drain(&self, order: DrainOrder) -> Result<DrainView, ApplyError> {
        self.ask(|reply| Order::Drain(order, reply)).await.map_err(ApplyError::System)?
    }

    async fn drains(&self) -> DrainList {
        // An engine that is stopping drains nobody.
        self.ask(Order::Drains).await.unwrap_or_default()
    }

    async fn health(&self) -> HealthList {
        // An engine that is stopping looks after nobody.
        let mut list = self.ask(Order::Health).await.unwrap_or_default();
        let table = self.engine.services();
        for service in &mut list.services {
            let Some(here) = table.get(&service.service) else { continue };
            for server in &mut service.servers {
                let tenths = here.find(&server.server).map(Dest::tenths);
                server.warming = tenths.filter(|tenths| server.used && *tenths < 10);
            }
        }
        list
    }

    async fn server(&self, order: ServerOrder) -> Result<ServerHealth, ApplyError> {
        self.ask(|reply| Order::Server(order, reply)).await.map_err(ApplyError::System)?
    }

    fn events(&self) -> Result<Lines, String> {
        self.listeners.open()
    }

    fn explain(&self, order: ExplainOrder) -> Result<serde_json::Value, String> {
        let wrong = || "packet: not an IP packet in hexadecimal digits, two for each byte".to_owned();
        let most = |bytes: &Vec<u8>| !bytes.is_empty() && bytes.len() <= MAX_PACKET;
        let bytes = from_hex(&order.packet).filter(most).ok_or_else(wrong)?;
        let observer = self.onlookers.observer.lock().unwrap_or_else(PoisonError::into_inner);
        let frame = frame_of(&bytes, order.by_link);
        let told = Explained::of(&observer, frame, Instant::now(), supposed(&order));
        serde_json::to_value(told).map_err(|error| error.to_string())
    }

    fn trace(&self, order: TraceOrder) -> Result<Lines, String> {
        self.onlookers.taps.open(&order)
    }

    fn drops(&self) -> DropList {
        let counters = self.engine.counters();
        let view = |reason: &DropReason| {
            let examples = self.onlookers.examples.iter().filter_map(|examples| examples.of(*reason));
            let last = examples.max_by_key(|example| example.at).map(|example| LastDrop {
                ago_ms: example.at.elapsed().as_millis() as u64,
                packet: example.summary(),
            });
            DropView {
                reason: reason.name().to_owned(),
                count: counters.dropped(*reason),
                meaning: reason.meaning().to_owned(),
                cause: reason.cause().to_owned(),
                last,
            }
        };
        DropList { drops: DropReason::ALL.iter().map(view).collect() }
    }

    fn tls(&self) -> TlsList {
        self.fronts.load().list(std::time::SystemTime::now())
    }

    async fn reload_tls(&self) -> Result<TlsReloaded, String> {
        self.ask(Order::ReloadTls).await
    }

    async fn reload(&self) -> Result<Reloaded, String> {
        self.ask(Order::Reload).await?
    }

    fn stop(&self) {
        // A full inbox means that it is busy; a closed one that it is stopping already.
        let orders = self.orders.clone();
        tokio::spawn(async move {
            let _ = orders.send(Order::Stop).await;
        });
    }
}

/// Those most in use first.
fn local_ports(engine: &Engine) -> Vec<LocalPortsView> {
    let mut all = Vec::new();
    engine.local_ports_in_use(|ports| {
        let PortsInUse { proto, lip, server, .. } = ports;
        all.push(LocalPortsView {
            proto,
            lip,
            server,
            taken: ports.taken as u64,
            resting: ports.resting as u64,
            all: ports.all as u64,
            refused: ports.refused,
        });
    });
    all.sort_by_key(|ports| (std::cmp::Reverse(ports.taken), ports.proto, ports.lip, ports.server));
    all
}

fn conn_view(conn: &Connection) -> ConnView {
    ConnView {
        proto: conn.proto,
        template: conn.template,
        pe: conn.pe.clone(),
        expires: conn.expires_in.as_secs() as u32,
        state: Cow::Borrowed(conn.state_name()),
        client: conn.client,
        vip: conn.vip,
        dest: conn.dest,
    }
}

fn named(counters: &Counters, port: &PortErrors) -> BTreeMap<String, u64> {
    [
        ("received", counters.received),
        ("super-packets", counters.super_packets),
        ("transmitted", counters.transmitted),
        ("replied", counters.replied),
        ("diverted", counters.diverted),
        ("passed", counters.passed),
        ("waiting", counters.waiting),
        ("connections-created", counters.created),
        ("connections-ended", counters.expired),
        ("resets-sent", counters.resets),
        ("proxy-headers-sent", counters.greetings),
        ("unreadable", port.unreadable.load(Relaxed)),
        ("unsent", port.unsent.load(Relaxed)),
        ("unresolved", port.unresolved.load(Relaxed)),
        ("lost", port.lost.load(Relaxed)),
    ]
    .map(|(name, n)| (name.to_owned(), n))
    .into()
}
