//! All services whose servers are looked after: which questions are due, and what follows from the answers. Pure: the
//! clock and the seed of chance are arguments, and nothing is done here, only said.
//!
//! It follows the table of services. A server that stays keeps its state, whatever else changes about its service or
//! itself; what somebody has said by hand stays too. What it wants of a table is compared with what the table has, so
//! that an edit which was lost is asked for again when the table has been followed the next time.

mod effects;
mod schedule;
mod view;
mod ward;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sched::{Check, DestKey, OpError, ServiceKey, ServiceTable};

pub use self::effects::{Effects, Turned};
pub use self::schedule::CheckId;
use self::schedule::Schedule;
use self::ward::Ward;
use super::event::EventKind;
use super::probe::Outcome;
use super::server::{Hand, Turn};

/// How often what clients' connections met is looked at, where that counts.
const LOOK: Duration = Duration::from_millis(500);

/// A question that is due.
#[derive(Clone, Debug)]
pub struct Due {
    /// Names the check, for the answer.
    pub id: CheckId,
    /// What is asked.
    pub check: Arc<Check>,
    /// About which service's server.
    pub service: ServiceKey,
    /// About which server.
    pub server: DestKey,
    /// What the check takes it for at present.
    pub up: bool,
    began: Instant,
}

/// All services whose servers are looked after.
#[derive(Debug)]
pub struct Roster {
    table: Arc<ServiceTable>,
    wards: BTreeMap<ServiceKey, Ward>,
    checks: HashMap<CheckId, (ServiceKey, DestKey)>,
    schedule: Schedule,
    /// When something that was held may be over.
    ticks: BinaryHeap<Reverse<(Instant, ServiceKey, DestKey)>>,
    /// Services of which something has changed that has consequences.
    dirty: BTreeSet<ServiceKey>,
    last_id: u64,
    /// When to look at what clients' connections met.
    next_look: Option<Instant>,
}

impl Roster {
    /// Nobody yet.
    pub fn new(seed: u64) -> Self {
        Self {
            table: Arc::default(),
            wards: BTreeMap::new(),
            checks: HashMap::new(),
            schedule: Schedule::new(seed),
            ticks: BinaryHeap::new(),
            dirty: BTreeSet::new(),
            last_id: 0,
            next_look: None,
        }
    }

    /// Takes up the table as it is now.
    pub fn follow(&mut self, table: Arc<ServiceTable>, now: Instant) -> Effects {
        let mut effects = Effects::default();
        let before = std::mem::replace(&mut self.table, Arc::clone(&table));
        for (old, new) in before.changes(&table) {
            let Some(key) = new.or(old).map(|service| service.key) else { continue };
            let by_hand = self.wards.get(&key).is_some_and(Ward::is_by_hand);
            if new.is_some_and(|service| service.health.is_some() || by_hand) {
                self.take_up(key, now, &mut effects);
            } else if let Some(ward) = self.wards.remove(&key) {
                ward.members.keys().for_each(|server| effects.words.push((key, *server, None)));
                for id in ward.ids() {
                    self.checks.remove(&id);
                }
                ward.release(key, new.map(Arc::as_ref), &mut effects);
            }
        }
        let passive = self.wards.values().any(|ward| ward.health.passive.is_some());
        self.next_look = passive.then(|| self.next_look.unwrap_or(now + LOOK));
        effects
    }

    /// When there is something to do next.
    pub fn next_due(&self) -> Option<Instant> {
        let tick = self.ticks.peek().map(|Reverse((at, ..))| *at);
        [self.schedule.next(), tick, self.next_look].into_iter().flatten().min()
    }

    /// A question that is due. No other of the same check is until it is answered.
    pub fn due(&mut self, now: Instant) -> Option<Due> {
        loop {
            let id = self.schedule.pop(now)?;
            // Perhaps nobody is interested any more.
            let Some(&(service, server)) = self.checks.get(&id) else { continue };
            let Some((member, i)) = self.wards.get(&service).and_then(|ward| ward.find(&server, id)) else {
                continue;
            };
            let check = Arc::clone(&member.server.asked[i].check);
            let up = member.server.asked[i].machine.state().is_up();
            return Some(Due { id, check, service, server, up, began: now });
        }
    }

    /// Takes an answer.
    pub fn answer(&mut self, due: &Due, outcome: Outcome, now: Instant) -> Effects {
        let mut effects = Effects::default();
        let Due { id, service, server, began, .. } = *due;
        let Some(ward) = self.wards.get_mut(&service) else { return effects };
        let health = Arc::clone(&ward.health);
        let Some((member, i)) = ward.find_mut(&server, id) else { return effects };
        if outcome.lacking {
            // It was not asked: no answer, of neither kind.
            self.schedule.again(id, began, member.server.asked[i].pause(), now);
            return effects;
        }
        let weight = member.wanted(&health, false);
        let turns = member.server.heed(i, outcome, &health, now);
        let pause = member.server.asked[i].pause();
        let changed = member.wanted(&health, false) != weight;
        self.schedule.again(id, began, pause, now);
        self.turned(service, server, turns, changed, now, &mut effects);
        effects
    }

    /// Time has passed: what was held may be over, and clients may have met something.
    pub fn tick(&mut self, now: Instant) -> Effects {
        let mut effects = Effects::default();
        while let Some(&Reverse((at, service, server))) = self.ticks.peek()
            && at <= now
        {
            self.ticks.pop();
            let Some(ward) = self.wards.get_mut(&service) else { continue };
            let health = Arc::clone(&ward.health);
            let Some(member) = ward.members.get_mut(&server) else { continue };
            let turns = member.server.tick(&health, now);
            self.turned(service, server, turns, false, now, &mut effects);
        }
        if self.next_look.is_some_and(|at| at <= now) {
            self.next_look = Some(now + LOOK);
            self.look(now, &mut effects);
        }
        effects
    }

    /// Somebody says what a server is to be taken for, or leaves that to its checks again.
    ///
    /// # Errors
    /// There is no such service, or no such server.
    pub fn order(
        &mut self,
        service: ServiceKey,
        server: DestKey,
        hand: Option<Hand>,
        now: Instant,
    ) -> Result<Effects, OpError> {
        let mut effects = Effects::default();
        let found = self.table.get(&service).ok_or(OpError::NoSuchService)?;
        found.find(&server).ok_or(OpError::NoSuchDest)?;
        if !self.wards.contains_key(&service) {
            self.take_up(service, now, &mut effects);
        }
        let Some(ward) = self.wards.get_mut(&service) else { return Err(OpError::NoSuchService) };
        let health = Arc::clone(&ward.health);
        let member = ward.members.get_mut(&server).ok_or(OpError::NoSuchDest)?;
        let turns = member.server.order(hand, &health, now);
        self.turned(service, server, turns, true, now, &mut effects);
        Ok(effects)
    }

    /// What follows for services from all that has come since the last time: their servers' places in the table, quorum,
    /// sorry server, panic. To be called after the others, once for as many answers as there are.
    pub fn settle(&mut self) -> Effects {
        let mut effects = Effects::default();
        for key in std::mem::take(&mut self.dirty) {
            if let Some(ward) = self.wards.get_mut(&key) {
                ward.settle(key, &mut effects);
            }
        }
        effects
    }

    /// The end: what is told of it where that is wanted (keepalived's `omega`).
    pub fn stop(&self) -> Effects {
        let mut effects = Effects::default();
        for (key, ward) in self.wards.iter().filter(|(_, ward)| ward.health.notify.at_stop) {
            ward.stop(*key, &mut effects);
        }
        effects
    }

    /// What have clients' connections met?
    fn look(&mut self, now: Instant, effects: &mut Effects) {
        let mut found = Vec::new();
        for (key, ward) in self.wards.iter_mut().filter(|(_, ward)| ward.health.passive.is_some()) {
            let health = Arc::clone(&ward.health);
            for (server, member) in &mut ward.members {
                let turns = member.meet(&health, now);
                if !turns.is_empty() {
                    found.push((*key, *server, turns));
                }
            }
        }
        for (service, server, turns) in found {
            self.turned(service, server, turns, false, now, effects);
        }
    }

    /// A service is new, or has changed.
    fn take_up(&mut self, key: ServiceKey, now: Instant, effects: &mut Effects) {
        let Some(service) = self.table.get(&key).cloned() else { return };
        let ward = self.wards.entry(key).or_default();
        for id in ward.ids() {
            self.checks.remove(&id);
        }
        let turns = ward.follow(&service, now, effects);
        for (server, member) in &mut ward.members {
            for asked in &mut member.server.asked {
                let id = *asked.id.get_or_insert_with(|| {
                    self.last_id += 1;
                    let id = CheckId(self.last_id);
                    let within = asked.check.warmup.unwrap_or(asked.check.interval);
                    self.schedule.begin(id, Duration::from_millis(within.into()), now);
                    id
                });
                self.checks.insert(id, (key, *server));
            }
        }
        for (server, turns) in turns {
            self.say(key, server, turns, now, effects);
        }
        self.dirty.insert(key);
    }

    /// A server has been told something: says so, and what follows for its service.
    fn turned(
        &mut self,
        service: ServiceKey,
        server: DestKey,
        turns: Vec<Turn>,
        changed: bool,
        now: Instant,
        effects: &mut Effects,
    ) {
        let hard = |turn: &Turn| !matches!(turn.0, EventKind::SoftDown | EventKind::SoftUp | EventKind::Firm);
        let settle = changed || turns.iter().any(hard);
        self.say(service, server, turns, now, effects);
        if settle {
            self.dirty.insert(service);
        }
    }

    fn say(
        &mut self,
        key: ServiceKey,
        server: DestKey,
        turns: Vec<Turn>,
        now: Instant,
        effects: &mut Effects,
    ) {
        let Some(ward) = self.wards.get_mut(&key) else { return };
        ward.say(key, server, turns, now, effects);
        let Some(member) = ward.members.get_mut(&server) else { return };
        let next = member.server.next_tick(now);
        if let Some(at) = next.filter(|_| member.tick != next) {
            self.ticks.push(Reverse((at, key, server)));
        }
        member.tick = next;
    }
}

#[cfg(test)]
mod tests;
