//! The sending half of a connection: holds what was written until it is acknowledged, and recovers what gets lost.
//!
//! smoltcp's own sender does not read selective acknowledgments, repeats one segment per round trip and waits a second
//! or more for a timeout, so that one packet lost in a thousand leaves next to nothing of its speed. This one follows
//! RACK-TLP (RFC 8985): a segment is lost when one sent later has arrived and it has not for a while; a probe asks when
//! the last segments stay unanswered; the timeout (RFC 6298) has a floor of 200 ms. Where the other end does not
//! acknowledge selectively, three duplicates say that one segment is missing (RFC 6582). The window is CUBIC's.
//!
//! Positions are offsets in the stream, from 0 on and without end; sequence numbers exist at the border alone. The end
//! of the stream (FIN) takes one position behind the last byte. In flight are pieces: what was sent at one time, up to
//! a super-packet, and is cut where the other end's answers cut it. They are in order and without gaps from the first
//! byte that is not acknowledged to the last one that was ever sent.

mod cubic;
mod flight;
mod rtt;

use std::collections::VecDeque;
use std::time::Duration;

use self::cubic::Cubic;
use self::flight::Flight;
use self::rtt::Rtt;
use super::segment::{Block, MAX_PAYLOAD};

/// What a ring begins with, and what an empty one keeps.
const SMALL_RING: usize = 4 << 10;
/// What may be written at least before anything is acknowledged.
const LEAST_ROOM: usize = 128 << 10;
/// Timeouts in a row after which the other end is given up: some minutes.
const MOST_TIMEOUTS: u32 = 13;
/// The longest that the other end may delay an acknowledgment (RFC 8985 section 7.2).
const MAX_ACK_DELAY: Duration = Duration::from_millis(200);

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
    recovery: Option<Recovery>,
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

/// Something was lost, and is not all repaired.
#[derive(Clone, Copy, Debug)]
struct Recovery {
    /// What was sent when it was noticed.
    until: u64,
    by_timeout: bool,
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

    /// Takes in what a segment says of this direction. `bare` means that it is nothing else.
    pub(super) fn acknowledge(
        &mut self,
        ack: u32,
        window: usize,
        blocks: &[Block],
        bare: bool,
        now: Duration,
    ) -> Ack {
        let ahead = ack.wrapping_sub(self.seq(self.una)) as i32;
        if ahead < 0 {
            // RFC 5961 section 5: no older than a window.
            let near = ahead.unsigned_abs() as usize <= self.largest;
            return if near { Ack::Old } else { Ack::Impossible };
        }
        let ack = self.una + u64::from(ahead.unsigned_abs());
        if ack > self.next {
            return Ack::Impossible;
        }
        let advanced = ack - self.una;
        let edge = ack + window as u64;
        // The right edge never moves back but with what is acknowledged.
        let opened = edge > self.edge;
        self.edge = if advanced > 0 { edge } else { edge.max(self.edge) };
        self.largest = self.largest.max(window);
        let mut heard = self.flight.acknowledge(ack, self.rtt.least(), now);
        if self.sack {
            for (left, right) in blocks {
                let range = self.position(*left).zip(self.position(*right));
                if let Some((left, right)) = range.filter(|(l, r)| *l >= ack && l < r && *r <= self.next) {
                    heard += self.flight.selected(left, right, self.rtt.least(), now);
                }
            }
        }
        if let Some(rtt) = heard.rtt {
            self.rtt.sample(rtt);
        }
        if advanced > 0 {
            self.advance(ack, now);
        } else if bare && !opened && !self.flight.is_empty() && !self.sack {
            self.duplicates += 1;
        }
        if opened && self.flight.is_empty() {
            self.rtt.progress();
            self.since = now;
        }
        if self.sack {
            self.detect(now);
        } else {
            self.count_duplicates(advanced > 0);
        }
        let growing = self.recovery.is_none_or(|recovery| recovery.by_timeout);
        if heard.bytes > 0 && growing && self.limited {
            let rtt = self.rtt.smoothed().unwrap_or_default();
            self.cubic.on_ack(heard.bytes as usize, rtt, now);
        }
        Ack::Fine
    }

    /// The next part to send; it counts as sent.
    pub(super) fn next(&mut self, now: Duration) -> Option<Outgoing> {
        if self.flight.is_empty() && self.unsent() > 0 && now - self.sent_at > self.rtt.timeout() {
            self.cubic.on_idle();
        }
        self.limited = false;
        let open = self.cubic.window().saturating_sub(self.flight.bytes() as usize);
        // A forced segment is one.
        let open = if self.force { open.max(self.mss) } else { open };
        let outgoing = self.repeat(open, now).or_else(|| self.fresh(open, now))?;
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

    /// When something has to be done though nothing comes.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let timeout = self.since + self.rtt.timeout();
        if self.flight.is_empty() {
            return (self.unsent() > 0).then_some(timeout);
        }
        let probe = self.probe_at().map_or(timeout, |probe| probe.min(timeout));
        Some(self.look_at.map_or(probe, |look| look.min(probe)))
    }

    /// Does what has to be done by now. `false` when the other end is given up.
    pub(super) fn handle_timeout(&mut self, now: Duration) -> bool {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return true;
        }
        if self.look_at.is_some_and(|look| look <= now) {
            self.detect(now);
        } else if self.flight.is_empty() {
            self.ask = true;
            self.rtt.back_off();
            self.since = now;
        } else if self.probe_at().is_some_and(|probe| probe <= now) {
            // Section 7.3: something new, or the last segment again.
            self.probed = Some(self.next);
            self.force = true;
            if self.unsent() == 0 || self.next >= self.edge {
                self.flight.repeat_last(self.mss as u64);
            }
        } else {
            return self.time_out(now);
        }
        true
    }

    /// RFC 6298 section 5.4 and following: all is taken for lost (RFC 8985 section 6.3).
    fn time_out(&mut self, now: Duration) -> bool {
        self.timeouts += 1;
        if self.rtt.backoff() >= MOST_TIMEOUTS {
            return false;
        }
        self.rtt.back_off();
        self.flight.lose_all();
        if !self.recovery.is_some_and(|recovery| recovery.by_timeout) {
            self.cubic.on_timeout();
        }
        self.recovery = Some(Recovery { until: self.next, by_timeout: true });
        (self.since, self.probed, self.look_at, self.duplicates) = (now, None, None, 0);
        self.force = true;
        true
    }

    fn advance(&mut self, ack: u64, now: Duration) {
        let bytes = ack.min(self.end.unwrap_or(u64::MAX)) - self.una.min(self.end.unwrap_or(u64::MAX));
        self.data.drain(..bytes as usize);
        self.una = ack;
        self.duplicates = 0;
        self.rtt.progress();
        self.since = now;
        if self.probed.is_some_and(|probed| ack >= probed) {
            self.probed = None;
        }
        if self.recovery.is_some_and(|recovery| ack >= recovery.until) {
            self.recovery = None;
        }
        if self.data.is_empty() && self.data.capacity() > LEAST_ROOM {
            self.data.shrink_to(SMALL_RING);
        }
    }

    /// RFC 8985 section 6.2.
    fn detect(&mut self, now: Duration) {
        let proven = self.recovery.is_some() || self.flight.selected_segments(self.mss) >= 3;
        let window = if proven && !self.flight.reordered() {
            Duration::ZERO
        } else {
            (self.rtt.least() / 4).min(self.rtt.smoothed().unwrap_or_default())
        };
        let (lost, look_at) = self.flight.detect(window, now);
        self.look_at = look_at;
        if lost {
            self.recover();
        }
    }

    fn recover(&mut self) {
        if self.recovery.is_none() {
            self.cubic.on_loss();
            self.recovery = Some(Recovery { until: self.next, by_timeout: false });
        }
    }

    /// RFC 6582, for those who acknowledge no gaps.
    fn count_duplicates(&mut self, advanced: bool) {
        let partial = advanced && self.recovery.is_some_and(|recovery| !recovery.by_timeout);
        if (self.duplicates == 3 && self.recovery.is_none()) || partial {
            self.flight.lose_first(self.mss as u64);
            self.force = true;
            self.recover();
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

    fn probe_at(&self) -> Option<Duration> {
        let quiet = self.recovery.is_none() && self.probed.is_none() && self.flight.selected_segments(1) == 0;
        let rtt = self.rtt.smoothed().filter(|_| quiet)?;
        let alone = self.flight.bytes() as usize <= self.mss;
        Some(self.sent_at + 2 * rtt + if alone { MAX_ACK_DELAY } else { Duration::from_millis(2) })
    }

    fn seq(&self, at: u64) -> u32 {
        self.base.wrapping_add(at as u32)
    }

    /// The position of a sequence number near the ones in use.
    fn position(&self, seq: u32) -> Option<u64> {
        let ahead = seq.wrapping_sub(self.seq(self.una)) as i32;
        self.una.checked_add_signed(i64::from(ahead))
    }
}

#[cfg(test)]
mod tests;
