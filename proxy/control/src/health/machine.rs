//! What one check says about one server: *soft* states while the answers contradict what it is taken for, *hard* ones when
//! enough of them do. Pure: it knows answers only, neither clocks nor intervals.
//!
//! | state | success | failure |
//! |---|---|---|
//! | up | up | soft-down 1/`fall`; down, if that is all it takes |
//! | soft-down k/`fall` | up | soft-down k+1; down with the `fall`th |
//! | down | soft-up 1/`rise`; up, if that is all it takes | down |
//! | soft-up k/`rise` | soft-up k+1; up with the `rise`th | down |
//!
//! With a `window` of N/M, N failures among the last M answers since it came up make it down as well. One that has been
//! down from the beginning and has not said anything yet is up with its first success.

use sched::{Check, Window};

/// How many answers it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Failures in a row that make it down.
    pub fall: u32,
    /// Successes in a row that make it up.
    pub rise: u32,
    /// Failures among the last answers that make it down.
    pub window: Option<Window>,
}

impl From<&Check> for Rules {
    fn from(check: &Check) -> Self {
        Self { fall: check.fall.max(1), rise: check.rise.max(1), window: check.window }
    }
}

/// What a server is taken for, and what speaks against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Alive.
    Up,
    /// Alive, and so many failures in a row say otherwise.
    SoftDown(u32),
    /// Dead.
    Down,
    /// Dead, and so many successes in a row say otherwise.
    SoftUp(u32),
}

impl State {
    /// Whether it is taken for alive.
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Up | Self::SoftDown(_))
    }

    /// Whether the answers contradict what it is taken for.
    pub const fn is_soft(self) -> bool {
        matches!(self, Self::SoftDown(_) | Self::SoftUp(_))
    }

    /// `up`, `soft-down 1/3`, `down`, `soft-up 1/2`.
    pub fn words(self, rules: Rules) -> String {
        match self {
            Self::Up => "up".to_owned(),
            Self::SoftDown(k) => format!("soft-down {k}/{}", rules.fall),
            Self::Down => "down".to_owned(),
            Self::SoftUp(k) => format!("soft-up {k}/{}", rules.rise),
        }
    }
}

/// The state of one check of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    state: State,
    /// It was taken for dead before anybody asked: the first answer counts.
    untried: bool,
    /// The last answers since it came up, the latest in the lowest bit: 1 is a failure.
    failures: u64,
}

impl Machine {
    /// Nothing has been asked yet.
    pub const fn new(up: bool) -> Self {
        Self { state: if up { State::Up } else { State::Down }, untried: !up, failures: 0 }
    }

    /// What it is taken for.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Failures among the last answers that a window remembers.
    pub const fn failures(&self) -> u32 {
        self.failures.count_ones()
    }

    /// Takes an answer.
    pub fn heed(&mut self, rules: Rules, success: bool) {
        if self.state.is_up() {
            self.remember(rules.window, success);
        }
        self.state = match (self.state, success) {
            (State::Up | State::SoftDown(_), true) => State::Up,
            (State::Up, false) => self.failed(rules, 1),
            (State::SoftDown(k), false) => self.failed(rules, k.saturating_add(1)),
            (State::Down, true) if self.untried => State::Up,
            (State::Down, true) => Self::succeeded(rules, 1),
            (State::SoftUp(k), true) => Self::succeeded(rules, k.saturating_add(1)),
            (State::Down | State::SoftUp(_), false) => State::Down,
        };
        self.untried = false;
        if !self.state.is_up() {
            self.failures = 0;
        }
    }

    const fn failed(&self, rules: Rules, k: u32) -> State {
        if k >= rules.fall || self.failed_often(rules.window) { State::Down } else { State::SoftDown(k) }
    }

    const fn succeeded(rules: Rules, k: u32) -> State {
        if k >= rules.rise { State::Up } else { State::SoftUp(k) }
    }

    fn remember(&mut self, window: Option<Window>, success: bool) {
        let Some(Window { of, .. }) = window else { return };
        let kept = u64::MAX >> (64 - u32::from(of.clamp(1, 64)));
        self.failures = (self.failures << 1 | u64::from(!success)) & kept;
    }

    const fn failed_often(&self, window: Option<Window>) -> bool {
        match window {
            Some(Window { failures, .. }) => self.failures() >= failures as u32 && failures > 0,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Rules = Rules { fall: 3, rise: 2, window: None };

    fn at(state: State) -> Machine {
        Machine { state, ..Machine::new(true) }
    }

    #[test]
    fn every_state_takes_every_answer() {
        use State::{Down, SoftDown, SoftUp, Up};
        for (state, after_success, after_failure) in [
            (Up, Up, SoftDown(1)),
            (SoftDown(1), Up, SoftDown(2)),
            (SoftDown(2), Up, Down),
            (Down, SoftUp(1), Down),
            (SoftUp(1), Up, Down),
        ] {
            for (success, expected) in [(true, after_success), (false, after_failure)] {
                let mut machine = at(state);
                machine.heed(RULES, success);
                assert_eq!(machine.state(), expected, "{state:?} after success: {success}");
            }
        }
    }

    #[test]
    fn where_one_answer_is_all_it_takes_there_are_no_soft_states() {
        let rules = Rules { fall: 1, rise: 1, window: None };
        let mut machine = at(State::Up);
        for (success, expected) in [(false, State::Down), (true, State::Up), (true, State::Up)] {
            machine.heed(rules, success);
            assert_eq!(machine.state(), expected);
        }
    }

    #[test]
    fn who_has_not_been_tried_is_up_with_the_first_success_and_only_that() {
        let mut machine = Machine::new(false);
        machine.heed(RULES, true);
        assert_eq!(machine.state(), State::Up);
        let mut machine = Machine::new(false);
        machine.heed(RULES, false);
        machine.heed(RULES, true);
        assert_eq!(machine.state(), State::SoftUp(1));
    }

    #[test]
    fn failures_of_the_window_need_not_be_in_a_row_and_are_forgotten_with_the_fall() {
        let rules = Rules { fall: 3, rise: 1, window: Some(Window { failures: 3, of: 5 }) };
        let mut machine = at(State::Up);
        for success in [false, true, false, true] {
            machine.heed(rules, success);
            assert!(machine.state().is_up());
        }
        machine.heed(rules, false);
        assert_eq!(machine.state(), State::Down, "3 of the last 5");
        machine.heed(rules, true);
        machine.heed(rules, false);
        assert_eq!(machine.state(), State::SoftDown(1), "what was before the fall is forgotten");
    }

    #[test]
    fn states_read_as_the_lesson_tells_them() {
        let words = [State::Up, State::SoftDown(1), State::Down, State::SoftUp(1)].map(|s| s.words(RULES));
        assert_eq!(words, ["up", "soft-down 1/3", "down", "soft-up 1/2"]);
    }

    proptest! {
        /// Told anew from the list of answers at each step, with nothing remembered.
        #[test]
        fn it_turns_by_fall_rise_and_window_alone(
            fall in 1_u32..6,
            rise in 1_u32..6,
            window in proptest::option::of((1_u8..=64).prop_flat_map(|of| (1..=of, Just(of)))),
            answers in proptest::collection::vec(any::<bool>(), 0..300),
        ) {
            let window = window.map(|(failures, of)| Window { failures, of });
            let rules = Rules { fall, rise, window };
            let mut machine = Machine::new(true);
            // Since the last turn.
            let mut since: Vec<bool> = Vec::new();
            let mut up = true;
            for answer in answers {
                machine.heed(rules, answer);
                since.push(answer);
                let run = since.iter().rev().take_while(|a| **a != up).count() as u32;
                let often = window.is_some_and(|window| {
                    let last = since.iter().rev().take(usize::from(window.of));
                    last.filter(|a| !**a).count() >= usize::from(window.failures)
                });
                let turns = run >= if up { fall } else { rise } || up && often;
                if turns {
                    up = !up;
                    since.clear();
                }
                let expected = match (up, if turns { 0 } else { run }) {
                    (true, 0) => State::Up,
                    (true, k) => State::SoftDown(k),
                    (false, 0) => State::Down,
                    (false, k) => State::SoftUp(k),
                };
                prop_assert_eq!(machine.state(), expected);
            }
        }
    }
}
