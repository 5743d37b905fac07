//! Those that remember destinations.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use sched::{DestKey, Flow};

use super::least::{Wlc, compare};
use super::{Model, Server};

const MINUTE: Duration = Duration::from_secs(60);

/// What is known of destinations, with the time of its last use. The model of a memory that never has too many.
struct Memory<T> {
    entries: HashMap<IpAddr, (T, Duration)>,
    /// The minutes that have passed, and when the next one does.
    minutes: u32,
    next: Option<Duration>,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), minutes: 0, next: None }
    }
}

impl<T> Memory<T> {
    /// Every half hour what has not been used for so long is forgotten.
    fn pass(&mut self, now: Duration, expiration: Duration) {
        let next = self.next.get_or_insert(now + MINUTE);
        while *next <= now {
            self.minutes += 1;
            if self.minutes.is_multiple_of(30) {
                self.entries.retain(|_, (_, used)| *next - *used < expiration);
            }
            *next += MINUTE;
        }
        assert!(self.entries.len() <= 16384);
    }

    fn get(&mut self, flow: &Flow) -> Option<&mut T> {
        self.entries.get_mut(&flow.vip.ip()).map(|(value, used)| {
            *used = flow.now;
            value
        })
    }

    fn put(&mut self, flow: &Flow, value: T) {
        self.entries.insert(flow.vip.ip(), (value, flow.now));
    }
}

/// One server for each destination. Thresholds count only when it is chosen.
#[derive(Default)]
pub(super) struct Lblc {
    memory: Memory<DestKey>,
}

impl Model for Lblc {
    fn pick(&mut self, list: &[Server], flow: &Flow) -> Option<DestKey> {
        self.memory.pass(flow.now, flow.knobs.lblc_expiration);
        let known = self.memory.get(flow).copied();
        let server = list.iter().find(|server| Some(server.addr) == known && server.weight > 0);
        if server.is_some_and(|server| !has_too_much_to_do(server, list)) {
            return known;
        }
        let new = Wlc.pick(list, flow)?;
        self.memory.put(flow, new);
        Some(new)
    }
}

/// A set of servers for each destination.
#[derive(Default)]
pub(super) struct Lblcr {
    memory: Memory<Set>,
    removed: Vec<Server>,
}

struct Set {
    /// Who joined last comes first.
    members: Vec<DestKey>,
    changed: Duration,
}

impl Model for Lblcr {
    fn pick(&mut self, list: &[Server], flow: &Flow) -> Option<DestKey> {
        self.memory.pass(flow.now, flow.knobs.lblcr_expiration);
        let Some(set) = self.memory.get(flow) else {
            let new = Wlc.pick(list, flow)?;
            self.memory.put(flow, Set { members: vec![new], changed: flow.now });
            return Some(new);
        };
        let among = |list: &[Server]| -> Vec<Server> {
            let find = |member: &DestKey| list.iter().find(|server| server.addr == *member).cloned();
            set.members.iter().filter_map(find).collect()
        };
        let best = Wlc.pick(&among(list), flow);
        if set.members.len() > 1 && flow.now > set.changed + flow.knobs.lblcr_expiration {
            let mut all = among(&[list, &self.removed].concat());
            all.retain(|server| server.weight > 0);
            // Sorting is stable.
            all.sort_by(|a, b| compare((b.load(), b.weight), (a.load(), a.weight)));
            if let Some(heaviest) = all.first() {
                set.members.retain(|member| *member != heaviest.addr);
                set.changed = flow.now;
            }
        }
        let best_server = list.iter().find(|server| Some(server.addr) == best);
        if best_server.is_some_and(|server| !has_too_much_to_do(server, list)) {
            return best;
        }
        let new = Wlc.pick(list, flow)?;
        if !set.members.contains(&new) {
            set.members.insert(0, new);
            set.changed = flow.now;
        }
        Some(new)
    }

    fn removed(&mut self, removed: &[Server]) {
        self.removed = removed.to_vec();
    }
}

fn has_too_much_to_do(server: &Server, list: &[Server]) -> bool {
    server.active > server.weight && list.iter().any(|server| 2 * server.active < server.weight)
}
