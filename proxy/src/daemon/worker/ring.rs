//! A worker's ring: what comes straight from the host's devices, and goes straight out to them where it can.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use engine::{Coming, Egress, Verdict};
use netio::packet::{BATCH, Port};
use netio::steer::Taker;
use wire::frame::{Arrival, Frame};
use wire::packet::Packet;
use wire::packet::head::AnyHead;

use super::Worker;

/// The ring, and which of its packets are not the kernel's.
pub(super) struct Ring {
    pub(super) port: Port,
    /// None where nothing else hands packets over: then all are looked at.
    pub(super) taker: Option<Taker>,
    pub(super) turns: Arc<Turns>,
    /// What is decided about in one go, and in which slot it is; empty between two batches. Of one that is anything but a
    /// plain packet nothing is known yet.
    batch: Vec<(usize, Option<Coming>)>,
}

impl Ring {
    pub(super) fn new(port: Port, taker: Option<Taker>) -> Self {
        Self { port, taker, turns: Arc::default(), batch: Vec::with_capacity(BATCH) }
    }
}

/// Much longer than it takes to wake a worker, unless the machine has no time for it.
const PATIENCE: Duration = Duration::from_millis(250);

/// How often a worker has looked at its ring.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Turns(AtomicU64);

impl Turns {
    /// How often.
    pub(in crate::daemon) fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Wakes these workers and waits until they go by what the rings take now, for as long as it may be. Before that, the
    /// first packet that a ring takes newly passes for one that came earlier.
    pub(in crate::daemon) fn await_all(all: &[Arc<Self>], wake: impl FnOnce()) {
        // Looked at first: who is woken may have turned round often enough, and be asleep again, before this goes on.
        let (before, began): (Vec<_>, _) = (all.iter().map(|turns| turns.count()).collect(), Instant::now());
        wake();
        // The turn that is going on may have begun too early.
        let behind = || all.iter().zip(&before).any(|(turns, before)| turns.count() < before + 2);
        while behind() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_micros(20));
        }
    }
}

impl Worker {
    /// Moves what is in the ring, up to a batch; says how much. `own` is a frame to make others in.
    pub(super) fn ring_batch(&mut self, own: &mut Frame, now: Instant) -> usize {
        let Self { ring: Some(ring), queue, sender, decider, fronts, errors, .. } = self else { return 0 };
        let Ring { port, taker, turns, batch } = ring;
        let traced = decider.taps.are_on();
        let mut done = 0;
        while let Some(received) = port.receive() {
            done += 1;
            let slot = received.slot;
            let head = if received.readable {
                AnyHead::of(port.frame(slot).packet())
            } else {
                errors.unreadable.fetch_add(1, Relaxed);
                None
            };
            let takes = |taker: &mut Taker| taker.takes(head.as_ref(), || port.waiting() + 1);
            if taker.as_mut().map_or(received.readable, takes) {
                batch.push((slot, head.map(Coming::new)));
            }
        }
        decider.engine.look_ahead(batch.iter_mut().filter_map(|(_, coming)| coming.as_mut()));
        for (slot, coming) in batch.drain(..) {
            let frame = port.frame(slot);
            // Short frames are filled up on their link. What is no packet is dropped by name.
            let len = match &coming {
                Some(coming) => Some(coming.head().lengths().total),
                None => Packet::parse(frame.packet()).ok().map(|packet| packet.total_len),
            };
            if let Some(len) = len {
                frame.resize(len);
            }
            let tagged = frame.tagged.filter(|way| !sender.knows(way));
            if taker.is_none() && tagged.is_none() && frame.tagged.is_some() {
                // It comes again, by the VLAN's own device: no rule keeps it from there.
                continue;
            }
            frame.tagged = tagged;
            let verdict = decider.decide(frame, coming.as_ref(), now, traced);
            // What ends an old connection must not come after what begins a new one.
            while let Some(egress) = decider.engine.next_own(own) {
                errors.unsent.fetch_add(port.flush(), Relaxed);
                sender.send_own(queue.as_ref(), own, egress);
            }
            let (egress, forwarded) = match verdict {
                Verdict::Transmit(egress) => (egress, true),
                Verdict::Reply => {
                    // As if it had come by the link: nobody has taken a hop from it yet.
                    port.frame(slot).arrival = Arrival::Link;
                    (tagged.map_or(Egress::Route, Egress::Back), true)
                }
                // The kernel has it already.
                Verdict::Pass if queue.is_none() => continue,
                Verdict::Pass => (Egress::Route, false),
                Verdict::Divert(diverted) => {
                    if !fronts.receive(diverted, port.frame(slot), now) {
                        continue;
                    }
                    (Egress::Route, false)
                }
                Verdict::Drop(_) | Verdict::Wait => continue,
            };
            if !forwarded || !sender.straight(port, slot, egress) {
                // Nothing of a flow overtakes what waits to be sent.
                errors.unsent.fetch_add(port.flush(), Relaxed);
                sender.send(queue.as_ref(), port.frame(slot), egress);
            }
        }
        if let Some(taker) = taker
            && done == 0
        {
            taker.catch_up(|| port.waiting());
        }
        // Nobody else writes it.
        turns.0.store(turns.0.load(Relaxed) + 1, Relaxed);
        let unsent = port.done();
        if unsent > 0 {
            errors.unsent.fetch_add(unsent, Relaxed);
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_is_asleep_again_at_once_is_not_waited_for() {
        let all = [Arc::new(Turns::default())];
        let waits = || {
            let began = Instant::now();
            Turns::await_all(&all, || all[0].0.store(all[0].0.load(Relaxed) + 50, Relaxed));
            began.elapsed() >= PATIENCE
        };
        // Once, a machine may stand still for so long.
        assert!(!(0..3).all(|_| waits()));
    }
}
