//! The daemon: opens the port, steers traffic into it, runs the workers, and obeys the control socket and signals.

mod backend;
mod director;
mod drains;
mod health;
mod knobs;
mod local_ports;
mod log;
mod marks;
mod methods;
mod notify;
mod orphans;
mod place;
mod rates;
mod rules;
mod walk;
mod worker;

use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, bail};
use control::api::{BindError, ControlSocket};
use control::config::{Config, EngineConfig};
use control::foreign::Notes;
use control::source::Source;
use engine::{Engine, Limits};
use netio::link::Keeper;
use netio::netns::Users;
use netio::poll::Waker;
use netio::process::Readiness;
use netio::steer::{self, Alone, SteerConfig, Steering};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::info;

use backend::{Facts, Handle, Onlookers};
use director::{Director, Ground, Rings};
use place::Place;
use worker::{Inlet, Workers};

pub(crate) use knobs::knobs;
pub(crate) use rules::Rules;

use crate::front::{Fronts, userspaces};
use crate::reason::reason;
use crate::trace::Taps;

/// What `ulvs run` was asked for.
#[derive(Debug)]
pub(crate) struct Options {
    /// The engine's settings in force: the file's, unless the command line says otherwise.
    pub(crate) engine: EngineConfig,
    /// Behave like the kernel, whatever the file says.
    pub(crate) compat: bool,
    /// The configuration file as it was read, if there is one, and what there is to say about it.
    pub(crate) file: Config,
    pub(crate) notes: Notes,
    pub(crate) source: Option<Source>,
    /// Services in the form of `ipvsadm-save`: then the configuration file has none.
    pub(crate) rules: Option<Rules>,
    pub(crate) state_dir: PathBuf,
    pub(crate) log: Option<PathBuf>,
    pub(crate) detached: bool,
    /// It ends when nobody else is in the network namespace any more.
    pub(crate) while_used: bool,
}

/// Runs until it is told to stop. Reports readiness to whoever waits for it.
pub(crate) fn run(options: &Options, readiness: &mut Option<Readiness>) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        // First, so that nothing of an engine that is running already is touched, not even its log.
        let socket = bind().await?;
        let log = log::init(options)?;
        let outcome = serve(options, socket, log.clone(), readiness).await;
        // On stderr the caller tells it.
        if let Err(error) = &outcome
            && log.is_some()
        {
            tracing::error!("{}", reason(error));
        }
        outcome
    })
}

/// Undoes what an engine that was killed has left in this network namespace.
pub(crate) fn clean(state_dir: &Path) -> anyhow::Result<steer::Report> {
    runtime()?.block_on(async {
        // Holding the socket proves that no engine needs what we are about to remove.
        let _lock = bind().await?;
        Ok(steer::clean(state_dir)?)
    })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the control plane's runtime")
}

async fn bind() -> anyhow::Result<ControlSocket> {
    ControlSocket::bind().await.map_err(|error| match error {
        BindError::AlreadyRunning { .. } => {
            anyhow::anyhow!("{error}: see `ulvs status`, or end it with `ulvs stop`")
        }
        BindError::Io(_) => error.into(),
    })
}

async fn serve(
    options: &Options,
    socket: ControlSocket,
    log: Option<PathBuf>,
    readiness: &mut Option<Readiness>,
) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;

    let Place { tun, rings, workers: queues, reason: why } = Place::find(options)?;
    let limits = Limits { max_connections: options.engine.max_connections.get() };
    // Each queue has a worker, and each thread of fronts one; the last one only says what the others would do.
    let (engine, mut workers) = Engine::new(random_seed(), limits, 2 * queues + 1, Instant::now());
    let observer = workers.pop().context("there is no worker to explain packets")?;
    let of_fronts = workers.split_off(queues);
    let wakers = (0..queues).map(|_| Waker::new()).collect::<std::io::Result<Vec<_>>>();
    let wakers = wakers.context("cannot make a worker's eventfd")?;
    let (ours, directory) = userspaces([(); 3].map(|()| random_seed()), wakers.clone(), Instant::now())
        .context("cannot make a poll for fronts")?;
    let neighbours = Keeper::start(tun.as_ref().map(|tun| tun.index), wakers.clone())
        .context("cannot listen for neighbours")?;
    let workers =
        workers.into_iter().zip(ours).zip(wakers).map(|((engine, ours), waker)| (engine, ours, waker));
    let workers = workers.collect();
    let fronts = Fronts::new(of_fronts, directory);
    let engine = Arc::new(engine);
    let (device, offload) = tun.as_ref().map_or_else(
        || (String::new(), offload_words(netio::tun::Offloads { checksum: true, tso: true, uso: true })),
        |tun| (tun.name.clone(), offload_words(tun.offload)),
    );
    let (ports, intake) = rings.unzip();
    let ports = ports.unwrap_or_default();
    let taps = Arc::<Taps>::default();
    let (ground, inlets) = match tun {
        Some(tun) => {
            let steering = Steering::start(SteerConfig {
                tun_name: tun.name,
                tun_index: tun.index,
                state_dir: options.state_dir.clone(),
                nftables: true,
            })?;
            let inlets = Inlet::of_queues(tun.queues, ports, &steering.taken());
            (Ground::Steered(Box::new(steering)), inlets)
        }
        None => (Ground::Alone(Box::new(Alone::start()?)), Inlet::of_rings(ports)),
    };
    let workers = Workers::start(inlets, workers, &neighbours, &taps)?;
    let onlookers = Onlookers { observer: Mutex::new(observer), taps, examples: workers.examples.clone() };
    let mut director = Director::new(
        Arc::clone(&engine),
        ground,
        neighbours,
        &workers,
        fronts,
        options.source.clone(),
        options.compat,
    );
    let rings = intake.map(|intake| Rings::new(intake, options.engine.interfaces.clone()));
    director.begin_rings(rings, options.engine.port, why)?;
    director.load(options.file.clone(), options.rules.clone())?;
    director.tell_notes(&options.notes);

    tokio::spawn(rates::keep_up(Arc::clone(&engine), director.settings()));
    tokio::spawn(local_ports::watch(Arc::clone(&engine)));
    let (orders, mut inbox) = mpsc::channel(64);
    let facts = Facts {
        began: Instant::now(),
        device: device.clone(),
        offload,
        workers: queues,
        max_connections: options.engine.max_connections.get(),
        config: options.source.as_ref().map(|source| source.path().to_owned()),
        log,
    };
    let handle =
        Arc::new(Handle::new(engine, Arc::clone(&workers.errors), facts, &director, onlookers, orders));
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let api = tokio::spawn(control::api::serve(socket, handle, async {
        let _ = ended.await;
    }));
    let shown = if device.is_empty() { "none" } else { &device };
    info!(
        device = %shown,
        workers = queues,
        port = %director.port_words().load(),
        reason = %director.port_reason().load(),
        "ready"
    );
    notify::tell("READY=1");
    if let Some(readiness) = readiness.take() {
        // The caller may have been interrupted meanwhile; that is its own business.
        let _ = readiness.ready();
    }

    let mut outcome = Ok(());
    let users = options.while_used.then(Users::look).transpose();
    let unused = unused(users.context("cannot see who is in this network namespace")?);
    tokio::pin!(unused);
    loop {
        tokio::select! {
            Some(order) = inbox.recv() => {
                if director.obey(order).is_break() {
                    break;
                }
            }
            watched = director.watch() => {
                if watched.is_err() {
                    outcome = watched;
                    break;
                }
            }
            () = workers.panicked.notified() => {
                outcome = Err(anyhow::anyhow!("a worker has panicked: a defect of ulvs; its log says where"));
                break;
            }
            () = &mut unused => {
                info!("nobody else is in the network namespace any more");
                break;
            }
            _ = hangup.recv() => director.reload_and_log(),
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        }
    }
    info!("stopping");
    notify::tell("STOPPING=1");
    let saved = director.save_rules();
    if let Err(error) = &saved {
        tracing::error!("{}", reason(error));
    }
    outcome = outcome.and(saved);
    director.end_health().await;
    // Traffic first goes back to the host's own ways, then the workers end.
    director.stop();
    drop(workers);
    let _ = end.send(());
    // Holds the control socket: whoever waits for its name to go finds everything undone.
    match tokio::time::timeout(std::time::Duration::from_secs(2), api).await {
        Ok(Ok(done)) => outcome.and_then(|()| done.context("the control socket failed")),
        Ok(Err(panic)) => bail!("the control socket's task failed: {panic}"),
        Err(_) => outcome,
    }
}

/// Waits until nobody else uses the network namespace; for ever if nobody asks.
async fn unused(users: Option<Users>) {
    const EACH: std::time::Duration = std::time::Duration::from_secs(1);
    let Some(users) = users else { return std::future::pending().await };
    tokio::time::sleep(EACH).await;
    while users.are_others() {
        tokio::time::sleep(EACH).await;
    }
}

/// The standard library keys its hash maps from the system's random numbers; so do we.
fn random_seed() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

pub(crate) fn offload_words(offload: netio::tun::Offloads) -> String {
    let words = [(offload.checksum, "checksum"), (offload.tso, "tso4, tso6"), (offload.uso, "uso")];
    let on: Vec<_> = words.into_iter().filter(|(on, _)| *on).map(|(_, word)| word).collect();
    if on.is_empty() { "off".to_owned() } else { on.join(", ") }
}
