//! Replays what a kernel IPVS answered: every pick and every count in `oracle/*.txt` must come out the same.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;

use sched::{
    DestKey, DestSpec, Flow, Op, Proto, Service, ServiceKey, ServiceSpec, ServiceTable, Trash, Weight,
};

#[test]
fn rr() {
    replay("rr", include_str!("oracle/rr.txt"));
}

#[test]
fn wrr() {
    replay("wrr", include_str!("oracle/wrr.txt"));
}

#[test]
fn lc() {
    replay("lc", include_str!("oracle/lc.txt"));
}

#[test]
fn wlc() {
    replay("wlc", include_str!("oracle/wlc.txt"));
}

/// Runs a file step by step and compares the lines that it would have recorded with those that are there.
fn replay(scheduler: &str, text: &str) {
    assert!(text.starts_with("# Kernel "), "the file says which kernel answered");
    let scenarios = text.split("\nscenario ").skip(1);
    let mut count = 0;
    for scenario in scenarios {
        count += 1;
        let (title, recorded) = scenario.split_once('\n').unwrap();
        assert!(recorded.contains(&format!("scheduler {scheduler}\n")), "{title}");
        assert!(recorded.contains(" -> "), "{title}: no answers");
        let mut world = World::default();
        let mut replayed = String::new();
        for line in recorded.lines().filter(|line| !line.starts_with("load") && !line.is_empty()) {
            let step = line.split(" ->").next().unwrap();
            world.step(step, &mut replayed);
        }
        assert_eq!(replayed.trim_end(), recorded.trim_end(), "{scheduler}: {title}");
    }
    assert!(count >= 10, "{scheduler}: {count} scenarios");
}

/// The director of a scenario, with the connections that its clients hold.
#[derive(Default)]
struct World {
    table: ServiceTable,
    trash: Trash,
    held: HashMap<DestKey, u32>,
}

impl World {
    fn step(&mut self, step: &str, out: &mut String) {
        let words: Vec<_> = step.split(' ').collect();
        let number = |i: usize, default: u32| words.get(i).map_or(default, |w| w.parse().unwrap());
        let dest = || DestSpec { weight: Weight(number(2, 1)), ..DestSpec::new(server(words[1])) };
        out.push_str(step);
        match words[0] {
            "scheduler" => {
                let service = ServiceSpec::new(key(), words[1]);
                let known = self.table.get(&key()).is_some();
                self.apply(if known { Op::EditService { service } } else { Op::AddService { service } });
            }
            "drop" => self.apply(Op::DelService { key: key() }),
            "add" => self.apply(Op::AddDest { key: key(), dest: dest() }),
            "edit" => self.apply(Op::EditDest { key: key(), dest: dest() }),
            "del" => self.apply(Op::DelDest { key: key(), addr: server(words[1]) }),
            "hit" | "hold" => {
                out.push_str(" -> ");
                for _ in 0..number(1, 1) {
                    out.push(self.connect(words[0] == "hold"));
                }
                self.write_load(out);
            }
            "release" => {
                for _ in 0..number(2, 1) {
                    self.release(server(words[1]));
                }
                self.write_load(out);
            }
            other => panic!("unknown step {other}"),
        }
        out.push('\n');
    }

    fn apply(&mut self, op: Op) {
        self.table = self.table.apply(&mut self.trash, &[op]).unwrap();
    }

    fn connect(&mut self, keep: bool) -> char {
        let client = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 77, 1, 2)), 50000);
        let Some(dest) = self.service().pick(&Flow::new(client, vip())) else { return '-' };
        let key = dest.live.key;
        if keep {
            dest.live.active.fetch_add(1, Relaxed);
            *self.held.entry(key).or_default() += 1;
        } else {
            dest.live.inactive.fetch_add(1, Relaxed);
        }
        letter(key)
    }

    fn release(&mut self, addr: DestKey) {
        let held = self.held.get_mut(&addr).unwrap();
        *held = held.checked_sub(1).unwrap();
        let dest = self.service().dests.iter().find(|d| d.live.key == addr).unwrap();
        dest.live.active.fetch_sub(1, Relaxed);
        dest.live.inactive.fetch_add(1, Relaxed);
    }

    fn service(&self) -> &Service {
        self.table.lookup(None, Proto::Tcp, vip()).unwrap()
    }

    fn write_load(&self, out: &mut String) {
        out.push_str("\nload");
        for dest in self.service().dests.iter() {
            write!(out, " {}:{}+{}", letter(dest.live.key), dest.active(), dest.inactive()).unwrap();
        }
    }
}

fn vip() -> SocketAddr {
    "10.77.9.9:80".parse().unwrap()
}

fn key() -> ServiceKey {
    ServiceKey::addr(Proto::Tcp, vip())
}

fn server(letter: &str) -> DestKey {
    let number = letter.as_bytes()[0] - b'A' + 1;
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 77, 20 + number, 2)), 80)
}

fn letter(server: DestKey) -> char {
    let IpAddr::V4(addr) = server.ip() else { panic!("{server}") };
    (b'A' + addr.octets()[2] - 21).into()
}
