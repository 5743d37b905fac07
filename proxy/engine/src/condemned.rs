//! Connections that the control plane wants ended: it finds them, a worker ends them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::conn::Kept;

/// One of them.
#[derive(Debug)]
pub(crate) struct Sentence {
    pub(crate) conn: Kept,
    /// Its ends are told.
    pub(crate) reset: bool,
}

/// A queue of them, for whichever worker comes first.
#[derive(Debug, Default)]
pub(crate) struct Condemned {
    queue: Mutex<VecDeque<Sentence>>,
    /// What is in it, to be looked at without the lock.
    len: AtomicUsize,
}

impl Condemned {
    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Relaxed) == 0
    }

    pub(crate) fn extend(&self, sentences: impl IntoIterator<Item = Sentence>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.extend(sentences);
        self.len.store(queue.len(), Relaxed);
    }

    pub(crate) fn pop(&self) -> Option<Sentence> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let sentence = queue.pop_front();
        self.len.store(queue.len(), Relaxed);
        sentence
    }
}
