//! The sending half of a connection: holds what was written until it is acknowledged, and recovers what gets lost.
//!
//! smoltcp's own sender does not read selective acknowledgments, repeats one segment per round trip and waits a second
//! or more for a timeout, so that one packet lost in a thousand leaves next to nothing of its speed. This one follows
//! RACK-TLP (RFC 8985): a segment is lost when one sent later has arrived and it has not for a while; a probe asks when
//! the last segments stay unanswered; the timeout (RFC 6298) has a floor of 200 ms. Where the other end does not
//! acknowledge selectively, three duplicates say that one segment is missing (RFC 6582). The window is CUBIC's, found by
//! HyStart++, and reduced in proportion to what arrives (see [`hystart`] and [`recovery`]).
//!
//! Positions are offsets in the stream, from 0 on and without end; sequence numbers exist at the border alone. The end
//! of the stream (FIN) takes one position behind the last byte. In flight are pieces: what was sent at one time, up to
//! a super-packet, and is cut where the other end's answers cut it. They are in order and without gaps from the first
//! byte that is not acknowledged to the last one that was ever sent.

mod acknowledgment;
mod cubic;
mod flight;
mod hystart;
mod recovery;
mod rtt;
mod timers;

use std::collections::VecDeque;
use std::time::Duration;

use self::cubic::Cubic;
use self::flight::Flight;
use self::recovery::{Recovery, Way};
use self::rtt::Rtt;
use super::segment::MAX_PAYLOAD;

/// What a ring begins with, and what an empty one keeps.
const SMALL_RING: usize = 4 << 10;
/// What may be written at least before anything is acknowledged.
const LEAST_ROOM: usize = 128 << 10;

#[derive(Debug)]
pub(super) struct Sender {
    /// Sequence number of position 0.
    base: u32,
    /// What was written and not acknowledged.
    data: VecDeque<u8>,
    /// First position that is not acknowledged, and first that was never sent.
    una: u64,
    next: u64,
    /// Where the stream ends, once that is said.
    end: Option<u64>,
    /// Up to where the other end takes data, and the largest window that it ever showed.
    edge: u64,
    largest: usize,
    mss: usize,
    sack: bool,
    max_ring: usize,
    flight: Flight,
    rtt: Rtt,
    cubic: Cubic,
    recovery: Option<Box<Recovery>>,
    /// The congestion window is what holds more back.
    limited: bool,
    duplicates: u32,
    /// A probe was sent, up to which position.
    probed: Option<u64>,
    /// Send one segment whatever the congestion window.
    force: bool,
    /// Ask whether the window is still closed.
    ask: bool,
    /// When the timeout began to run, and when something was last sent.
    since: Duration,
    sent_at: Duration,
    /// When RACK looks again.
    look_at: Option<Duration>,
    timeouts: u64,
}

/// What an acknowledgment was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ack {
    /// Of what was never sent, or too long ago.
    Impossible,
    /// Older than one before.
    Old,
    /// Valid.
    Fine,
}

/// What is to be sent: a part of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) seq: u32,
    at: u64,
    len: usize,
    /// The end of the stream comes behind it.
    pub(super) fin: bool,
    /// Nothing follows for now.
    pub(super) push: bool,
    pub(super) resent: bool,
}

impl Sender {
    /// For the other end that has acknowledged `seq` and no more, and has so large a window.
    pub(super) fn new(
        seq: u32,
        window: usize,
        mss: usize,
        sack: bool,
        max_ring: usize,
        now: Duration,
    ) -> Self {
        Self {
            base: seq,
            data: VecDeque::new(),
            una: 0,
            next: 0,
            end: None,
            edge: window as u64,
            largest: window,
            mss,
            sack,
            max_ring,
            flight: Flight::default(),
            rtt: Rtt::default(),
            cubic: Cubic::new(mss),
            recovery: None,
            limited: false,
            duplicates: 0,
            probed: None,
            force: false,
            ask: false,
            since: now,
            sent_at: now,
            look_at: None,
            timeouts: 0,
        }
    }

    /// A round trip was measured otherwise: by the handshake.
    pub(super) fn measured(&mut self, rtt: Duration) {
        self.rtt.sample(rtt);
    }

    /// Bytes that may be written.
    pub(super) fn room(&self) -> usize {
        if self.end.is_some() {
            return 0;
        }
        let ring = (2 * self.cubic.window()).clamp(LEAST_ROOM, self.max_ring.max(SMALL_RING));
        ring.saturating_sub(self.data.len())
    }

    /// Takes as much as there is room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        self.data.extend(&bytes[..taken]);
        taken
    }

    /// Nothing will be written any more.
    pub(super) fn finish(&mut self) {
        let end = self.una + self.data.len() as u64;
        self.end.get_or_insert(end);
    }

    /// The end was said.
    pub(super) fn is_finished(&self) -> bool {
        self.end.is_some()
    }

    /// All that was written is acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The end was said, and all is acknowledged.
    pub(super) fn is_done(&self) -> bool {
        self.end.is_some_and(|end| self.una > end)
    }

    /// Sequence number behind all that was sent.
    pub(super) fn next_seq(&self) -> u32 {
        self.seq(self.next)
    }

    pub(super) fn ring_bytes(&self) -> usize {
        self.data.capacity()
    }

    /// Timeouts until now.
    pub(super) fn timeouts(&self) -> u64 {
        self.timeouts
    }

    /// Gives the ring back if nothing is in it.
    pub(super) fn sleep(&mut self) {
        if self.data.is_empty() {
            self.data = VecDeque::new();
            self.flight.sleep();
        }
    }

    /// No packet on the way takes more than this any more. What is larger is sent again.
    pub(super) fn shrink(&mut self, mss: usize) {
        if mss < self.mss {
            self.mss = mss;
            self.cubic.set_mss(mss);
            self.flight.lose_all();
        }
    }

    /// The next part to send; it counts as sent.
    pub(super) fn next(&mut self, now: Duration) -> Option<Outgoing> {
        if self.flight.is_empty() && self.unsent() > 0 && now - self.sent_at > self.rtt.timeout() {
            self.cubic.on_idle();
        }
        self.limited = false;
        let open = self.window().saturating_sub(self.flight.bytes() as usize);
        // A forced segment is one.
        let open = if self.force { open.max(self.mss) } else { open };
        let outgoing = self.repeat(open, now).or_else(|| self.fresh(open, now))?;
        if let Some(recovery) = &mut self.recovery {
            recovery.on_sent(outgoing.len, outgoing.resent, now);
        }
        self.force = false;
        self.sent_at = now;
        Some(outgoing)
    }

    /// Whether the other end is to be asked for its window: a segment before the first one not acknowledged.
    pub(super) fn take_question(&mut self) -> Option<u32> {
        std::mem::take(&mut self.ask).then(|| self.seq(self.una).wrapping_sub(1))
    }

    /// The bytes of what is to be sent.
    pub(super) fn payload(&self, outgoing: &Outgoing) -> [&[u8]; 2] {
        let from = (outgoing.at - self.una) as usize;
        let to = from + outgoing.len;
        let (a, b) = self.data.as_slices();
        let cut = |slice: &'_ [u8], from: usize, to: usize| from.min(slice.len())..to.min(slice.len());
        [&a[cut(a, from, to)], &b[cut(b, from.saturating_sub(a.len()), to.saturating_sub(a.len()))]]
    }

    /// Largest payload of one segment.
    pub(super) fn mss(&self) -> usize {
        self.mss
    }

    /// Bytes that may be on the way.
    fn window(&self) -> usize {
        match self.recovery.as_deref() {
            Some(Recovery { way: Way::Selective(prr), .. }) => prr.window(),
            _ => self.cubic.window(),
        }
    }

    /// What is lost, again.
    fn repeat(&mut self, open: usize, now: Duration) -> Option<Outgoing> {
        let (from, to) = self.flight.lost()?;
        let len = (self.data_end(to) - self.data_end(from)) as usize;
        let take = self.portion(len, open)?;
        let fin = take == len && self.end.is_some_and(|end| to > end);
        let to = from + take as u64 + u64::from(fin);
        self.flight.sent_again(from, to, now);
        Some(self.outgoing(from, take, fin, true))
    }

    /// What was never sent.
    fn fresh(&mut self, open: usize, now: Duration) -> Option<Outgoing> {
        let len = self.written().saturating_sub(self.next) as usize;
        if len == 0 && self.end.is_none_or(|end| self.next > end) {
            return None;
        }
        let window = self.edge.saturating_sub(self.next) as usize;
        let allowed = len.min(window);
        // No silly windows (RFC 9293 section 3.8.6.2.1).
        if allowed < len && allowed < self.mss.min(self.largest / 2).max(1) && !self.flight.is_empty() {
            return None;
        }
        if allowed == 0 && len > 0 {
            return None;
        }
        let whole = if allowed < len && allowed > self.mss { allowed / self.mss * self.mss } else { allowed };
        let take = self.portion(whole, open)?;
        let fin = take == len && self.end.is_some();
        if self.flight.is_empty() {
            self.since = now;
        }
        let from = self.next;
        self.next = from + take as u64 + u64::from(fin);
        self.flight.sent(from, self.next, now);
        Some(self.outgoing(from, take, fin, false))
    }

    /// How much of `len` bytes goes: all, or whole segments.
    fn portion(&mut self, len: usize, open: usize) -> Option<usize> {
        let most = len.min(MAX_PAYLOAD);
        let take = if len <= open.min(MAX_PAYLOAD) { len } else { most.min(open) / self.mss * self.mss };
        self.limited |= take < most;
        (take > 0 || len == 0).then_some(take)
    }

    fn outgoing(&self, at: u64, len: usize, fin: bool, resent: bool) -> Outgoing {
        let push = at + len as u64 == self.written();
        Outgoing { seq: self.seq(at), at, len, fin, push, resent }
    }

    fn unsent(&self) -> u64 {
        self.written().saturating_sub(self.next) + u64::from(self.end.is_some_and(|end| self.next <= end))
    }

    /// The position behind the last byte that was written.
    fn written(&self) -> u64 {
        self.data_end(self.una) + self.data.len() as u64
    }

    /// The position without the end of the stream.
    fn data_end(&self, at: u64) -> u64 {
        self.end.map_or(at, |end| at.min(end))
    }

    fn seq(&self, at: u64) -> u32 {
        self.base.wrapping_add(at as u32)
    }
}

#[cfg(test)]
mod tests;
