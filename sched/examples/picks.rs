//! What a pick costs: `cargo run --release -p sched --example picks`, on a quiet machine.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use sched::algo::{self, ALL};
use sched::{DestSpec, Flow, Op, Proto, SchedFlags, ServiceKey, ServiceSpec, ServiceTable, Trash};

const PICKS: u32 = 2_000_000;

fn main() {
    for servers in [4, 64] {
        let rr = nanoseconds("rr", servers);
        println!("{servers} servers: rr {rr:.0} ns");
        for algorithm in ALL {
            let nanos = nanoseconds(algorithm.name, servers);
            println!("  {:12} {nanos:6.0} ns  {:5.2} x rr", algorithm.name, nanos / rr);
        }
    }
}

/// The best of five rounds, each over many clients and 256 destinations.
fn nanoseconds(scheduler: &str, servers: u8) -> f64 {
    let at = |net: u32, number: u32, l4_port| {
        SocketAddr::new(Ipv4Addr::from_bits(0x0a00_0000 + (net << 16) + number).into(), l4_port)
    };
    let key = ServiceKey::addr(Proto::Tcp, at(0, 1, 80));
    let flags = algo::find(scheduler).unwrap().flags.iter().fold(SchedFlags(0), |all, (_, flag)| all | *flag);
    let dests = (0..servers).map(|i| DestSpec::new(at(1, i.into(), 80))).collect();
    let service = ServiceSpec { dests, flags, ..ServiceSpec::new(key, scheduler) };
    let table = ServiceTable::default().apply(&mut Trash::default(), &[Op::AddService { service }]).unwrap();
    let service = table.get(&key).unwrap();
    let round = || {
        let start = Instant::now();
        for i in 0..PICKS / 5 {
            let mut flow = Flow::new(at(2, i % 50_000, 1024 + i as u16), at(3, i % 256, 80));
            flow.random = u64::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            black_box(service.pick(&flow));
        }
        start.elapsed().as_nanos() as f64 / f64::from(PICKS / 5)
    };
    (0..5).map(|_| round()).fold(f64::INFINITY, f64::min)
}
