//! Slow start: a server that is new to a running service gets a tenth of its weight first, and the rest in nine more
//! equal steps over its `slow_start` seconds. New is also who is added again, or comes back from weight 0.
//!
//! Schedulers see it in [`Dest::effective`] and need no code of their own.

use std::time::Duration;

use crate::dest::Dest;
use crate::model::{DestSpec, Weight};

/// How far a server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ramp {
    /// When it began, as far as anybody has looked at a clock since.
    since: Option<Duration>,
    /// 1 to 10: its present share of its weight.
    tenths: u8,
}

const ALL: u8 = 10;

impl Ramp {
    /// Has its whole weight.
    pub(crate) const DONE: Self = Self { since: None, tenths: ALL };

    /// A server that joins a running service.
    pub(crate) fn joins(spec: &DestSpec) -> Self {
        if spec.slow_start == 0 { Self::DONE } else { Self { since: None, tenths: 1 } }
    }

    /// A server that has had these settings before.
    pub(crate) fn edited(self, before: &Dest, spec: &DestSpec) -> Self {
        if spec.slow_start == 0 || before.weight.0 == 0 { Self::joins(spec) } else { self }
    }

    /// What has become of it by now.
    pub(crate) fn at(self, now: Duration, slow_start: u32) -> Self {
        if self.is_done() {
            return self;
        }
        let since = self.since.unwrap_or(now);
        let whole = u128::from(slow_start.max(1)) * 1000;
        let steps = now.saturating_sub(since).as_millis() * u128::from(ALL - 1) / whole;
        match u8::try_from(steps) {
            Ok(steps) if steps < ALL - 1 => Self { since: Some(since), tenths: 1 + steps },
            _ => Self::DONE,
        }
    }

    pub(crate) const fn is_done(self) -> bool {
        self.tenths == ALL
    }

    /// The present share in tenths, 1 to 10.
    pub(crate) const fn tenths(self) -> u8 {
        self.tenths
    }
}

/// Gives everybody the weight that schedulers go by. While somebody is on the way all are multiplied by ten, so that a
/// weight of 1 has tenths too; else they are what is configured, and so is every choice.
pub(crate) fn weigh(dests: &mut [Dest]) {
    let scale = if dests.iter().all(|d| d.ramp.is_done()) {
        1
    } else {
        let heaviest = dests.iter().map(|d| d.weight.0).max().unwrap_or(0).max(1);
        (Weight::MAX.0 / heaviest).min(u32::from(ALL))
    };
    for dest in dests {
        let whole = u64::from(dest.weight.0) * u64::from(scale);
        let share = whole * u64::from(dest.ramp.tenths) / u64::from(ALL);
        // Not more than the whole, which is at most Weight::MAX.
        dest.effective = Weight((share as u32).max(dest.weight.0.min(1)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::dest::DestLive;

    fn dest(weight: u32, tenths: u8) -> Dest {
        let spec = DestSpec {
            weight: Weight(weight),
            slow_start: 90,
            ..DestSpec::new("10.0.0.1:80".parse().unwrap())
        };
        Dest::new(&spec, Arc::new(DestLive::new(spec.addr)), Ramp { since: None, tenths })
    }

    fn effective(servers: &[(u32, u8)]) -> Vec<u32> {
        let mut dests: Vec<_> = servers.iter().map(|&(weight, tenths)| dest(weight, tenths)).collect();
        weigh(&mut dests);
        dests.iter().map(|d| d.effective.0).collect()
    }

    #[test]
    fn ten_equal_steps_from_the_first_look_on() {
        let at = |millis: u64| Duration::from_millis(50_000 + millis);
        let ramp = Ramp::joins(&dest(1, 10).spec()).at(at(0), 90);
        let tenths = |millis| ramp.at(at(millis), 90).tenths();
        assert_eq!([0, 9_999, 10_000, 79_999, 80_000, 89_999].map(tenths), [1, 1, 2, 8, 9, 9]);
        assert_eq!(ramp.at(at(90_000), 90), Ramp::DONE);
        assert_eq!(ramp.at(Duration::MAX, 90), Ramp::DONE);
        assert_eq!(ramp.at(at(0), u32::MAX).tenths(), 1);
        assert_eq!(ramp.at(Duration::ZERO, 90).tenths(), 1, "a clock that stands still");
    }

    #[test]
    fn weights_are_as_configured_unless_somebody_is_on_the_way() {
        assert_eq!(effective(&[(3, 10), (0, 10), (Weight::MAX.0, 10)]), [3, 0, Weight::MAX.0]);
        assert_eq!(effective(&[(3, 10), (1, 1), (2, 7), (0, 1)]), [30, 1, 14, 0]);
        assert!(effective(&[]).is_empty());
    }

    #[test]
    fn the_largest_weights_leave_no_room_to_multiply() {
        let max = Weight::MAX.0;
        assert_eq!(effective(&[(max, 10), (max, 1), (1, 1), (0, 1)]), [max, max / 10, 1, 0]);
        assert_eq!(effective(&[(max / 4, 10), (2, 5)]), [max / 4 * 4, 4]);
    }

    #[test]
    fn an_edit_goes_on_where_the_server_was_unless_it_was_drained() {
        let spec = |weight, slow_start| DestSpec { weight: Weight(weight), slow_start, ..dest(1, 1).spec() };
        let ramp = |before: Dest, spec| before.ramp.edited(&before, &spec).tenths();
        assert_eq!(ramp(dest(3, 4), spec(5, 30)), 4);
        assert_eq!(ramp(dest(3, 4), spec(5, 0)), 10, "no slow start any more");
        assert_eq!(ramp(dest(3, 10), spec(5, 30)), 10, "it is there already");
        assert_eq!(ramp(dest(0, 10), spec(5, 30)), 1, "back from weight 0");
        assert_eq!(ramp(dest(0, 10), spec(5, 0)), 10);
    }
}
