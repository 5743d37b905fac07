//! A worker thread: read a frame, decide, write it back; spin a little, then sleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::Context;
use engine::Verdict;
use netio::poll::{self, Waker};
use netio::tun::{Queue, Received};
use wire::frame::Frame;

/// Frames per reading of the clock: bounds how late timers can be under load.
const BATCH: usize = 64;
/// Empty reads before sleeping. A wake-up costs more than these; measured on a request/response load.
const SPIN: u32 = 20;

/// What a port could not do.
#[derive(Debug, Default)]
pub(super) struct PortErrors {
    /// Frames that the kernel handed over in a form that cannot be read.
    pub(super) unreadable: AtomicU64,
    /// Frames that the kernel would not take.
    pub(super) unsent: AtomicU64,
}

/// The running workers; they stop when this is dropped.
#[derive(Debug)]
pub(super) struct Workers {
    threads: Vec<(Waker, JoinHandle<()>)>,
    stop: Arc<AtomicBool>,
    pub(super) errors: Arc<PortErrors>,
}

impl Workers {
    /// Starts one thread per queue.
    pub(super) fn start(queues: Vec<Queue>, workers: Vec<engine::Worker>) -> anyhow::Result<Self> {
        let mut all = Self { threads: Vec::new(), stop: Arc::default(), errors: Arc::default() };
        for (i, (queue, engine)) in queues.into_iter().zip(workers).enumerate() {
            let waker = Waker::new().context("cannot make a worker's eventfd")?;
            let worker = Worker {
                queue,
                engine,
                waker: waker.clone(),
                stop: Arc::clone(&all.stop),
                errors: Arc::clone(&all.errors),
            };
            let thread = std::thread::Builder::new()
                .name(format!("worker-{i}"))
                .spawn(move || worker.run())
                .context("cannot start a worker thread")?;
            all.threads.push((waker, thread));
        }
        Ok(all)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for (waker, _) in &self.threads {
            waker.wake();
        }
        for (_, thread) in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker had panicked");
            }
        }
    }
}

struct Worker {
    queue: Queue,
    engine: engine::Worker,
    waker: Waker,
    stop: Arc<AtomicBool>,
    errors: Arc<PortErrors>,
}

impl Worker {
    fn run(mut self) {
        let mut frame = Frame::new();
        let mut empty = 0;
        while !self.stop.load(Relaxed) {
            let now = Instant::now();
            match self.batch(&mut frame, now) {
                Ok(0) => empty += 1,
                Ok(_) => empty = 0,
                Err(error) => {
                    tracing::error!(%error, "the device is gone; this worker ends");
                    return;
                }
            }
            let timeout = self.engine.poll_timeout().map(|at| at.saturating_duration_since(now));
            if timeout.is_some_and(|t| t.is_zero()) {
                self.engine.handle_timeout(now);
            } else if empty > SPIN {
                empty = 0;
                if let Err(error) = poll::wait(&self.queue, &self.waker, timeout) {
                    tracing::error!(%error, "cannot wait for packets; this worker ends");
                    return;
                }
            }
        }
    }

    /// Moves up to [`BATCH`] frames; says how many.
    fn batch(&mut self, frame: &mut Frame, now: Instant) -> std::io::Result<usize> {
        for done in 0..BATCH {
            match self.queue.recv(frame)? {
                Received::Empty => return Ok(done),
                Received::Unreadable(_) => {
                    self.errors.unreadable.fetch_add(1, Relaxed);
                    continue;
                }
                Received::Frame => {}
            }
            match self.engine.process(frame, now) {
                Verdict::Transmit | Verdict::Reply | Verdict::Pass => {
                    if self.queue.send(frame).is_err() {
                        self.errors.unsent.fetch_add(1, Relaxed);
                    }
                }
                Verdict::Drop(_) => {}
            }
        }
        Ok(BATCH)
    }
}
