//! Edits while traffic flows, by the number of services with ten servers each: how long the next snapshot takes to make and to
//! put in force, and how long the packet after it takes, which is the first to see it; beside the packets in between.
//! Medians, and the longest but one in a hundred, as the machine interrupts some.

#![expect(clippy::print_stdout, reason = "what it is for")]

mod director;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sched::{DestSpec, Op, Proto, ServiceKey, Trash, Weight};
use wire::build::tcp;

use director::{Director, METHODS, client, server, vip};

const EDITS: u32 = 2000;

fn main() {
    println!("services  us/edit  at most  us, packet after it  at most  us, others  at most");
    for services in [1, 100, 10_000] {
        measure(services);
    }
}

fn measure(services: u32) {
    let (_, method, v6) = METHODS[0];
    let mut director = Director::new(method, v6, services);
    director.establish(client(v6, 7), v6);
    let packet = tcp(client(v6, 7), vip(v6, 0)).seq(101).ack(501).payload_len(100);
    let (mut trash, mut edits, mut first, mut others) =
        (Trash::default(), Vec::new(), Vec::new(), Vec::new());
    for n in 0..EDITS {
        let key = ServiceKey::addr(Proto::Tcp, vip(v6, n * 7919 % services));
        let weight = Weight(1 + n % 9);
        let dest = DestSpec { method, weight, ..DestSpec::new(server(v6, n * 7919 % services, 3)) };
        edits.push(time(|| {
            let table = director.engine.services().apply(&mut trash, &[Op::EditDest { key, dest }]);
            director.engine.set_services(Arc::new(table.expect("a legal edit")));
        }));
        let mut frame = packet.frame();
        first.push(time(|| director.worker.process(&mut frame, director.now)));
        let mut frame = packet.frame();
        others.push(time(|| director.worker.process(&mut frame, director.now)));
    }
    let [edits, first, others] = [edits, first, others].map(summary);
    println!("{services:>8} {edits} {first:>27} {others}");
}

fn time<T>(call: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let _ = call();
    start.elapsed()
}

fn summary(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let [median, longest] =
        [took.len() / 2, took.len() * 99 / 100].map(|n| took[n].as_nanos() as f64 / 1000.0);
    format!("{median:>8.2} {longest:>8.2}")
}
