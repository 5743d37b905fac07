//! The last packet that was dropped, for each reason: one in a while, so that a flood costs nothing.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::DropReason;
use wire::frame::Frame;
use wire::packet::Packet;

/// Between two examples of one reason.
const EACH: Duration = Duration::from_millis(100);
/// Bytes of a packet that are kept: all headers that are looked at.
const KEPT: usize = 128;

const REASONS: usize = DropReason::ALL.len();

/// The examples of one worker, for whoever asks.
#[derive(Debug)]
pub(in crate::daemon) struct Examples([Mutex<Option<Example>>; REASONS]);

/// A packet that was dropped.
#[derive(Clone, Copy, Debug)]
pub(in crate::daemon) struct Example {
    pub(in crate::daemon) at: Instant,
    bytes: [u8; KEPT],
    len: usize,
}

/// The worker's side.
#[derive(Debug)]
pub(super) struct Keeper {
    next: [Option<Instant>; REASONS],
}

impl Default for Examples {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Examples {
    pub(in crate::daemon) fn of(&self, reason: DropReason) -> Option<Example> {
        *self.0[reason as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Keeper {
    fn default() -> Self {
        Self { next: [None; REASONS] }
    }
}

impl Keeper {
    /// Keeps the beginning of a packet, if the last example is no longer fresh.
    #[inline]
    pub(super) fn keep(&mut self, examples: &Examples, reason: DropReason, frame: &Frame, now: Instant) {
        let next = &mut self.next[reason as usize];
        if next.is_some_and(|next| now < next) {
            return;
        }
        *next = Some(now + EACH);
        let packet = frame.packet();
        let kept = packet.len().min(KEPT);
        let mut bytes = [0; KEPT];
        bytes[..kept].copy_from_slice(&packet[..kept]);
        let example = Example { at: now, bytes, len: packet.len() };
        *examples.0[reason as usize].lock().unwrap_or_else(PoisonError::into_inner) = Some(example);
    }
}

impl Example {
    /// The packet in a line.
    pub(in crate::daemon) fn summary(&self) -> String {
        // As long as it was: what is behind its headers is not looked at.
        let mut bytes = vec![0; self.len];
        let kept = self.len.min(KEPT);
        bytes[..kept].copy_from_slice(&self.bytes[..kept]);
        match Packet::parse(&bytes) {
            Ok(packet) => packet.to_string(),
            Err(error) => format!("{} bytes: {error}", self.len),
        }
    }
}
