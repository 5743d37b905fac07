//! The decapsulator: a process of a real server that takes packets for its VIPs out of tunnels and hands them to the
//! kernel, which answers the clients itself. For kernels that have no tunnel devices.
//!
//! It keeps nothing and changes nothing that outlives it: its device and all that is set on it go when it ends, however
//! that comes. What a real server needs besides is the business of `netio::real`, for which this is a far end of
//! tunnels ([`Process`]).

mod counters;
mod process;
mod reader;
mod socket;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

use anyhow::Context;
use netio::poll::Waker;
use netio::process::Readiness;
use netio::real::Tunnels;
use netio::tun::{Tun, TunConfig};
use netio::tunnel::{self, Receiver};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::daemon::offload_words;
use counters::Counters;
use reader::{Reader, Vips};
use socket::{Caller, Request, Socket};

pub(crate) use process::{Process, status};
pub(crate) use socket::Status;

/// The kernel puts the first free number in the place of `%d`: the device of one that was just killed may still be there.
const DEVICE: &str = "ulvs-real%d";

/// Runs until it is told to end. Reports readiness to whoever waits for it.
pub(crate) fn run(
    vips: Vec<IpAddr>,
    tunnels: Tunnels,
    readiness: &mut Option<Readiness>,
) -> anyhow::Result<()> {
    runtime()?.block_on(serve(vips, tunnels, readiness))
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the decapsulator's runtime")
}

async fn serve(vips: Vec<IpAddr>, tunnels: Tunnels, readiness: &mut Option<Readiness>) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let socket = Socket::bind().await?;
    let receiver = Receiver::open(tunnels.gue_port)?;
    let tun = Tun::open(&TunConfig { name: DEVICE.to_owned(), queues: 1, offload: tunnels.merge })?;
    tunnel::bring_up(&tun)?;

    let shared = Arc::new(Shared {
        tunnels,
        device: tun.name.clone(),
        index: tun.index,
        offload: offload_words(tun.offload),
        vips: Arc::default(),
        counters: Arc::default(),
    });
    shared.set_vips(vips);
    let (worker, mut ended) = Worker::start(&shared, receiver, tun)?;
    let (end, mut asked_to_end) = mpsc::channel(1);
    if let Some(readiness) = readiness.take() {
        // The caller may have been interrupted meanwhile; that is its own business.
        let _ = readiness.ready();
    }
    let (outcome, caller) = loop {
        tokio::select! {
            caller = socket.accept() => match caller {
                Ok(caller) => drop(tokio::spawn(talk(Arc::clone(&shared), caller, end.clone()))),
                Err(error) => break (Err(error).context("the decapsulator's socket failed"), None),
            },
            Some(caller) = asked_to_end.recv() => break (Ok(()), Some(caller)),
            outcome = &mut ended => {
                break (outcome.context("the decapsulator has panicked").and_then(|o| Ok(o?)), None);
            }
            _ = interrupt.recv() => break (Ok(()), None),
            _ = terminate.recv() => break (Ok(()), None),
        }
    };
    // Whoever waits for the answer finds everything gone, and the name free.
    drop(worker);
    drop(socket);
    if let Some(mut caller) = caller {
        caller.answer(&Ok(shared.status())).await;
    }
    outcome
}

/// What all who call are told about.
struct Shared {
    tunnels: Tunnels,
    device: String,
    index: u32,
    offload: String,
    vips: Arc<Vips>,
    counters: Arc<Counters>,
}

impl Shared {
    fn set_vips(&self, mut vips: Vec<IpAddr>) {
        vips.sort_unstable();
        vips.dedup();
        self.vips.store(Arc::new(vips));
    }

    fn status(&self) -> Status {
        Status {
            pid: std::process::id(),
            device: self.device.clone(),
            device_up: tunnel::is_up(self.index),
            offload: self.offload.clone(),
            tunnels: self.tunnels,
            vips: self.vips.load().to_vec(),
            counters: self.counters.counts(),
            drops: self.counters.drops(),
        }
    }
}

async fn talk(shared: Arc<Shared>, mut caller: Caller, end: mpsc::Sender<Caller>) {
    match caller.request().await {
        Some(Request::Status) => {}
        Some(Request::Serve(vips)) => shared.set_vips(vips),
        Some(Request::End) => {
            // It is ending already if that fails.
            let _ = end.send(caller).await;
            return;
        }
        None => return,
    }
    caller.answer(&Ok(shared.status())).await;
}

/// The running thread; it has ended, and the device is gone, when this was dropped.
struct Worker {
    waker: Waker,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// The second is told how it ended, or nothing if it has panicked.
    fn start(
        shared: &Shared,
        receiver: Receiver,
        mut tun: Tun,
    ) -> anyhow::Result<(Self, oneshot::Receiver<std::io::Result<()>>)> {
        let waker = Waker::new().context("cannot make the decapsulator's eventfd")?;
        let stop = Arc::new(AtomicBool::new(false));
        let reader = Reader {
            receiver,
            queue: tun.queues.pop().context("a device without a queue")?,
            vips: Arc::clone(&shared.vips),
            counters: Arc::clone(&shared.counters),
            waker: waker.clone(),
            stop: Arc::clone(&stop),
        };
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("decapsulator".to_owned()).spawn(move || {
            // Nobody listens when it was told to end.
            let _ = end.send(reader.run());
        });
        let thread = thread.context("cannot start the decapsulator's thread")?;
        Ok((Self { waker, stop, thread: Some(thread) }, ended))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // A panic has been told already.
            let _ = thread.join();
        }
    }
}
