//! `lblcr`: locality-based least connection with replication. As lblc, but a destination has a set of servers: its
//! least loaded one serves, and when that has too much to do, the choice of wlc joins. A set that has not changed for
//! `lblcr_expiration` loses its most loaded server.
//!
//! As in the kernel, a removed server stays in the sets it is in: it serves nobody, but it can be the most loaded one
//! that goes, and if it is added again it is back in its place.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use foldhash::fast::FixedState;

use super::locality::{Memory, account_local, is_overloaded};
use super::{Algorithm, Change, Flow, Scheduler, lightest, position, product};
use crate::account::Account;
use crate::dest::{Dest, DestLive};
use crate::model::{DestKey, Weight};

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "lblcr",
    summary: "lblc with replication: a destination has a set of servers, which grows with the load",
    flags: &[],
    max_dests: usize::MAX,
    new: |_| Box::<Replicated>::default(),
};

/// How many removed servers stay in sets; after that the one that was removed first leaves them.
const MAX_GONE: usize = 64;

#[derive(Clone, Debug, Default)]
struct Replicated {
    sets: Memory<Set>,
    present: Vec<Known>,
    /// Removed servers, in the order of removal.
    gone: Vec<Known>,
}

impl Scheduler for Replicated {
    fn pick(&mut self, dests: &[Dest], flow: &Flow) -> Option<usize> {
        let (addr, now, expiration) = (flow.vip.ip(), flow.now, flow.knobs.lblcr_expiration);
        self.sets.pass(now, expiration);
        let Some(set) = self.sets.recall(addr, now) else {
            let found = lightest(dests, Dest::load)?;
            self.sets.learn(addr, Set::new(dests, found, now), now, flow.random);
            return Some(found);
        };
        let best = set.lightest(dests);
        if set.members.len() > 1 && now > set.changed.saturating_add(expiration) {
            set.drop_heaviest(dests, &self.gone, now);
        }
        if let Some(best) = best
            && !is_overloaded(&dests[best], dests)
        {
            return Some(best);
        }
        let found = lightest(dests, Dest::load)?;
        set.join(dests, found, now);
        Some(found)
    }

    fn account(&self, dests: &[Dest], flow: &Flow) -> Account {
        let mut copy = self.clone();
        copy.sets.pass(flow.now, flow.knobs.lblcr_expiration);
        let addr = flow.vip.ip();
        let known = copy.sets.recall(addr, flow.now).map(|set| {
            let keys: Vec<_> = set.members.iter().map(|member| member.key.to_string()).collect();
            keys.join(", ")
        });
        let account = account_local(dests, copy.pick(dests, flow));
        match known {
            Some(known) => account.note(format!("{addr} was {known}'s")),
            None => account.note(format!("nobody has {addr} yet")),
        }
    }

    fn dests_changed(&mut self, dests: &[Dest], changes: &[Change]) {
        let (mut gone, mut come) = (Keys::default(), Keys::default());
        for change in changes {
            match change {
                Change::Removed { gone: key, .. } => gone.insert(*key),
                Change::Added(key) => come.insert(*key),
                Change::Bound | Change::Edited(_) => false,
            };
        }
        self.gone.extend(self.present.drain(..).filter(|known| gone.contains(&known.key)));
        self.gone.retain(|known| !come.contains(&known.key));
        let surplus = self.gone.len().saturating_sub(MAX_GONE);
        if surplus > 0 {
            let first: Keys = self.gone.drain(..surplus).map(|known| known.key).collect();
            self.sets.values().for_each(|set| set.members.retain(|member| !first.contains(&member.key)));
        }
        self.present = dests.iter().map(Known::new).collect();
    }
}

type Keys = HashSet<DestKey, FixedState>;

/// What has to be known of a server when it is gone.
#[derive(Clone, Debug)]
struct Known {
    key: DestKey,
    weight: Weight,
    live: Weak<DestLive>,
}

impl Known {
    fn new(dest: &Dest) -> Self {
        Self { key: dest.live.key, weight: dest.weight, live: Arc::downgrade(&dest.live) }
    }

    fn load(&self) -> u64 {
        self.live.upgrade().map_or(0, |live| live.load())
    }
}

/// The servers of a destination.
#[derive(Clone, Debug)]
struct Set {
    /// Who joined last comes first, and so wins among equals.
    members: Vec<Member>,
    changed: Duration,
}

#[derive(Clone, Debug)]
struct Member {
    key: DestKey,
    /// Where it was last.
    at: usize,
}

impl Set {
    fn new(dests: &[Dest], first: usize, now: Duration) -> Self {
        Self { members: vec![Member { key: dests[first].live.key, at: first }], changed: now }
    }

    fn join(&mut self, dests: &[Dest], at: usize, now: Duration) {
        let key = dests[at].live.key;
        if self.members.iter().all(|member| member.key != key) {
            self.members.insert(0, Member { key, at });
            self.changed = now;
        }
    }

    /// The member with the least load per weight, among those who can be chosen.
    fn lightest(&mut self, dests: &[Dest]) -> Option<usize> {
        let present = self.members.iter_mut().filter_map(|member| {
            member.at = position(dests, member.key, member.at)?;
            Some(member.at)
        });
        let lighter = |a: &Dest, b: &Dest| product(a.load(), b) < product(b.load(), a);
        present
            .filter(|&i| dests[i].eligible())
            .reduce(|best, other| if lighter(&dests[other], &dests[best]) { other } else { best })
    }

    /// Drops the member with the most load per weight; those of weight 0 stay.
    fn drop_heaviest(&mut self, dests: &[Dest], gone: &[Known], now: Duration) {
        let burden = |member: &Member| match position(dests, member.key, member.at) {
            Some(i) => Some((dests[i].load(), dests[i].weight)),
            None => {
                gone.iter().find(|known| known.key == member.key).map(|known| (known.load(), known.weight))
            }
        };
        let product = |load: u64, weight: Weight| u128::from(load) * u128::from(weight.0);
        let burdens = self.members.iter().enumerate().filter_map(|(i, member)| Some((i, burden(member)?)));
        let heaviest = burdens.filter(|(_, (_, weight))| weight.0 > 0).reduce(|most, other| {
            let ((load, weight), (other_load, other_weight)) = (most.1, other.1);
            if product(load, other_weight) < product(other_load, weight) { other } else { most }
        });
        if let Some((i, _)) = heaviest {
            self.members.remove(i);
            self.changed = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::testing::Bench;

    fn flow(seconds: u64) -> Flow {
        let mut flow = Flow::new("10.0.0.1:1".parse().unwrap(), "10.0.1.1:80".parse().unwrap());
        flow.now = Duration::from_secs(seconds);
        flow.knobs.lblcr_expiration = Duration::from_secs(10);
        flow
    }

    /// A service whose set for one destination has everybody, A first.
    fn full_set() -> Bench {
        let mut bench = Bench::new(&ALGORITHM, &[2, 2, 2]);
        for (letter, others) in [('A', ['B', 'C']), ('B', ['A', 'C']), ('C', ['A', 'B'])] {
            bench.set_load(letter, 0, 0);
            others.iter().for_each(|other| bench.set_load(*other, 3, 0));
            assert_eq!(bench.pick_flow(&flow(0)), letter);
        }
        bench
    }

    #[test]
    fn a_set_grows_with_the_load_and_its_least_loaded_serves() {
        let mut bench = full_set();
        for letter in ['B', 'A', 'C'] {
            for other in ['A', 'B', 'C'] {
                bench.set_load(other, 2, u32::from(other != letter));
            }
            assert_eq!(bench.pick_flow(&flow(1)), letter);
        }
        for other in ['A', 'B', 'C'] {
            bench.set_load(other, 2, 0);
        }
        assert_eq!(bench.pick_flow(&flow(2)), 'C', "of equals who joined last");
        bench.edit('C', 0);
        assert_eq!(bench.pick_flow(&flow(3)), 'B');
        bench.server('B').live.set_overloaded(true);
        assert_eq!(bench.pick_flow(&flow(4)), 'A');
        bench.edit('A', 0);
        assert_eq!(bench.pick_flow(&flow(5)), '-');
    }

    #[test]
    fn a_set_that_is_left_alone_loses_its_most_loaded() {
        let mut bench = full_set();
        bench.set_load('A', 1, 0);
        bench.set_load('B', 1, 1);
        bench.set_load('C', 2, 0);
        assert_eq!(bench.pick_flow(&flow(10)), 'A', "not longer than it has to be");
        assert_eq!(bench.pick_flow(&flow(11)), 'A', "C goes");
        bench.set_load('C', 0, 0);
        assert_eq!(bench.pick_flow(&flow(12)), 'A');
        bench.set_load('A', 2, 2);
        assert_eq!(bench.pick_flow(&flow(22)), 'B', "A goes");
        bench.set_load('A', 0, 0);
        assert_eq!(bench.pick_flow(&flow(33)), 'B', "the last one stays");
    }

    #[test]
    fn a_removed_server_can_be_the_one_that_goes_and_is_back_when_added_again() {
        let mut bench = full_set();
        bench.set_load('A', 2, 5);
        bench.set_load('B', 2, 9);
        bench.set_load('C', 2, 0);
        let b = bench.server('B').clone();
        bench.remove('B');
        assert_eq!(bench.pick_flow(&flow(11)), 'C', "B goes, A stays");
        bench.set_load('C', 2, 6);
        assert_eq!(bench.pick_flow(&flow(12)), 'A');
        bench.remove('A');
        assert_eq!(bench.pick_flow(&flow(13)), 'C');
        bench.put(b);
        bench.set_load('B', 0, 0);
        assert_eq!(bench.pick_flow(&flow(14)), 'C', "B is not in the set any more");
    }

    #[test]
    fn sets_forget_servers_that_went_long_ago() {
        let mut bench = full_set();
        let (a, c) = (bench.server('A').clone(), bench.server('C').clone());
        bench.set_load('C', 2, 1);
        bench.remove('A');
        bench.remove('C');
        for _ in 0..=MAX_GONE {
            // B, over and over: only servers that are gone count.
            let b = bench.server('B').clone();
            bench.remove('B');
            bench.put(b);
        }
        bench.put(a);
        bench.put(c);
        bench.set_load('A', 0, 0);
        bench.set_load('B', 2, 2);
        assert_eq!(bench.pick_flow(&flow(1)), 'A', "A and C have come back in time");
    }
}
