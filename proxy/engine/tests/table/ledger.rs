//! Every counter there is, by name: those of the engine, of the services and of their servers.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use engine::{DropReason, Engine, Verdict};
use sched::{Counts, DestLive, Family, ServiceKey, ServiceTable, SvcLive};

use crate::case::{Leg, Move};

/// Services and servers that have ever been there, so that those removed are still watched.
#[derive(Default)]
pub(crate) struct Watched {
    services: BTreeMap<String, Arc<SvcLive>>,
    dests: BTreeMap<String, Arc<DestLive>>,
}

impl Watched {
    pub(crate) fn add(&mut self, table: &ServiceTable) {
        for service in table.services() {
            let title = title(&service.key);
            self.services.entry(title.clone()).or_insert_with(|| Arc::clone(&service.live));
            for dest in service.dests.iter() {
                let name = format!("{title} > {}", dest.live.key);
                self.dests.entry(name).or_insert_with(|| Arc::clone(&dest.live));
            }
        }
    }

    pub(crate) fn dest(&self, leg: Leg) -> &DestLive {
        self.dests.iter().find(|(name, _)| name.ends_with(&suffix(leg))).expect("a server of the service").1
    }

    fn name(&self, leg: Leg) -> String {
        self.dests.keys().find(|name| name.ends_with(&suffix(leg))).expect("a server of the service").clone()
    }
}

/// Of a mark with an address that looks like it.
fn title(key: &ServiceKey) -> String {
    match *key {
        ServiceKey::Addr { .. } => key.to_string(),
        ServiceKey::Mark { mark, family } => format!("FWM {}", as_address(mark.0.get(), family)),
    }
}

/// The mark as listings of templates have it.
pub(crate) fn as_address(mark: u32, family: Family) -> SocketAddr {
    let ip: IpAddr = match family {
        Family::Ipv4 => Ipv4Addr::from_bits(mark).into(),
        Family::Ipv6 => Ipv6Addr::from_segments([(mark >> 16) as u16, mark as u16, 0, 0, 0, 0, 0, 0]).into(),
    };
    SocketAddr::new(ip, 0)
}

fn suffix(leg: Leg) -> String {
    format!(" {} > {}", leg.0, leg.1)
}

/// A reading of all counters.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Ledger(BTreeMap<String, i64>);

impl Ledger {
    pub(crate) fn read(engine: &Engine, watched: &Watched) -> Self {
        let counters = engine.counters();
        let mut all = BTreeMap::from([
            ("received".to_owned(), counters.received),
            ("super-packets".to_owned(), counters.super_packets),
            ("transmitted".to_owned(), counters.transmitted),
            ("replied".to_owned(), counters.replied),
            ("diverted".to_owned(), counters.diverted),
            ("passed".to_owned(), counters.passed),
            ("waiting".to_owned(), counters.waiting),
            ("created".to_owned(), counters.created),
            ("expired".to_owned(), counters.expired),
            ("resets".to_owned(), counters.resets),
            ("held".to_owned(), engine.connections_held() as u64),
        ]);
        for reason in DropReason::ALL {
            all.insert(format!("dropped {}", reason.name()), counters.dropped(*reason));
        }
        for (name, live) in &watched.services {
            counts(&mut all, name, live.stats.read());
        }
        for (name, live) in &watched.dests {
            counts(&mut all, name, live.stats.read());
            all.insert(format!("{name}: active"), live.active.load(Relaxed).into());
            all.insert(format!("{name}: inactive"), live.inactive.load(Relaxed).into());
            all.insert(format!("{name}: persistent"), live.persistent.load(Relaxed).into());
        }
        Self(all.into_iter().map(|(name, value)| (name, value as i64)).collect())
    }

    pub(crate) fn verdict(&mut self, verdict: Verdict) {
        self.add("received", 1);
        match verdict {
            Verdict::Transmit(_) => self.add("transmitted", 1),
            Verdict::Reply => self.add("replied", 1),
            Verdict::Divert(_) => self.add("diverted", 1),
            Verdict::Pass => self.add("passed", 1),
            Verdict::Wait => self.add("waiting", 1),
            Verdict::Drop(reason) => self.add(&format!("dropped {}", reason.name()), 1),
        }
    }

    pub(crate) fn moves(&mut self, moves: &[Move], watched: &Watched) {
        for step in moves {
            match *step {
                Move::New(leg) => {
                    self.add("created", 1);
                    self.add("held", 1);
                    self.both(leg, watched, "conns", 1);
                }
                Move::NewAs(service, dest) => {
                    self.add("created", 1);
                    self.add("held", 1);
                    self.each(service, dest, watched, "conns", 1);
                }
                Move::InAs(service, dest, packets, bytes) => {
                    self.each(service, dest, watched, "in packets", packets);
                    self.each(service, dest, watched, "in bytes", bytes);
                }
                Move::Gone(n) => {
                    self.add("expired", n);
                    self.add("held", -n);
                }
                Move::Template(leg, n) => {
                    self.add(if n > 0 { "created" } else { "expired" }, n.abs());
                    self.add("held", n);
                    self.add(&format!("{}: persistent", watched.name(leg)), n);
                }
                Move::Once(leg) => self.both(leg, watched, "conns", 1),
                Move::Active(leg, n) => self.add(&format!("{}: active", watched.name(leg)), n),
                Move::Inactive(leg, n) => self.add(&format!("{}: inactive", watched.name(leg)), n),
                Move::In(leg, packets, bytes) => {
                    self.both(leg, watched, "in packets", packets);
                    self.both(leg, watched, "in bytes", bytes);
                }
                Move::Out(leg, packets, bytes) => {
                    self.both(leg, watched, "out packets", packets);
                    self.both(leg, watched, "out bytes", bytes);
                }
                Move::Super => self.add("super-packets", 1),
            }
        }
    }

    pub(crate) fn resets(&mut self, n: usize) {
        self.add("resets", n as i64);
    }

    /// What is not the same, as `name: here, there`.
    pub(crate) fn difference(&self, other: &Self) -> String {
        let lines = self.0.iter().filter_map(|(name, value)| {
            let there = other.0.get(name).copied().unwrap_or(0);
            (*value != there).then(|| format!("  {name}: {value}, not {there}\n"))
        });
        lines.collect()
    }

    fn both(&mut self, leg: Leg, watched: &Watched, what: &str, by: u64) {
        self.each(leg, leg, watched, what, by);
    }

    fn each(&mut self, service: Leg, dest: Leg, watched: &Watched, what: &str, by: u64) {
        let (service, dest) = (watched.name(service), watched.name(dest));
        let service = service.split(" > ").next().expect("a service");
        self.add(&format!("{dest}: {what}"), by as i64);
        self.add(&format!("{service}: {what}"), by as i64);
    }

    fn add(&mut self, name: &str, by: i64) {
        *self.0.get_mut(name).unwrap_or_else(|| panic!("no counter {name}")) += by;
    }
}

/// All that is not zero.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().filter(|(_, v)| **v != 0).try_for_each(|(name, value)| writeln!(f, "  {name}: {value}"))
    }
}

fn counts(all: &mut BTreeMap<String, u64>, name: &str, counts: Counts) {
    all.insert(format!("{name}: conns"), counts.conns);
    all.insert(format!("{name}: in packets"), counts.in_packets);
    all.insert(format!("{name}: in bytes"), counts.in_bytes);
    all.insert(format!("{name}: out packets"), counts.out_packets);
    all.insert(format!("{name}: out bytes"), counts.out_bytes);
}
