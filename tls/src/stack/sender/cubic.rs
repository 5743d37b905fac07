//! The congestion window: CUBIC (RFC 9438) in bytes, slow start before it (RFC 5681).

use std::time::Duration;

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
}

impl Cubic {
    pub(super) fn new(mss: usize) -> Self {
        let window = (FIRST * mss) as f64;
        Self { window, threshold: f64::MAX, mss: mss as f64, max: 0.0, reno: 0.0, epoch: None }
    }

    /// Bytes that may be on the way.
    pub(super) fn window(&self) -> usize {
        self.window as usize
    }

    /// Bytes were acknowledged while the window was what held more back.
    pub(super) fn on_ack(&mut self, bytes: usize, rtt: Duration, now: Duration) {
        let bytes = bytes as f64;
        if self.window < self.threshold {
            self.window = (self.window + bytes).min(self.threshold);
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

    /// Nothing was heard any more.
    pub(super) fn on_timeout(&mut self) {
        self.on_loss();
        self.window = self.mss;
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
        cubic.on_timeout();
        assert_eq!(cubic.window(), MSS);
        for _ in 0..3 {
            cubic.on_ack(cubic.window(), RTT, Duration::ZERO);
        }
        assert_eq!(cubic.window(), 7 * MSS);
    }

    #[test]
    fn idleness_forgets_a_large_window() {
        let mut cubic = Cubic::new(MSS);
        cubic.on_ack(100 * MSS, RTT, Duration::ZERO);
        cubic.on_idle();
        assert_eq!(cubic.window(), 10 * MSS);
    }
}
