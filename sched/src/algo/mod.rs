//! The schedulers. To add one: a file here and a line in [`ALL`]; help texts and lists follow. Then the tests ask for what
//! holds for it (`tests/properties.rs`), for a plain model of it (`tests/choices/models`) and for its line in the README
//! (`tests/readme.rs` writes it).

mod dh;
mod fo;
mod hashing;
mod lblc;
mod lblcr;
mod lc;
mod locality;
mod mh;
mod nq;
mod ovf;
mod p2c_latency;
mod rr;
mod sed;
mod sh;
mod swrr;
#[cfg(test)]
mod testing;
mod twos;
mod wlc;
mod wrr;

use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use crate::account::{Account, Rank};
use crate::dest::Dest;
use crate::model::{DestKey, SchedFlags, Weight};

/// What a scheduler may look at of the packet that begins a flow.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Client address and port.
    pub client: SocketAddr,
    /// The destination that the client asked for.
    pub vip: SocketAddr,
    /// Time since the engine was made.
    pub now: Duration,
    /// Bits that nobody can foresee, anew for each flow.
    pub random: u64,
    /// What the operator has set.
    pub knobs: Knobs,
}

impl Flow {
    /// A flow at the beginning of time, with no bits set and nothing tuned.
    pub fn new(client: SocketAddr, vip: SocketAddr) -> Self {
        Self { client, vip, now: Duration::ZERO, random: 0, knobs: Knobs::default() }
    }
}

/// What an operator can tune of schedulers (`net.ipv4.vs.*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// `lblc_expiration`: how long an unused destination is remembered.
    pub lblc_expiration: Duration,
    /// `lblcr_expiration`: how long a destination's set stays as it is.
    pub lblcr_expiration: Duration,
}

impl Default for Knobs {
    /// The kernel's: 24 hours each.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self { lblc_expiration: DAY, lblcr_expiration: DAY }
    }
}

/// What has happened to a service's list of servers. The list given with it is the new one.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// The scheduler was just attached to a service that has this list.
    Bound,
    /// A server was added (at the head of the list).
    Added(DestKey),
    /// A server was removed; `previous` stood before it, `None` if it was the first.
    Removed {
        /// The removed server.
        gone: DestKey,
        /// Its predecessor.
        previous: Option<DestKey>,
    },
    /// A server's settings changed in place.
    Edited(DestKey),
}

/// A scheduling algorithm with the state of one service.
pub trait Scheduler: Debug + Send + Copied {
    /// The index of the server that gets this flow, or `None` when nobody is available.
    fn pick(&mut self, dests: &[Dest], flow: &Flow) -> Option<usize>;

    /// What [`Scheduler::pick`] would go by, were it asked now: for people. Who comes first is who would be picked.
    fn account(&self, dests: &[Dest], flow: &Flow) -> Account;

    /// Called after the list has changed, however much of it: with what has gone first, and then what has come.
    fn dests_changed(&mut self, dests: &[Dest], changes: &[Change]) {
        let _ = (dests, changes);
    }
}

/// A scheduler can be copied with its state.
pub trait Copied {
    /// The copy.
    fn copied(&self) -> Box<dyn Scheduler>;
}

impl<T: Scheduler + Clone + 'static> Copied for T {
    fn copied(&self) -> Box<dyn Scheduler> {
        Box::new(self.clone())
    }
}

/// A registry entry.
#[derive(Debug)]
pub struct Algorithm {
    /// The name that ipvsadm and the configuration use.
    pub name: &'static str,
    /// One line for help texts.
    pub summary: &'static str,
    /// Its own names for its switches (`-b`).
    pub flags: &'static [(&'static str, SchedFlags)],
    /// How many servers a service may have at most when it is given this scheduler.
    pub max_dests: usize,
    /// Makes the state for one service.
    pub new: fn(SchedFlags) -> Box<dyn Scheduler>,
}

/// Every scheduler, in the order of help texts.
pub const ALL: &[Algorithm] = &[
    rr::ALGORITHM,
    wrr::ALGORITHM,
    lc::ALGORITHM,
    wlc::ALGORITHM,
    sed::ALGORITHM,
    nq::ALGORITHM,
    fo::ALGORITHM,
    ovf::ALGORITHM,
    twos::ALGORITHM,
    lblc::ALGORITHM,
    lblcr::ALGORITHM,
    dh::ALGORITHM,
    sh::ALGORITHM,
    mh::ALGORITHM,
    swrr::ALGORITHM,
    p2c_latency::ALGORITHM,
];

/// The default of `ipvsadm -A`.
pub const DEFAULT: &str = "wlc";

/// Finds a scheduler by name.
pub fn find(name: &str) -> Option<&'static Algorithm> {
    ALL.iter().find(|a| a.name == name)
}

/// Where a walk goes on behind `last`; at the head if that is `None` or gone.
fn after(dests: &[Dest], last: Option<DestKey>) -> usize {
    last.and_then(|key| dests.iter().position(|d| d.live.key == key)).map_or(0, |i| i + 1)
}

/// Where this server is, if not where it was last known to be.
fn position(dests: &[Dest], key: DestKey, hint: usize) -> Option<usize> {
    let is_it = |d: &Dest| d.live.key == key;
    if dests.get(hint).is_some_and(is_it) { Some(hint) } else { dests.iter().position(is_it) }
}

/// The one of those who can be chosen with the least load per weight; among equals the newest.
fn lightest(dests: &[Dest], load: impl Fn(&Dest) -> u64) -> Option<usize> {
    lightest_by(dests, |a, b| product(load(a), b) < product(load(b), a))
}

/// The first of those who can be chosen to which nobody else is preferred.
fn lightest_by(dests: &[Dest], is_lighter: impl Fn(&Dest, &Dest) -> bool) -> Option<usize> {
    let eligible = dests.iter().enumerate().filter(|(_, d)| d.eligible());
    eligible.reduce(|best, other| if is_lighter(other.1, best.1) { other } else { best }).map(|(i, _)| i)
}

/// The first with the highest rank.
fn first_max(dests: &[Dest], may: impl Fn(&Dest) -> bool, rank: impl Fn(&Dest) -> Weight) -> Option<usize> {
    let candidates = dests.iter().enumerate().filter(|(_, d)| may(d));
    candidates.reduce(|best, other| if rank(other.1) > rank(best.1) { other } else { best }).map(|(i, _)| i)
}

/// [`lightest`], for people: `words` says what a load is made of.
fn account_lightest(
    rule: &'static str,
    dests: &[Dest],
    load: impl Fn(&Dest) -> u64,
    words: impl Fn(&Dest) -> String,
) -> Account {
    Account::of(rule, dests, |_, dest| {
        let (load, weight) = (load(dest), dest.effective.0.into());
        let figure = format!("{} / weight {weight} = {}", words(dest), ratio(load, weight));
        (figure, Some(Rank::per(load, weight)))
    })
}

/// A load as [`Dest::load`] has it, in words.
fn load_in_words(dest: &Dest) -> String {
    let (active, inactive) = (dest.active(), dest.inactive());
    format!("257 x {active} active + {inactive} inactive")
}

/// With two digits behind the point, as far as there are any.
fn ratio(over: u64, under: u64) -> String {
    let under = u128::from(under.max(1));
    let hundredths = u128::from(over) * 100 / under;
    match (hundredths / 100, hundredths % 100) {
        (whole, 0) => whole.to_string(),
        (whole, part) => format!("{whole}.{part:02}"),
    }
}

/// An account of a scheduler that has one server for each flow: `owner`, if anybody may be chosen.
fn account_owner(rule: &'static str, dests: &[Dest], owner: Option<usize>) -> Account {
    Account::of(rule, dests, |i, _| match owner {
        Some(owner) if owner == i => ("it is the one".into(), Some(Rank::number(0))),
        _ => Default::default(),
    })
}

/// One side of a comparison of loads per weight, by cross product: no division, no rounding.
fn product(load: u64, other: &Dest) -> u128 {
    u128::from(load) * u128::from(other.effective.0)
}

const fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
