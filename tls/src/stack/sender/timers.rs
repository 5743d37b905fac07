//! What the sender does when nothing comes: it looks again, probes, asks, and at last takes everything for lost.

use std::time::Duration;

use super::Sender;
use super::recovery::{Recovery, Way};

/// Timeouts in a row after which the other end is given up: some minutes.
const MOST_TIMEOUTS: u32 = 13;
/// The longest that the other end may delay an acknowledgment (RFC 8985 section 7.2).
const MAX_ACK_DELAY: Duration = Duration::from_millis(200);

impl Sender {
    /// When something has to be done though nothing comes.
    pub(in super::super) fn deadline(&self) -> Option<Duration> {
        let timeout = self.since + self.rtt.timeout();
        if self.flight.is_empty() {
            return (self.unsent() > 0).then_some(timeout);
        }
        let probe = self.probe_at().map_or(timeout, |probe| probe.min(timeout));
        Some(self.look_at.map_or(probe, |look| look.min(probe)))
    }

    /// Does what has to be done by now. `false` when the other end is given up.
    pub(in super::super) fn handle_timeout(&mut self, now: Duration) -> bool {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return true;
        }
        if self.look_at.is_some_and(|look| look <= now) {
            self.detect(0, now);
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
        let recovery = self.recovery.take();
        // What was lost before is lost without doubt, and costs the window once.
        let doubt = recovery.as_ref().map_or_else(|| self.doubt(), |_| None);
        self.flight.lose_all();
        match recovery {
            Some(timeout) if matches!(timeout.way, Way::Timeout) => {
                self.recovery = Some(Box::new(Recovery { until: self.next, ..*timeout }));
            }
            other => {
                self.cubic.on_timeout(other.is_some());
                self.recovery = Some(Box::new(Recovery { until: self.next, way: Way::Timeout, doubt }));
            }
        }
        (self.since, self.probed, self.look_at, self.duplicates) = (now, None, None, 0);
        self.force = true;
        true
    }

    fn probe_at(&self) -> Option<Duration> {
        let quiet = self.recovery.is_none() && self.probed.is_none() && self.flight.selected_segments(1) == 0;
        let rtt = self.rtt.smoothed().filter(|_| quiet)?;
        let alone = self.flight.bytes() as usize <= self.mss;
        Some(self.sent_at + 2 * rtt + if alone { MAX_ACK_DELAY } else { Duration::from_millis(2) })
    }
}
