//! Packets on their way, for whoever wants to see some of them: workers look once a batch whether anybody does.
//!
//! Nobody waits for a reader: what it does not take in time, or what is more than it wants in a second, is left out and
//! counted.

mod filter;

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, Release},
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use control::api::{Lines, TraceOrder};
use engine::Verdict;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use wire::frame::Frame;
use wire::packet::Packet;

use self::filter::Candidate;
pub(crate) use self::filter::Filter;
use crate::explain::{Explained, PacketView};

/// Packets in a second, where nobody has said how many.
const RATE: u32 = 1000;
/// Lines that a reader may be behind.
const BEHIND: usize = 4096;
/// Readers at a time.
const READERS: usize = 8;

/// A line for a reader.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Traced {
    /// Microseconds since 1970.
    pub(crate) at_us: u64,
    /// Which worker.
    pub(crate) worker: usize,
    /// Packets that would have been told of since the line before, but for the rate.
    pub(crate) left_out: u64,
    #[serde(flatten)]
    pub(crate) told: Explained,
}

/// All readers.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    /// There is one.
    on: AtomicBool,
    all: ArcSwap<Vec<Arc<Tap>>>,
    /// Who changes the list.
    edits: Mutex<()>,
}

/// One of them.
#[derive(Debug)]
struct Tap {
    filter: Filter,
    rate: u32,
    snaplen: usize,
    lines: mpsc::Sender<String>,
    budget: Mutex<Budget>,
    left_out: AtomicU64,
}

#[derive(Debug)]
struct Budget {
    since: Instant,
    left: u32,
}

impl Taps {
    /// Whether anybody reads. To be asked once a batch.
    #[inline]
    pub(crate) fn are_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// Another reader.
    ///
    /// # Errors
    /// In words: its filter makes no sense, or there are too many already.
    pub(crate) fn open(self: &Arc<Self>, order: &TraceOrder) -> Result<Lines, String> {
        let filter = Filter::parse(&order.filter)?;
        let (sender, receiver) = mpsc::channel(BEHIND);
        let rate = if order.rate == 0 { RATE } else { order.rate };
        let budget = Mutex::new(Budget { since: Instant::now(), left: rate });
        let snaplen = order.snaplen as usize;
        let tap = Arc::new(Tap { filter, rate, snaplen, lines: sender, budget, left_out: AtomicU64::new(0) });
        let _alone = self.edits.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.all.load().to_vec();
        if all.len() == READERS {
            return Err(format!("{READERS} others trace already: end one of them first"));
        }
        all.push(Arc::clone(&tap));
        self.store(all);
        let taps = Arc::clone(self);
        Ok(Lines::new(receiver, move || taps.close(&tap)))
    }

    fn close(&self, tap: &Arc<Tap>) {
        let _alone = self.edits.lock().unwrap_or_else(PoisonError::into_inner);
        self.store(self.all.load().iter().filter(|other| !Arc::ptr_eq(other, tap)).cloned().collect());
    }

    fn store(&self, all: Vec<Arc<Tap>>) {
        let on = !all.is_empty();
        self.all.store(Arc::new(all));
        self.on.store(on, Release);
    }

    /// What `engine` makes of a frame, and tells readers of it.
    #[cold]
    pub(crate) fn process(
        &self,
        worker: usize,
        engine: &mut engine::Worker,
        frame: &mut Frame,
        now: Instant,
    ) -> Verdict {
        let taps = self.all.load();
        let snaplen = taps.iter().map(|tap| tap.snaplen).max().unwrap_or_default();
        let before = Packet::parse(frame.packet()).ok();
        let arrived = PacketView::of(frame, snaplen);
        let (verdict, notes) = engine.process_noted(frame, now);
        let after = Packet::parse(frame.packet()).ok().filter(|_| !matches!(verdict, Verdict::Drop(_)));
        let candidate = Candidate { before: before.as_ref(), after: after.as_ref(), verdict, notes: &notes };
        let wanting: Vec<_> =
            taps.iter().filter(|tap| tap.filter.matches(&candidate) && tap.may_have_one(now)).collect();
        if wanting.is_empty() {
            return verdict;
        }
        let told = Explained::new(arrived, frame, (verdict, notes), snaplen);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut traced = Traced { at_us: since.as_micros() as u64, worker, left_out: 0, told };
        for tap in wanting {
            traced.left_out = tap.left_out.swap(0, Relaxed);
            let line = serde_json::to_string(&traced).unwrap_or_default();
            if tap.lines.try_send(line).is_err() {
                tap.left_out.fetch_add(traced.left_out + 1, Relaxed);
            }
        }
        verdict
    }
}

impl Tap {
    /// Whether there is room for one more in this second. What there is not is counted.
    fn may_have_one(&self, now: Instant) -> bool {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(budget.since) >= Duration::from_secs(1) {
            *budget = Budget { since: now, left: self.rate };
        }
        let may = budget.left > 0;
        budget.left = budget.left.saturating_sub(1);
        if !may {
            self.left_out.fetch_add(1, Relaxed);
        }
        may
    }
}

#[cfg(test)]
mod tests;
