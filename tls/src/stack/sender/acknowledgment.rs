//! What an acknowledgment tells the sender: what has arrived, what is lost, and what that means for the window.

use std::time::Duration;

use super::super::segment::Block;
use super::flight::Moment;
use super::recovery::{Doubt, Prr, Recovery, Way};
use super::{Ack, LEAST_ROOM, SMALL_RING, Sender};

impl Sender {
    /// Takes in what a segment says of this direction. `bare` means that it is nothing else; `echoed` is the
    /// millisecond in which what it answers to was sent, if the other end says so.
    pub(in super::super) fn acknowledge(
        &mut self,
        ack: u32,
        window: usize,
        blocks: &[Block],
        bare: bool,
        echoed: Option<Duration>,
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
        let moment = Moment { now, least_rtt: self.rtt.least(), echoed };
        let mut heard = self.flight.acknowledge(ack, moment);
        if self.sack {
            for (left, right) in blocks {
                let range = self.position(*left).zip(self.position(*right));
                if let Some((left, right)) = range.filter(|(l, r)| *l >= ack && l < r && *r <= self.next) {
                    heard += self.flight.selected(left, right, moment);
                }
            }
        }
        if let Some(rtt) = heard.rtt {
            self.rtt.sample(rtt);
        }
        if advanced > 0 {
            if heard.resent {
                self.settle_doubt(echoed);
            }
            self.advance(ack, now);
            self.cubic.on_round_trip(self.una, self.next, heard.latest, now);
        } else if bare && !opened && !self.flight.is_empty() && !self.sack {
            self.duplicates += 1;
        }
        if opened && self.flight.is_empty() {
            self.rtt.progress();
            self.since = now;
        }
        if self.sack {
            let lost = self.detect(heard.bytes, now);
            self.reduce(heard.bytes, advanced > 0 && !lost);
        } else {
            self.count_duplicates(advanced > 0);
        }
        // What comes behind a gap may tell of a loss, unless order means nothing (RFC 5681 section 3.2).
        let in_order = advanced > 0 || self.flight.reordered();
        let repairing = self.recovery.as_ref().is_some_and(|recovery| !matches!(recovery.way, Way::Timeout));
        if heard.bytes > 0 && in_order && !repairing && self.limited {
            let rtt = self.rtt.smoothed().unwrap_or_default();
            self.cubic.on_ack(heard.bytes as usize, rtt, now);
        }
        Ack::Fine
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
        if self.recovery.as_ref().is_some_and(|recovery| ack >= recovery.until) {
            self.recovery = None;
        }
        if self.data.is_empty() && self.data.capacity() > LEAST_ROOM {
            self.data.shrink_to(SMALL_RING);
        }
    }

    /// RFC 8985 section 6.2, when so many bytes have just arrived. Says whether something is newly lost.
    pub(super) fn detect(&mut self, arrived: u64, now: Duration) -> bool {
        let proven = self.recovery.is_some() || self.flight.selected_segments(self.mss) >= 3;
        let window = if proven && !self.flight.reordered() {
            Duration::ZERO
        } else {
            (self.rtt.least() / 4).min(self.rtt.smoothed().unwrap_or_default())
        };
        let (lost, look_at) = self.flight.detect(window, now);
        self.look_at = look_at;
        if lost && self.recovery.is_none() {
            self.recover(|sender| {
                let flight = sender.flight.outstanding() + arrived;
                Way::Selective(Prr::new(sender.cubic.window(), flight, sender.flight.bytes(), sender.mss))
            });
        }
        lost
    }

    /// The window is reduced, and a way of recovery begun.
    fn recover(&mut self, way: impl Fn(&Self) -> Way) {
        let doubt = self.doubt();
        self.cubic.on_loss();
        self.recovery = Some(Box::new(Recovery { until: self.next, way: way(self), doubt }));
    }

    pub(super) fn doubt(&self) -> Option<Doubt> {
        self.flight.oldest().map(|sent| Doubt { cubic: self.cubic, sent, again: None })
    }

    /// What was sent again is acknowledged. If that answers to what was sent first, it had not been lost.
    fn settle_doubt(&mut self, echoed: Option<Duration>) {
        let Some(doubt) = self.recovery.as_mut().and_then(|recovery| recovery.doubt.take()) else { return };
        if doubt.is_justified(echoed) {
            self.cubic = doubt.cubic;
            self.recovery = None;
            self.flight.find_all();
        }
    }

    /// So much has arrived in a recovery: safely, if nothing else seems to be lost.
    fn reduce(&mut self, arrived: u64, safe: bool) {
        if let Some(Recovery { way: Way::Selective(prr), .. }) = self.recovery.as_deref_mut() {
            prr.on_ack(arrived, self.flight.bytes(), safe, self.mss);
        }
    }

    /// RFC 6582, for those who acknowledge no gaps.
    fn count_duplicates(&mut self, advanced: bool) {
        let repairing =
            self.recovery.as_ref().is_some_and(|recovery| matches!(recovery.way, Way::Duplicates));
        let first = self.duplicates == 3 && self.recovery.is_none();
        if first || (advanced && repairing) {
            self.flight.lose_first(self.mss as u64);
            self.force = true;
        }
        if first {
            self.recover(|_| Way::Duplicates);
        }
    }

    /// The position of a sequence number near the ones in use.
    fn position(&self, seq: u32) -> Option<u64> {
        let ahead = seq.wrapping_sub(self.seq(self.una)) as i32;
        self.una.checked_add_signed(i64::from(ahead))
    }
}
