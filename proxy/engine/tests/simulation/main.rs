//! The engine against a shadow model, under weighted chance: clients that open, talk, reset and come back with the
//! same port, servers that answer, ICMP errors about both, strays, fragments, garbage, time that moves a little or a
//! lot, workers that are late, an operator who edits servers and services, a host that gains and loses addresses.
//! IPv4 and IPv6, complete and partial checksums, super-packets; one to three workers; small tables and large ones.
//! Servers by NAT, FullNAT, DR and through tunnels of every kind, mixed within services and changed by edits; ways to
//! them that come, go and change their MTU; servers that die and come back, and sorry servers; local addresses with few ports. Segments that are edited (PROXY protocol,
//! TOA) are the business of `greeting/`.
//!
//! After every step all counters, all servers' loads and the number of connections are those of the shadow, and what
//! came out is byte for byte what it should be. So NAT is reversible, a reply tuple is never shared, and no flow
//! changes its server.
//!
//! The same seed gives the same run. A failure prints its seed; `ULVS_SIM_SEED=7` runs that seed alone, and
//! `ULVS_SIM_STEPS=1000000` runs longer.

mod actions;
mod around;
mod begin;
mod cast;
mod check;
#[path = "../end_all/mod.rs"]
mod end_all;
#[path = "../foreseen/mod.rs"]
mod foreseen;
mod health;
mod icmp;
mod local;
mod model;
mod packets;
mod persist;
mod rng;
mod sctp;
mod tcp;
mod traffic;
mod way;
mod world;

use std::collections::BTreeMap;

use world::World;

const SEEDS: u64 = 50;
const STEPS: u64 = 3000;

/// Prints where a run was when it failed.
struct Place {
    seed: u64,
    step: u64,
}

impl Drop for Place {
    #[expect(clippy::print_stdout, reason = "the seed is for whoever runs it again")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, step } = *self;
            println!(
                "seed {seed}, step {step}: run it again with ULVS_SIM_SEED={seed} ULVS_SIM_STEPS={}",
                step + 1
            );
        }
    }
}

fn run(seed: u64, steps: u64) -> World {
    let mut place = Place { seed, step: 0 };
    let mut world = World::new(seed);
    actions::begin(&mut world);
    for step in 0..steps {
        place.step = step;
        actions::act(&mut world);
        world.compare();
    }
    // Left alone, everything ends.
    world.advance(2_000_000);
    world.compare();
    assert_eq!(world.model.held(), 0, "what gets no packets is still there");
    assert_eq!(
        world.model.seen.get("idle").copied().unwrap_or(0).min(1),
        1,
        "timers run with nothing to wait for"
    );
    world
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value}: not a number")))
}

#[test]
fn the_engine_does_what_its_shadow_says() {
    let steps = variable("ULVS_SIM_STEPS").unwrap_or(STEPS);
    if let Some(seed) = variable("ULVS_SIM_SEED") {
        run(seed, steps);
        return;
    }
    let start = std::time::Instant::now();
    let mut seen = BTreeMap::<&str, u64>::new();
    for seed in 0..SEEDS {
        for (what, times) in run(seed, steps).model.seen {
            *seen.entry(what).or_default() += times;
        }
    }
    let rate = (SEEDS * steps) as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.0} steps a second; {seen:#?}");
    covers(&seen);
}

/// A simulation in which nothing happens proves nothing.
fn covers(seen: &BTreeMap<&str, u64>) {
    let states = engine::State::ALL.iter().map(|state| state.name());
    // No director gets into these.
    let states = states.filter(|name| !["NONE", "LAST_ACK", "LISTEN"].contains(name));
    let reasons = engine::DropReason::ALL.iter().map(|reason| reason.name());
    // Packets are not damaged on their way: see `table/oddities.rs`. Fragments are as they should be, and not thousands at
    // a time: see `fragments.rs`. None has a tag: see `table/links.rs`.
    let elsewhere = [
        "bad-checksum",
        "bad-header-checksum",
        "source-route",
        "bad-fragment",
        "fragment-limit",
        "dest-down",
        "other-vlan",
        "tagged-for-host",
    ];
    let reasons = reasons.filter(|name| !elsewhere.contains(name));
    let others = [
        "NAT",
        "NAT by FullNAT",
        "FullNAT",
        "DR",
        "a tunnel",
        "took the reply tuple of one that was over",
        "gave its local port up",
        "began again past what the server said",
        "told a server past its answers",
        "began again what was over",
        "began again what was open",
        "began again without its server",
        "left a removed server",
        "left a drained server",
        "refused a reply to nothing",
        "let go",
        "moved a datagram",
        "ended by the control plane",
        "told both ends",
        "told the old server",
        "a server came back",
        "nobody to serve",
        "too big",
        "reset",
        "error about a request",
        "error about a reply",
        "error about a request past us",
        "error about an answer past us",
        "error about a tunnel",
        "narrowed a path",
        "came back",
        "forgot a server",
        "outlived by its members",
        "a template expired",
        "data of no FTP",
        "one packet",
        "answer to one packet",
        "too big for one packet",
        "pong",
        "found nobody",
        "given up with no answer",
        "left a dead server",
        "came back to a dead server",
        "the sorry server's",
        "kept though its server is out",
        "followed the first fragment",
        "expired",
        "idle",
    ];
    for what in states.chain(reasons).chain(others) {
        assert!(seen.get(what).is_some_and(|times| *times >= 10), "{what}: too rare\n{seen:#?}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let digests = [1, 1, 2].map(|seed| run(seed, 1000).digest);
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0], digests[2]);
}
