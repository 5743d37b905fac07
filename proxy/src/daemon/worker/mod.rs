//! A worker thread: read a frame, decide, send it on; spin a little, then sleep.

mod alone;
mod examples;
mod held;
mod ring;
mod send;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::Context;
use engine::{Coming, Egress, Verdict};
use netio::link::{Keeper, LinkSocket};
use netio::packet::Port;
use netio::poll::{self, Waker};
use netio::steer::{Published, Taker};
use netio::tun::{Queue, Received};
use tokio::sync::Notify;
use wire::frame::{Arrival, Frame};

pub(super) use self::examples::Examples;
use self::examples::Keeper as ExampleKeeper;
use self::ring::Ring;
pub(super) use self::ring::Turns;
use self::send::Sender;
use crate::front::Userspace;
use crate::trace::Taps;

/// Frames per reading of the clock: bounds how late timers can be under load.
const BATCH: usize = 64;
/// Empty reads before sleeping. A wake-up costs more than these; measured on a request/response load.
const SPIN: u32 = 20;
/// Looks at an empty ring before sleeping; one is much cheaper than a read.
const RING_SPIN: u32 = 50;
/// While the ring has packets, the queue is read once in so many batches.
const QUEUE_TURN: u32 = 8;

/// What a port could not do.
#[derive(Debug, Default)]
pub(super) struct PortErrors {
    /// Frames that the kernel handed over in a form that cannot be read.
    pub(super) unreadable: AtomicU64,
    /// Frames that the kernel would not take.
    pub(super) unsent: AtomicU64,
    /// Frames whose next hop did not answer when it was asked for its link address.
    pub(super) unresolved: AtomicU64,
    /// Frames that a ring had no room for.
    pub(super) lost: AtomicU64,
}

/// The running workers; they stop when this is dropped.
#[derive(Debug)]
pub(super) struct Workers {
    threads: Vec<(Waker, JoinHandle<()>)>,
    stop: Arc<AtomicBool>,
    pub(super) errors: Arc<PortErrors>,
    /// Told when a worker has panicked: its queue is served no more.
    pub(super) panicked: Arc<Notify>,
    /// Why nothing can be sent to a neighbour (DR).
    pub(super) no_link: Option<String>,
    /// Of the workers that have rings.
    pub(super) turns: Vec<Arc<Turns>>,
    /// Packets that workers have dropped, of each worker.
    pub(super) examples: Vec<Arc<Examples>>,
}

/// Raises the alarm when the thread that holds it panics.
struct Alarm(Arc<Notify>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.notify_one();
        }
    }
}

/// Where a worker's packets come in: one of the two at least.
pub(super) struct Inlet {
    queue: Option<Queue>,
    ring: Option<Ring>,
}

impl Inlet {
    /// The queues of a TUN device, with the packet port each with a ring beside it that takes this.
    pub(super) fn of_queues(queues: Vec<Queue>, rings: Vec<Port>, taken: &Published) -> Vec<Self> {
        let mut rings = rings.into_iter().map(|port| Ring::new(port, Some(Taker::new(Arc::clone(taken)))));
        queues.into_iter().map(|queue| Self { queue: Some(queue), ring: rings.next() }).collect()
    }

    /// Rings that nothing is beside.
    pub(super) fn of_rings(rings: Vec<Port>) -> Vec<Self> {
        rings.into_iter().map(|port| Self { queue: None, ring: Some(Ring::new(port, None)) }).collect()
    }
}

impl Workers {
    /// Starts one thread for each.
    pub(super) fn start(
        inlets: Vec<Inlet>,
        workers: Vec<(engine::Worker, Userspace, Waker)>,
        neighbours: &Keeper,
        taps: &Arc<Taps>,
    ) -> anyhow::Result<Self> {
        let mut all = Self {
            threads: Vec::new(),
            stop: Arc::default(),
            errors: Arc::default(),
            panicked: Arc::default(),
            no_link: None,
            turns: Vec::new(),
            examples: Vec::new(),
        };
        for (i, (inlet, (engine, fronts, waker))) in inlets.into_iter().zip(workers).enumerate() {
            let Inlet { queue, ring } = inlet;
            all.turns.extend(ring.as_ref().map(|ring| Arc::clone(&ring.turns)));
            let link = LinkSocket::open().map_err(|e| all.no_link = Some(e.to_string())).ok();
            let ways = neighbours.ways().context("cannot ask for routes")?;
            let examples = Arc::<Examples>::default();
            all.examples.push(Arc::clone(&examples));
            let worker = Worker {
                sender: Sender::new(Arc::clone(&all.errors), link, ways, ring.is_some() && queue.is_some()),
                decider: Decider {
                    number: i,
                    engine,
                    taps: Arc::clone(taps),
                    examples,
                    keeper: ExampleKeeper::default(),
                },
                ring,
                queue,
                fronts,
                waker: waker.clone(),
                stop: Arc::clone(&all.stop),
                errors: Arc::clone(&all.errors),
            };
            let alarm = Alarm(Arc::clone(&all.panicked));
            let thread = std::thread::Builder::new()
                .name(format!("worker-{i}"))
                .spawn(move || {
                    let _alarm = alarm;
                    worker.run();
                })
                .context("cannot start a worker thread")?;
            all.threads.push((waker, thread));
        }
        Ok(all)
    }
}

impl Workers {
    /// To call the workers when the control plane has work for them.
    pub(super) fn wakers(&self) -> Vec<Waker> {
        self.threads.iter().map(|(waker, _)| waker.clone()).collect()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for (waker, _) in &self.threads {
            waker.wake();
        }
        for (_, thread) in self.threads.drain(..) {
            // A panic has been told already.
            let _ = thread.join();
        }
    }
}

/// An engine's worker, with those who look on.
struct Decider {
    number: usize,
    engine: engine::Worker,
    taps: Arc<Taps>,
    examples: Arc<Examples>,
    keeper: ExampleKeeper,
}

impl Decider {
    /// Decides about a frame, which may have been looked ahead at, and tells of it if somebody wants to know.
    #[inline]
    fn decide(&mut self, frame: &mut Frame, coming: Option<&Coming>, now: Instant, traced: bool) -> Verdict {
        let verdict = match coming {
            _ if traced => self.taps.process(self.number, &mut self.engine, frame, now),
            Some(coming) => self.engine.process_coming(frame, coming, now),
            None => self.engine.process(frame, now),
        };
        if let Verdict::Drop(reason) = verdict {
            self.keeper.keep(&self.examples, reason, frame, now);
        }
        verdict
    }
}

struct Worker {
    /// None where rings are all there is.
    queue: Option<Queue>,
    ring: Option<Ring>,
    sender: Sender,
    decider: Decider,
    fronts: Userspace,
    waker: Waker,
    stop: Arc<AtomicBool>,
    errors: Arc<PortErrors>,
}

impl Worker {
    fn run(mut self) {
        let (mut frame, mut own) = (Frame::new(), Frame::new());
        let spin = if self.ring.is_some() { RING_SPIN } else { SPIN };
        let (mut empty, mut turn) = (0, 0_u32);
        while !self.stop.load(Relaxed) {
            let now = Instant::now();
            turn = turn.wrapping_add(1);
            // First: what has waited for its neighbour came before what comes now.
            self.sender.release(now);
            let mut moved = self.ring_batch(&mut own, now);
            // Where there is a ring, little comes by the queue, and to ask costs a system call.
            let turns =
                self.ring.is_none() || moved == 0 && empty == 0 || turn % QUEUE_TURN == 0 && moved > 0;
            if turns && self.queue.is_some() {
                match self.batch(&mut frame, &mut own, now) {
                    Ok(more) => moved += more,
                    Err(error) => {
                        tracing::error!(%error, "the device is gone; this worker ends");
                        return;
                    }
                }
            }
            empty = if moved == 0 { empty + 1 } else { 0 };
            let (sender, queue) = (&mut self.sender, &self.queue);
            self.fronts.run(&mut self.decider.engine, &mut own, now, |frame| {
                // As if it had come by a link: nobody has taken a hop from it yet.
                frame.arrival = Arrival::Link;
                sender.send_own(queue.as_ref(), frame, Egress::Route);
            });
            self.send_note(now);
            let dues =
                [self.decider.engine.poll_timeout(), self.sender.next_due(), self.fronts.poll_timeout(now)];
            let due = dues.into_iter().flatten().min();
            let timeout = due.map(|at| at.saturating_duration_since(now));
            if timeout.is_some_and(|t| t.is_zero()) {
                // However much is due, what comes by the queue does not wait for the end of it.
                empty = 0;
                self.decider.engine.handle_timeout(now);
                self.send_own(&mut own);
            } else if empty > spin {
                empty = 0;
                let queue = self.queue.as_ref().map(AsFd::as_fd);
                let rings = self.ring.iter().flat_map(|ring| ring.port.inlets());
                let inlets = queue.into_iter().chain(rings);
                if let Err(error) = poll::wait(&self.fronts.sockets(), inlets, &self.waker, timeout) {
                    tracing::error!(%error, "cannot wait for packets; this worker ends");
                    return;
                }
            }
        }
    }

    /// Moves up to [`BATCH`] frames; says how many. `own` is a frame to make others in.
    fn batch(&mut self, frame: &mut Frame, own: &mut Frame, now: Instant) -> std::io::Result<usize> {
        let Some(queue) = &self.queue else { return Ok(0) };
        let traced = self.decider.taps.are_on();
        for done in 0..BATCH {
            match queue.recv(frame)? {
                Received::Empty => return Ok(done),
                Received::Unreadable(_) => {
                    self.errors.unreadable.fetch_add(1, Relaxed);
                    continue;
                }
                Received::Frame => {}
            }
            let verdict = self.decider.decide(frame, None, now, traced);
            // What ends an old connection must not come after what begins a new one.
            while let Some(egress) = self.decider.engine.next_own(own) {
                self.sender.send(Some(queue), own, egress);
            }
            match verdict {
                Verdict::Transmit(egress) => self.sender.send(Some(queue), frame, egress),
                // Both find their way by the host's routing.
                Verdict::Reply | Verdict::Pass => self.sender.send(Some(queue), frame, Egress::Route),
                Verdict::Divert(diverted) => {
                    if self.fronts.receive(diverted, frame, now) {
                        self.sender.send(Some(queue), frame, Egress::Route);
                    }
                }
                Verdict::Drop(_) | Verdict::Wait => {}
            }
        }
        Ok(BATCH)
    }

    /// Sends what the engine has to say of its own accord.
    fn send_own(&mut self, own: &mut Frame) {
        while let Some(egress) = self.decider.engine.next_own(own) {
            self.sender.send_own(self.queue.as_ref(), own, egress);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_panic_raises_the_alarm_and_an_ordinary_end_does_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for panics in [false, true] {
            let notify = Arc::new(Notify::new());
            let alarm = Alarm(Arc::clone(&notify));
            let thread = std::thread::spawn(move || {
                let _alarm = alarm;
                assert!(!panics, "on purpose");
            });
            assert_eq!(thread.join().is_err(), panics);
            let told = runtime.block_on(async {
                tokio::time::timeout(Duration::from_millis(20), notify.notified()).await.is_ok()
            });
            assert_eq!(told, panics);
        }
    }
}
