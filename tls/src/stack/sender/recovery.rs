//! What is done about a loss: how much may be sent until it is repaired, and how it turns out that there was none.
//!
//! Proportional rate reduction (RFC 9937) sends a share of what arrives, so that what is on the way shrinks to the new
//! window within a round trip, without a silence and without a burst. Eifel (RFC 3522) tells by timestamps that a segment
//! had come before it was sent again: then the window becomes what it was (RFC 9438 section 4.9).

use std::time::Duration;

use super::cubic::Cubic;

/// Something was lost, and is not all repaired.
#[derive(Debug)]
pub(super) struct Recovery {
    /// What was sent when it was noticed.
    pub(super) until: u64,
    pub(super) way: Way,
    /// As long as the loss may have been none.
    pub(super) doubt: Option<Doubt>,
}

impl Recovery {
    pub(super) fn on_sent(&mut self, bytes: usize, again: bool, now: Duration) {
        if let Way::Selective(prr) = &mut self.way {
            prr.on_sent(bytes);
        }
        if let Some(doubt) = self.doubt.as_mut().filter(|_| again) {
            doubt.again.get_or_insert(now);
        }
    }
}

/// How it was noticed, and therefore is repaired.
#[derive(Debug)]
pub(super) enum Way {
    Timeout,
    /// The other end does not say what is missing.
    Duplicates,
    Selective(Prr),
}

/// What tells that nothing was lost, and what was before.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) cubic: Cubic,
    /// When the first segment in flight was sent, and when the first was sent again.
    pub(super) sent: Duration,
    pub(super) again: Option<Duration>,
}

impl Doubt {
    /// What was sent again has arrived. The other end has answered to a segment that was sent in this millisecond:
    /// whether that was the one sent first.
    pub(super) fn is_justified(&self, echoed: Option<Duration>) -> bool {
        let millis = |at: Duration| at.as_millis();
        echoed
            .zip(self.again)
            .is_some_and(|(echoed, again)| (millis(self.sent)..millis(again)).contains(&millis(echoed)))
    }
}

/// RFC 9937 section 6. Everything is in bytes.
#[derive(Debug)]
pub(super) struct Prr {
    /// The window after the recovery, and what was in flight before it.
    target: u64,
    flight: u64,
    delivered: u64,
    out: u64,
    window: u64,
}

impl Prr {
    /// For a window of `target` from now on. `flight` was outstanding, `on_the_way` still is.
    pub(super) fn new(target: usize, flight: u64, on_the_way: u64, mss: usize) -> Self {
        // At least the first segment is sent again.
        let window = on_the_way + mss as u64;
        Self { target: target as u64, flight: flight.max(1), delivered: 0, out: 0, window }
    }

    /// So much has arrived; `safe` if that included the first byte outstanding, and no other loss was noticed.
    pub(super) fn on_ack(&mut self, arrived: u64, on_the_way: u64, safe: bool, mss: usize) {
        if arrived == 0 {
            return;
        }
        self.delivered += arrived;
        let may = if on_the_way > self.target {
            let share = u128::from(self.delivered) * u128::from(self.target);
            (share.div_ceil(u128::from(self.flight)) as u64).saturating_sub(self.out)
        } else {
            let more = self.delivered.saturating_sub(self.out).max(arrived);
            let more = more + if safe { mss as u64 } else { 0 };
            more.min(self.target - on_the_way)
        };
        let may = if self.out == 0 { may.max(mss as u64) } else { may };
        self.window = on_the_way + may;
    }

    pub(super) fn on_sent(&mut self, bytes: usize) {
        self.out += bytes as u64;
    }

    /// Bytes that may be on the way.
    pub(super) fn window(&self) -> usize {
        self.window as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: usize = 1000;

    #[test]
    fn one_loss_is_followed_by_seven_segments_for_ten_that_arrive() {
        // A hundred in flight, the first is lost, the second has arrived.
        let mut prr = Prr::new(70_000, 100_000, 98_000, MSS);
        let (mut on_the_way, mut sent) = (98_000, 0);
        for _ in 0..99 {
            prr.on_ack(1000, on_the_way, false, MSS);
            while on_the_way + 1000 <= prr.window() as u64 {
                (on_the_way, sent) = (on_the_way + 1000, sent + 1);
                prr.on_sent(MSS);
            }
            on_the_way -= 1000;
        }
        assert!((69..=70).contains(&sent), "{sent}");
        assert!((68_000..=70_000).contains(&on_the_way), "{on_the_way}");
    }

    #[test]
    fn after_many_losses_no_more_is_sent_than_arrives_until_it_is_safe() {
        // Of a hundred sixty are lost: what is on the way is below the window already.
        let mut prr = Prr::new(70_000, 100_000, 39_000, MSS);
        assert_eq!(prr.window(), 40_000);
        prr.on_ack(1000, 39_000, false, MSS);
        assert_eq!(prr.window(), 40_000);
        prr.on_sent(1000);
        prr.on_ack(1000, 39_000, true, MSS);
        assert_eq!(prr.window(), 41_000, "one more than has arrived");
        prr.on_sent(2000);
        prr.on_ack(30_000, 60_000, true, MSS);
        assert_eq!(prr.window(), 70_000, "and never more than the window");
        prr.on_ack(0, 10_000, true, MSS);
        assert_eq!(prr.window(), 70_000);
    }

    #[test]
    fn an_answer_to_what_was_sent_first_proves_that_it_was_not_lost() {
        let ms = Duration::from_millis;
        let doubt = Doubt { cubic: Cubic::new(MSS), sent: ms(20), again: Some(ms(50)) };
        assert!(doubt.is_justified(Some(ms(20))) && doubt.is_justified(Some(ms(49))));
        assert!(
            !doubt.is_justified(Some(ms(50))),
            "the millisecond in which it was sent again proves nothing"
        );
        assert!(!doubt.is_justified(Some(ms(19))), "nothing in flight was sent then");
        assert!(!doubt.is_justified(None));
        assert!(!Doubt { again: None, ..doubt }.is_justified(Some(ms(20))));
    }
}
