//! The congestion window: CUBIC (RFC 9438) in bytes, slow start before it (RFC 5681). What is acknowledged counts byte
//! by byte, without the limit of RFC 3465: receive offloads merge the acknowledgments of a whole super-packet into one.

use std::time::Duration;

use super::hystart::HyStart;

const BETA: f64 = 0.7;
const C: f64 = 0.4;
/// Segments that may be sent at once at first (RFC 6928).
const FIRST: usize = 10;

#[derive(Clone, Copy, Debug)]
pub(super) struct Cubic {
    window: f64,
    threshold: f64,
    mss: f64,
    /// Window before the last reduction.
    max: f64,
    /// The window that Reno would have.
    reno: f64,
    /// When the present growth began, and when it gets back to `max`.
    epoch: Option<(Duration, f64)>,
    hystart: HyStart,
}

impl Cubic {
    pub(super) fn new(mss: usize) -> Self {
        let window = (FIRST * mss) as f64;
        Self {
            window,
            threshold: f64::MAX,
            mss: mss as f64,
            max: 0.0,
            reno: 0.0,
            epoch: None,
            hystart: HyStart::default(),
        }
    }

    /// Bytes that may be on the way.
    pub(super) fn window(&self) -> usize {
        self.window as usize
    }

    /// All before `una` is acknowledged, all before `next` is sent, and the latest round trip took so long. Ends the
    /// first slow start, the one that does not know where to end (RFC 9406 section 4.3).
    pub(super) fn on_round_trip(&mut self, una: u64, next: u64, rtt: Option<Duration>, now: Duration) {
        if self.threshold == f64::MAX && self.hystart.on_ack(una, next, rtt, now) {
            self.threshold = self.window;
        }
    }

    /// Bytes were acknowledged while the window was what held more back.
    pub(super) fn on_ack(&mut self, bytes: usize, rtt: Duration, now: Duration) {
        let bytes = bytes as f64;
        if self.window < self.threshold {
            let first = self.threshold == f64::MAX;
            let growth = if first { self.hystart.growth(bytes) } else { bytes };
            self.window = (self.window + growth).min(self.threshold);
            return;
        }
        let (window, mss) = (self.window, self.mss);
        let (began, back) = *self.epoch.get_or_insert_with(|| {
            // Section 4.2: from the window of now to that of before the loss.
            self.max = self.max.max(window);
            self.reno = window;
            (now, ((self.max - window) / mss / C).cbrt())
        });
        let at = |t: f64| C * (t - back).powi(3) * mss + self.max;
        let t = now.saturating_sub(began).as_secs_f64();
        // Section 4.3: no slower than Reno.
        let alpha = if self.reno >= self.max { 1.0 } else { 3.0 * (1.0 - BETA) / (1.0 + BETA) };
        self.reno += alpha * mss * bytes / window;
        let target = at(t + rtt.as_secs_f64()).clamp(window, 1.5 * window);
        let grown = window + (target - window) * (bytes / window).min(1.0);
        self.window = grown.max(self.reno);
    }

    /// Something was lost: once in a window.
    pub(super) fn on_loss(&mut self) {
        // Section 4.7: those who lose again before they got back leave room to others.
        let max = if self.window < self.max { self.window * (1.0 + BETA) / 2.0 } else { self.window };
        self.max = max;
        self.threshold = (self.window * BETA).max(2.0 * self.mss);
        self.window = self.threshold;
        self.epoch = None;
    }

    /// Nothing was heard any more: a loss, unless it is known to be one.
    pub(super) fn on_timeout(&mut self, known: bool) {
        if !known {
            self.on_loss();
        }
        (self.window, self.epoch) = (self.mss, None);
    }

    /// Nothing was sent for longer than a timeout: what was known of the way may be wrong (RFC 5681 section 4.1).
    pub(super) fn on_idle(&mut self) {
        self.window = self.window.min(FIRST as f64 * self.mss);
        self.epoch = None;
    }

    pub(super) fn set_mss(&mut self, mss: usize) {
        self.mss = mss as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: usize = 1460;
    const RTT: Duration = Duration::from_millis(10);

    #[test]
    fn the_window_doubles_until_a_loss_and_then_returns_along_the_curve() {
        let mut cubic = Cubic::new(MSS);
        assert_eq!(cubic.window(), 10 * MSS);
        for _ in 0..4 {
            cubic.on_ack(cubic.window(), RTT, Duration::ZERO);
        }
        assert_eq!(cubic.window(), 160 * MSS);
        cubic.on_loss();
        assert_eq!(cubic.window(), 112 * MSS);
        // K = cbrt(48 / 0.4) = 4.9 s, in round trips so long that Reno is slower.
        let mut at = Vec::new();
        for tenths in 0..100 {
            cubic.on_ack(cubic.window(), 10 * RTT, Duration::from_millis(100 * tenths));
            at.push(cubic.window() / MSS);
        }
        assert!(at.is_sorted(), "{at:?}");
        assert!(at[10] < 142 && at[25] > 150 && (157..=162).contains(&at[49]) && at[80] > 168, "{at:?}");
    }

    #[test]
    fn a_timeout_begins_anew_up_to_where_it_was_safe() {
        let mut cubic = Cubic::new(MSS);
        cubic.on_timeout(false);
        assert_eq!(cubic.window(), MSS);
        for _ in 0..3 {
            cubic.on_ack(cubic.window(), RTT, Duration::ZERO);
        }
        assert_eq!(cubic.window(), 7 * MSS);
        cubic.on_timeout(true);
        cubic.on_ack(MSS, RTT, Duration::ZERO);
        assert_eq!(cubic.window(), 2 * MSS, "what is known to be lost costs no more");
        cubic.on_ack(10 * MSS, RTT, Duration::ZERO);
        assert_eq!(cubic.window(), 7 * MSS);
    }

    #[test]
    fn slow_start_ends_where_the_queue_begins_and_counts_every_byte() {
        let mut cubic = Cubic::new(MSS);
        let mut at = 0;
        let mut windows = Vec::new();
        for number in 0..14 {
            // The queue makes all round trips of the fifth round and of those behind it longer.
            let rtt = if number < 5 { RTT } else { 2 * RTT };
            let (window, end) = (cubic.window(), at + cubic.window() as u64);
            for tenth in 0..10 {
                at += window as u64 / 10;
                let now = Duration::from_millis(20 * number + 2 * tenth);
                cubic.on_round_trip(at - 1, end, Some(rtt), now);
                cubic.on_ack(window / 10, rtt, now);
            }
            at = end;
            windows.push(cubic.window() / MSS);
        }
        assert_eq!(
            windows[..5],
            [20, 40, 80, 160, 320],
            "an acknowledgment of 64 KiB opens the window by as much"
        );
        let slow = windows[5..10].windows(2).map(|pair| pair[1] as f64 / pair[0] as f64);
        assert!(slow.clone().all(|factor| factor > 1.1 && factor < 1.3), "{windows:?}");
        assert!(windows[13] - windows[10] < 10, "{windows:?}");
    }

    #[test]
    fn idleness_forgets_a_large_window() {
        let mut cubic = Cubic::new(MSS);
        cubic.on_ack(100 * MSS, RTT, Duration::ZERO);
        cubic.on_idle();
        assert_eq!(cubic.window(), 10 * MSS);
    }
}
