//! One service and its servers: who of them takes part, whether it has its quorum, and whether checks are believed at all.
//!
//! keepalived's rules: the quorum is lost when the sum of the weights of live servers falls below `quorum - hysteresis`, or
//! to 0, and is there again at `quorum + hysteresis`. While it is lost the sorry server, if there is one, serves alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use sched::{
    Check, Dest, DestKey, DestLive, Fitness, Health, Op, Service, ServiceKey, Share, Weight, counted,
};

use super::schedule::CheckId;
use super::{Effects, Turned};
use crate::health::event::{Event, EventKind, Told};
use crate::health::server::{Server, Turn};

/// A service.
#[derive(Debug)]
pub(super) struct Ward {
    pub(super) health: Arc<Health>,
    /// What all servers are asked that have no checks of their own.
    shared: Vec<Arc<Check>>,
    /// It has checks; else it is here for what somebody said by hand.
    checked: bool,
    pub(super) members: BTreeMap<DestKey, Member>,
    sorry: Option<Arc<DestLive>>,
    /// As the table has it.
    on_sorry: bool,
    pub(super) quorum: bool,
    pub(super) panic: bool,
    /// Of all live servers.
    pub(super) weight: u64,
}

/// A server.
#[derive(Debug)]
pub(super) struct Member {
    live: Arc<DestLive>,
    configured: Weight,
    pub(super) server: Server,
    /// As the table has it.
    fitness: Fitness,
    /// It is not used, and everybody knows.
    down: bool,
    pub(super) words: String,
    /// When it is looked at again.
    pub(super) tick: Option<Instant>,
}

impl Default for Ward {
    fn default() -> Self {
        Self {
            health: Arc::default(),
            shared: Vec::new(),
            checked: false,
            members: BTreeMap::new(),
            sorry: None,
            on_sorry: false,
            quorum: true,
            panic: false,
            weight: 0,
        }
    }
}

impl Ward {
    /// The names of all checks.
    pub(super) fn ids(&self) -> impl Iterator<Item = CheckId> {
        self.members.values().flat_map(|member| member.server.asked.iter().filter_map(|asked| asked.id))
    }

    pub(super) fn is_by_hand(&self) -> bool {
        self.members.values().any(|member| member.server.hand().is_some())
    }

    pub(super) const fn is_checked(&self) -> bool {
        self.checked
    }

    pub(super) fn sorry(&self) -> Option<DestKey> {
        self.sorry.as_ref().map(|live| live.key)
    }

    pub(super) const fn serves_sorry(&self) -> bool {
        self.sorry.is_some() && !self.quorum
    }

    /// A server, and which of its checks this is.
    pub(super) fn find(&self, server: &DestKey, id: CheckId) -> Option<(&Member, usize)> {
        let member = self.members.get(server)?;
        Some((member, member.place(id)?))
    }

    pub(super) fn find_mut(&mut self, server: &DestKey, id: CheckId) -> Option<(&mut Member, usize)> {
        let member = self.members.get_mut(server)?;
        let i = member.place(id)?;
        Some((member, i))
    }

    /// Takes up the service as it is now. Returns what that has changed, server by server.
    pub(super) fn follow(
        &mut self,
        service: &Service,
        now: Instant,
        effects: &mut Effects,
    ) -> Vec<(DestKey, Vec<Turn>)> {
        self.checked = service.health.is_some();
        self.health = service.health.clone().unwrap_or_default();
        self.sorry = service.sorry.as_ref().map(|sorry| Arc::clone(&sorry.live));
        self.on_sorry = service.on_sorry;
        self.members.retain(|key, _| {
            let stays = service.find(key).is_some();
            if !stays {
                effects.words.push((service.key, *key, None));
            }
            stays
        });
        let same = |check: &Check| self.shared.iter().find(|shared| ***shared == *check).cloned();
        let shared = self.health.checks.iter().map(|c| same(c).unwrap_or_else(|| Arc::new(c.clone())));
        self.shared = shared.collect();
        let mut turns = Vec::new();
        for dest in service.all.iter() {
            let key = dest.live.key;
            let own = self.health.own.get(&key);
            let own: Option<Vec<_>> = own.map(|checks| checks.iter().cloned().map(Arc::new).collect());
            let checks = own.as_deref().unwrap_or(&self.shared);
            let changed = match self.members.get_mut(&key) {
                Some(member) => member.follow(dest, checks, &self.health, now),
                None => {
                    self.members.insert(key, Member::new(dest, checks, &self.health, now));
                    Vec::new()
                }
            };
            turns.push((key, changed));
        }
        turns
    }

    /// Is looked after no longer: those who were taken out are used again.
    pub(super) fn release(self, key: ServiceKey, service: Option<&Service>, effects: &mut Effects) {
        let Some(service) = service else { return };
        for member in self.members.into_values() {
            let Some(dest) = service.find(&member.live.key) else { continue };
            if dest.fitness != Fitness::default() {
                effects.ops.push(Op::SetFitness { key, addr: dest.live.key, fitness: Fitness::default() });
            }
            if member.down {
                effects.turned.push(Turned { service: key, live: member.live, down: None });
            }
        }
    }

    /// Says what has changed about a server.
    pub(super) fn say(
        &mut self,
        key: ServiceKey,
        server: DestKey,
        turns: Vec<Turn>,
        now: Instant,
        effects: &mut Effects,
    ) {
        let Some(member) = self.members.get_mut(&server) else { return };
        let words = member.server.words(now);
        for (kind, reason) in turns {
            // What its name says; the other words say how it got there.
            let state = match kind {
                _ if member.server.hand().is_some() => words.clone(),
                EventKind::Up => "up".to_owned(),
                EventKind::Down => "down".to_owned(),
                _ => words.clone(),
            };
            tell(Event { service: key, server: Some(server), kind, state, reason }, &self.health, effects);
        }
        if member.words != words {
            member.words.clone_from(&words);
            effects.words.push((key, server, Some(words)));
        }
    }

    /// What is wanted of the table now, beside what it has.
    pub(super) fn settle(&mut self, key: ServiceKey, effects: &mut Effects) {
        self.judge_panic(key, effects);
        let health = Arc::clone(&self.health);
        self.weight = 0;
        for (addr, member) in &mut self.members {
            let fitness = member.wanted(&health, self.panic);
            if fitness.share == Share::In {
                self.weight += u64::from(fitness.weight.unwrap_or(member.configured).0);
            }
            if fitness != member.fitness {
                member.fitness = fitness;
                effects.ops.push(Op::SetFitness { key, addr: *addr, fitness });
            }
            let down = fitness.share != Share::In;
            if down != member.down {
                member.down = down;
                let live = Arc::clone(&member.live);
                effects.turned.push(Turned { service: key, live, down: down.then_some(health.on_down) });
            }
        }
        self.judge_quorum(key, effects);
        let on = self.serves_sorry();
        if let Some(sorry) = self.sorry.as_ref().filter(|_| on != self.on_sorry) {
            self.on_sorry = on;
            effects.ops.push(Op::SetSorry { key, on });
            // Whoever was with it goes back to the service, as clients of a dead server go to another one.
            let live = Arc::clone(sorry);
            effects.turned.push(Turned { service: key, live, down: (!on).then_some(self.health.on_down) });
        }
    }

    /// What is told at the end.
    pub(super) fn stop(&self, key: ServiceKey, effects: &mut Effects) {
        let stops = |server, kind, state: &str| Event {
            service: key,
            server,
            kind,
            state: state.to_owned(),
            reason: "ulvs stops".to_owned(),
        };
        let alive = self.members.iter().filter(|(_, member)| member.server.is_alive());
        let servers = alive.map(|(server, _)| stops(Some(*server), EventKind::Down, "down"));
        let quorum = self.quorum.then(|| stops(None, EventKind::QuorumDown, "quorum lost"));
        // Nothing has changed: only those that asked for this are told.
        let mut health = Health::clone(&self.health);
        health.notify.change = None;
        for event in servers.chain(quorum) {
            effects.told.extend(Told::of(&event, &health));
        }
    }

    fn judge_panic(&mut self, key: ServiceKey, effects: &mut Effects) {
        let judged = || self.members.values().filter(|member| member.server.hand().is_none());
        let (all, dead) = (judged().count(), judged().filter(|m| m.server.is_dead_by_checks()).count());
        let share = usize::from(self.health.panic);
        let panic = share > 0 && dead > 0 && dead * 100 >= share * all;
        if panic == self.panic {
            return;
        }
        self.panic = panic;
        let (kind, state) = if panic {
            (EventKind::Panic, "no check is believed, all servers are used")
        } else {
            (EventKind::PanicOver, "checks are believed again")
        };
        let are = if dead == 1 { "is" } else { "are" };
        let reason = format!("{dead} of {} {are} dead, the limit is {share} %", counted(all, "server"));
        let event = Event { service: key, server: None, kind, state: state.to_owned(), reason };
        tell(event, &self.health, effects);
    }

    fn judge_quorum(&mut self, key: ServiceKey, effects: &mut Effects) {
        let Health { quorum, hysteresis, .. } = *self.health;
        let (quorum, hysteresis) = (u64::from(quorum), u64::from(hysteresis));
        let weight = self.weight;
        let there = if self.quorum {
            weight > 0 && weight >= quorum.saturating_sub(hysteresis)
        } else {
            weight >= quorum + hysteresis
        };
        if !self.checked || there == self.quorum {
            return;
        }
        self.quorum = there;
        let limit = if there { quorum + hysteresis } else { quorum.saturating_sub(hysteresis).max(1) };
        let who = match (self.sorry(), there) {
            (Some(sorry), false) => format!(", the sorry server {sorry} serves"),
            (Some(sorry), true) => format!(", the sorry server {sorry} is done"),
            (None, _) => String::new(),
        };
        let (kind, state) =
            if there { (EventKind::QuorumUp, "quorum") } else { (EventKind::QuorumDown, "quorum lost") };
        let reason = format!("live servers weigh {weight}, the limit is {limit}{who}");
        let event = Event { service: key, server: None, kind, state: state.to_owned(), reason };
        tell(event, &self.health, effects);
    }
}

impl Member {
    fn new(dest: &Dest, checks: &[Arc<Check>], health: &Health, now: Instant) -> Self {
        Self {
            live: Arc::clone(&dest.live),
            configured: dest.configured,
            server: Server::new(checks, health.initially, now),
            fitness: dest.fitness,
            down: false,
            words: String::new(),
            tick: None,
        }
    }

    fn follow(&mut self, dest: &Dest, checks: &[Arc<Check>], health: &Health, now: Instant) -> Vec<Turn> {
        if !Arc::ptr_eq(&self.live, &dest.live) {
            // It was removed and has come back, and nobody has told the newcomer.
            self.live = Arc::clone(&dest.live);
            self.down = false;
        }
        self.configured = dest.configured;
        self.fitness = dest.fitness;
        self.server.refit(checks, health, now)
    }

    pub(super) const fn is_down(&self) -> bool {
        self.down
    }

    pub(super) fn is_draining(&self) -> bool {
        self.live.is_draining()
    }

    pub(super) const fn configured(&self) -> Weight {
        self.configured
    }

    /// The weight that is in force.
    pub(super) fn effective(&self) -> Weight {
        match self.fitness.share {
            Share::In => self.fitness.weight.unwrap_or(self.configured),
            Share::Inhibited | Share::Out => Weight(0),
        }
    }

    fn place(&self, id: CheckId) -> Option<usize> {
        self.server.asked.iter().position(|asked| asked.id == Some(id))
    }

    /// Looks at what clients' connections have met.
    pub(super) fn meet(&mut self, health: &Health, now: Instant) -> Vec<Turn> {
        let turns = self.server.meet(self.live.met(), health, now);
        if self.server.is_held(now) {
            // Those that had begun before do not count when it is tried again.
            self.live.forgive();
        }
        turns
    }

    /// What is to be made of it.
    pub(super) fn wanted(&self, health: &Health, panic: bool) -> Fitness {
        self.server.fitness(health, panic, self.live.is_draining(), self.configured)
    }
}

fn tell(event: Event, health: &Health, effects: &mut Effects) {
    effects.told.extend(Told::of(&event, health));
    effects.events.push(event);
}
