//! One server: what its checks, its clients' connections and people by hand make of it. Pure.
//!
//! Who speaks louder, from the top: somebody by hand; damping, which keeps a server out that went up and down too often;
//! what clients' connections have met (passive); the checks, all or any of which have to succeed.

mod passive;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sched::{Check, Damping, Fitness, Health, Initially, Met, Need, Share, Weight, Window, counted};
use serde::{Deserialize, Serialize};

use self::passive::Hold;
use super::event::EventKind;
use super::machine::{Machine, Rules, State};
use super::probe::{Outcome, Weighting};
use super::roster::CheckId;

/// What somebody has said that a server is to be taken for, whatever its checks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hand {
    /// Dead.
    Down,
    /// Alive.
    Up,
}

/// Why a server is what it is that no check has said anything about.
const NOT_ASKED: &str = "not asked yet";

/// A server.
#[derive(Clone, Debug)]
pub struct Server {
    pub(super) asked: Vec<Asked>,
    hand: Option<Hand>,
    hold: Hold,
    /// When it fell lately.
    fell: VecDeque<Instant>,
    damped: Option<Instant>,
    /// What it would be taken for if nobody had said otherwise.
    up: bool,
    pub(super) since: Instant,
    reason: String,
    /// How often it died, and came back.
    pub(super) falls: u64,
    pub(super) rises: u64,
}

/// A check, and what it has said.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Given by the roster.
    pub(super) id: Option<CheckId>,
    pub(super) check: Arc<Check>,
    pub(super) machine: Machine,
    pub(super) last: Option<Last>,
    pub(super) asked: u64,
    pub(super) failed: u64,
    /// Its verdict is an answer's, perhaps one to the check that was asked before in its place.
    spoken: bool,
    weighting: Option<Weighting>,
}

/// The latest answer.
#[derive(Clone, Debug)]
pub struct Last {
    pub(super) at: Instant,
    pub(super) took: Duration,
    /// Why it was a failure.
    pub(super) error: Option<String>,
}

/// A change of a server, and why.
pub type Turn = (EventKind, String);

impl Server {
    /// One that is new.
    pub fn new(checks: &[Arc<Check>], initially: Initially, now: Instant) -> Self {
        let up = checks.is_empty() || initially == Initially::Up;
        Self {
            asked: checks.iter().map(|check| Asked::new(Arc::clone(check), up)).collect(),
            hand: None,
            hold: Hold::default(),
            fell: VecDeque::new(),
            damped: None,
            up,
            since: now,
            reason: NOT_ASKED.to_owned(),
            falls: 0,
            rises: 0,
        }
    }

    /// Has other checks from now on. Those that are the same keep their state; the others begin anew, with the verdict of
    /// the one before them until they have spoken.
    pub fn refit(&mut self, checks: &[Arc<Check>], health: &Health, now: Instant) -> Vec<Turn> {
        let spoken = self.has_spoken();
        self.turn(health, now, |server| {
            let mut before: Vec<_> = std::mem::take(&mut server.asked).into_iter().map(Some).collect();
            let verdicts: Vec<_> =
                before.iter().flatten().map(|asked| asked.machine.state().is_up()).collect();
            for (i, check) in checks.iter().enumerate() {
                let same = before.iter_mut().find(|b| b.as_ref().is_some_and(|b| *b.check == **check));
                let up = verdicts.get(i).copied().unwrap_or(server.up);
                let fresh = || Asked { spoken, ..Asked::new(Arc::clone(check), up) };
                server.asked.push(same.and_then(Option::take).unwrap_or_else(fresh));
            }
            "its checks have changed".to_owned()
        })
    }

    /// Takes what a check has said.
    pub fn heed(&mut self, i: usize, outcome: Outcome, health: &Health, now: Instant) -> Vec<Turn> {
        let several = self.asked.len() > 1;
        let Some(asked) = self.asked.get_mut(i) else { return Vec::new() };
        let before = asked.machine.state();
        let reason = asked.heed(outcome, before, several, now);
        self.turn_from(before.is_soft(), i, health, now, reason)
    }

    /// Takes what clients' connections have met.
    pub fn meet(&mut self, met: Met, health: &Health, now: Instant) -> Vec<Turn> {
        let Some(rules) = &health.passive else { return Vec::new() };
        self.turn(health, now, |server| server.hold.meet(met, rules, now).unwrap_or_default())
    }

    /// Whether it is left alone because of what clients' connections met.
    pub fn is_held(&self, now: Instant) -> bool {
        self.hold.is_held(now)
    }

    /// Time has passed: what was held may be over.
    pub fn tick(&mut self, health: &Health, now: Instant) -> Vec<Turn> {
        self.turn(health, now, |_| "it was left alone for long enough".to_owned())
    }

    /// Somebody says what it is to be taken for, or leaves that to its checks again.
    pub fn order(&mut self, hand: Option<Hand>, health: &Health, now: Instant) -> Vec<Turn> {
        if self.hand == hand {
            return Vec::new();
        }
        let said = if hand.is_some() { "somebody said so" } else { "it was given back to its checks" };
        let mut turns = self.turn(health, now, |server| {
            server.hand = hand;
            said.to_owned()
        });
        if turns.is_empty() {
            // It is what it was, and yet something was said.
            said.clone_into(&mut self.reason);
            turns.push((EventKind::ByHand, said.to_owned()));
        }
        turns
    }

    /// What somebody has said.
    pub const fn hand(&self) -> Option<Hand> {
        self.hand
    }

    /// Whether it is taken for alive.
    pub const fn is_alive(&self) -> bool {
        match self.hand {
            Some(Hand::Up) => true,
            Some(Hand::Down) => false,
            None => self.up,
        }
    }

    /// Whether it is its checks, or what clients met, that make it dead; not so while it is only taken for dead because
    /// nobody has asked it yet.
    pub fn is_dead_by_checks(&self) -> bool {
        self.hand.is_none() && !self.up && (self.has_spoken() || self.hold.until().is_some())
    }

    /// Each of its checks has.
    fn has_spoken(&self) -> bool {
        self.asked.iter().all(|asked| asked.spoken)
    }

    /// When [`Self::tick`] may change something.
    pub fn next_tick(&self, now: Instant) -> Option<Instant> {
        [self.hold.until(), self.damped].into_iter().flatten().filter(|until| *until > now).min()
    }

    /// What is made of it. `panic`: no check is believed. While it is being drained, no check says what its weight is; it
    /// may die as any other.
    pub fn fitness(&self, health: &Health, panic: bool, draining: bool, configured: Weight) -> Fitness {
        let takes_part = match self.hand {
            Some(hand) => hand == Hand::Up,
            None => self.up || panic,
        };
        let share = match (takes_part, health.inhibit) {
            (true, _) => Share::In,
            (false, true) => Share::Inhibited,
            (false, false) => Share::Out,
        };
        let weight = if share == Share::In && !draining { self.weight(configured) } else { None };
        Fitness { share, weight }
    }

    /// The state in words: `up`, `soft-down 1/3`, `down`, `soft-up 1/2`, `held`, `damped`, `down by hand`, `up by hand`.
    pub fn words(&self, now: Instant) -> String {
        match self.hand {
            Some(Hand::Down) => return "down by hand".to_owned(),
            Some(Hand::Up) => return "up by hand".to_owned(),
            None => {}
        }
        if !self.up && self.hold.is_held(now) {
            return "held".to_owned();
        }
        if !self.up && self.is_damped(now) {
            return "damped".to_owned();
        }
        let soft = self.asked.iter().find(|asked| self.contradicts(asked.machine.state()));
        match soft {
            Some(asked) => asked.machine.state().words(Rules::from(&*asked.check)),
            None if self.up => "up".to_owned(),
            None => "down".to_owned(),
        }
    }

    /// Why it is what [`Self::words`] say: of a live server that begins to fail, the failure; else what has made it live or
    /// dead.
    pub(super) fn reason_now(&self) -> &str {
        let fails = |asked: &&Asked| matches!(asked.machine.state(), State::SoftDown(_));
        let soft = self.asked.iter().find(|asked| self.up && self.hand.is_none() && fails(asked));
        let failure = soft.and_then(|asked| asked.last.as_ref()?.error.as_deref());
        failure.unwrap_or(&self.reason)
    }

    fn is_damped(&self, now: Instant) -> bool {
        self.damped.is_some_and(|until| until > now)
    }

    fn contradicts(&self, state: State) -> bool {
        state.is_soft() && state.is_up() == self.up
    }

    fn weight(&self, configured: Weight) -> Option<Weight> {
        let weightings = || self.asked.iter().filter_map(|asked| asked.weighting);
        weightings().next()?;
        let absolute =
            weightings().filter_map(|w| if let Weighting::Absolute(w) = w { Some(w) } else { None });
        let base = absolute.min().unwrap_or(configured);
        let added = weightings().map(|w| if let Weighting::Add(n) = w { i64::from(n) } else { 0 });
        let sum = i64::from(base.0) + added.sum::<i64>();
        Some(Weight(sum.clamp(0, Weight::MAX.0.into()) as u32))
    }

    /// Does something to it, which says why, and tells what that has changed.
    fn turn(&mut self, health: &Health, now: Instant, act: impl FnOnce(&mut Self) -> String) -> Vec<Turn> {
        let alive = self.is_alive();
        let reason = act(self);
        self.settle(health, now);
        if self.is_alive() == alive {
            return Vec::new();
        }
        let reason = if reason.is_empty() { "its settings have changed".to_owned() } else { reason };
        self.changed(health, now, reason)
    }

    /// The same after an answer, which may only have made it soft.
    fn turn_from(
        &mut self,
        soft: bool,
        i: usize,
        health: &Health,
        now: Instant,
        reason: String,
    ) -> Vec<Turn> {
        let alive = self.is_alive();
        self.settle(health, now);
        if self.is_alive() != alive {
            return self.changed(health, now, reason);
        }
        let Asked { machine, last, .. } = &self.asked[i];
        let state = machine.state();
        if self.reason == NOT_ASKED && last.as_ref().is_some_and(|last| last.error.is_none() == self.up) {
            self.reason.clone_from(&reason);
        }
        if self.hand.is_some() || state.is_soft() == soft || state.is_up() != self.up {
            return Vec::new();
        }
        let kind = match state {
            State::SoftDown(_) => EventKind::SoftDown,
            State::SoftUp(_) => EventKind::SoftUp,
            State::Up | State::Down => EventKind::Firm,
        };
        vec![(kind, reason)]
    }

    fn changed(&mut self, health: &Health, now: Instant, mut reason: String) -> Vec<Turn> {
        if let Some(damped) = self.damping_began(health, now) {
            reason = format!("{reason}; {damped}");
        }
        self.since = now;
        self.reason.clone_from(&reason);
        if self.is_alive() {
            self.rises += 1;
            vec![(EventKind::Up, reason)]
        } else {
            self.falls += 1;
            vec![(EventKind::Down, reason)]
        }
    }

    /// Puts together what has been heard.
    fn settle(&mut self, health: &Health, now: Instant) {
        let mut checks = self.asked.iter().map(|asked| asked.machine.state().is_up());
        let answered = match health.need {
            Need::All => checks.all(|up| up),
            Need::Any => self.asked.is_empty() || checks.any(|up| up),
        };
        let held = health.passive.is_some() && self.hold.is_held(now);
        let believed = answered && !held;
        if self.up && !believed {
            self.up = false;
            self.note_fall(health, now);
        } else if !self.up && believed && (health.damping.is_none() || !self.is_damped(now)) {
            self.up = true;
        }
    }

    /// What has just begun, if it has.
    fn damping_began(&self, health: &Health, now: Instant) -> Option<String> {
        let Damping { within, hold, .. } = health.damping?;
        let [within, hold] = [within, hold].map(|ms| Duration::from_millis(ms.into()));
        (!self.is_alive() && self.damped == Some(now + hold)).then(|| {
            let falls = counted(self.fell.len(), "time");
            let (within, hold) = (within.as_secs_f64(), hold.as_secs_f64());
            format!("it has fallen {falls} within {within} s, and stays down for {hold} s")
        })
    }

    fn note_fall(&mut self, health: &Health, now: Instant) {
        let Some(damping) = &health.damping else { return };
        let within = Duration::from_millis(damping.within.into());
        self.fell.push_back(now);
        while self.fell.front().is_some_and(|at| now.saturating_duration_since(*at) > within) {
            self.fell.pop_front();
        }
        if self.fell.len() >= damping.flaps.max(1) as usize {
            self.damped = Some(now + Duration::from_millis(damping.hold.into()));
        }
    }
}

impl Asked {
    fn new(check: Arc<Check>, up: bool) -> Self {
        let machine = Machine::new(up);
        Self { id: None, check, machine, last: None, asked: 0, failed: 0, spoken: false, weighting: None }
    }

    /// How long after a question the next one comes.
    pub(super) fn pause(&self) -> Duration {
        let fast = self.check.fast_interval.filter(|_| self.machine.state().is_soft());
        Duration::from_millis(fast.unwrap_or(self.check.interval).max(1).into())
    }

    /// Takes an answer; says what it means.
    fn heed(&mut self, outcome: Outcome, before: State, several: bool, now: Instant) -> String {
        let rules = Rules::from(&*self.check);
        let success = outcome.result.is_ok();
        self.machine.heed(rules, success);
        self.asked += 1;
        self.spoken = true;
        self.failed += u64::from(!success);
        let what = match &outcome.result {
            Ok(_) => "it answers".to_owned(),
            Err(text) => text.clone(),
        };
        if let Ok(success) = &outcome.result {
            self.weighting = success.weight;
        }
        self.last = Some(Last { at: now, took: outcome.took, error: outcome.result.err() });
        let count = self.count(before, rules);
        let kind = if several { format!("{}: ", self.check.kind.name()) } else { String::new() };
        format!("{kind}{what}{count}")
    }

    /// How many answers have made it what it is now, if it has just become that.
    fn count(&self, before: State, rules: Rules) -> String {
        let (run, wanted) = match (before, self.machine.state()) {
            (State::Up, State::Down) => (1, rules.fall),
            (State::SoftDown(k), State::Down) => (k + 1, rules.fall),
            (State::SoftUp(k), State::Up) => (k + 1, rules.rise),
            _ => return String::new(),
        };
        match rules.window {
            Some(Window { failures, of }) if run < wanted => format!(" ({failures} of the last {of})"),
            _ if wanted == 1 => String::new(),
            _ => format!(" ({run} of {wanted})"),
        }
    }
}

#[cfg(test)]
mod tests;
