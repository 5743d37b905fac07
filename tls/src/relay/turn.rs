//! One turn of a session: the legs, and what has moved.

use std::{
    fmt,
    io::{self, ErrorKind},
    time::Instant,
};

use super::terms::{Terms, Who};
use crate::leg::Leg;

/// Bytes that a session may move before others have their turn.
pub(super) const FAIR: usize = 256 * 1024;
/// Bytes that are read at once.
const READ: usize = 64 * 1024;

/// The big buffers, one pair a thread.
pub struct Scratch {
    pub(crate) inward: Box<[u8]>,
    pub(crate) outward: Box<[u8]>,
}

impl Scratch {
    /// Buffers that nothing was read to.
    pub fn new() -> Self {
        Self { inward: vec![0; READ].into_boxed_slice(), outward: vec![0; READ].into_boxed_slice() }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scratch")
    }
}

/// What a turn has to do with.
pub(super) struct Turn<'a> {
    pub(super) client: &'a mut dyn Leg,
    pub(super) server: Option<&'a mut dyn Leg>,
    pub(super) terms: &'a Terms,
    pub(super) who: Who,
    pub(super) now: Instant,
    /// Plain bytes from the client to the server, and back.
    pub(super) up: usize,
    pub(super) down: usize,
}

impl Turn<'_> {
    /// Whether it is the others' turn.
    pub(super) const fn spent(&self) -> bool {
        self.up + self.down >= FAIR
    }
}

/// Bytes on their way out.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    at: usize,
}

impl Held {
    pub(super) const fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(super) const fn len(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// The first `n` are gone. With the last one goes the memory.
    pub(super) fn advance(&mut self, n: usize) {
        self.at += n;
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

/// The count, or `None` where nothing can be done now. `Ok(0)` is an answer of its own only for reading.
pub(super) fn try_io(mut io: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match io() {
            Ok(n) => return Ok(Some(n)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
