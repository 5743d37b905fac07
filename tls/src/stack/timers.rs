//! When which flow has something to do: a heap that is tidied up lazily. A flow is in it for its earliest deadline; one
//! that is later than that waits until the earlier has come up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::FlowId;

#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Duration, FlowId)>>,
}

impl Timers {
    pub(super) fn push(&mut self, at: Duration, flow: FlowId) {
        self.heap.push(Reverse((at, flow)));
    }

    pub(super) fn first(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// The next flow whose time has come.
    pub(super) fn pop(&mut self, now: Duration) -> Option<(Duration, FlowId)> {
        self.first().filter(|at| *at <= now)?;
        self.heap.pop().map(|Reverse(first)| first)
    }
}
