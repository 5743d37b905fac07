//! Replays what a kernel IPVS answered: every pick and every count in `oracle/*.txt` must come out the same.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use sched::{
    DestKey, DestLive, DestSpec, Flow, Op, Proto, Service, ServiceKey, ServiceSpec, ServiceTable, Trash,
    Weight,
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

#[test]
fn sed() {
    replay("sed", include_str!("oracle/sed.txt"));
}

#[test]
fn nq() {
    replay("nq", include_str!("oracle/nq.txt"));
}

#[test]
fn fo() {
    replay("fo", include_str!("oracle/fo.txt"));
}

#[test]
fn ovf() {
    replay("ovf", include_str!("oracle/ovf.txt"));
}

/// Of every scheduler that can tell.
#[test]
fn thresholds() {
    replay("", include_str!("oracle/thresholds.txt"));
}

/// Runs a file step by step and compares the lines that it would have recorded with those that are there.
fn replay(scheduler: &str, text: &str) {
    assert!(text.starts_with("# Kernel "), "the file says which kernel answered");
    let scenarios = text.split("\nscenario ").skip(1);
    let mut count = 0;
    for scenario in scenarios {
        count += 1;
        let (title, recorded) = scenario.split_once('\n').unwrap();
        assert!(recorded.starts_with(&format!("scheduler {scheduler}")), "{title}");
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
    /// Servers that have got connections, removed ones too.
    lives: HashMap<DestKey, Arc<DestLive>>,
}

impl World {
    fn step(&mut self, step: &str, out: &mut String) {
        let words: Vec<_> = step.split(' ').collect();
        let number = |i: usize, default: u32| words.get(i).map_or(default, |w| w.parse().unwrap());
        let dest = || DestSpec {
            weight: Weight(number(2, 1)),
            upper: number(3, 0),
            lower: number(4, 0),
            ..DestSpec::new(server(words[1]))
        };
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
            "release" | "lapse" => {
                for _ in 0..number(2, 1).min(self.held[&server(words[1])]) {
                    self.release(server(words[1]), words[0] == "release");
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
        let live = Arc::clone(&dest.live);
        if keep {
            live.active.fetch_add(1, Relaxed);
            *self.held.entry(live.key).or_default() += 1;
        } else {
            live.inactive.fetch_add(1, Relaxed);
        }
        live.update_overload();
        let letter = letter(live.key);
        self.lives.insert(live.key, live);
        letter
    }

    /// An open connection ends and goes on to be counted, or not even that.
    fn release(&mut self, addr: DestKey, counts: bool) {
        *self.held.get_mut(&addr).unwrap() -= 1;
        let live = &self.lives[&addr];
        live.active.fetch_sub(1, Relaxed);
        if counts {
            live.inactive.fetch_add(1, Relaxed);
        }
        live.update_overload();
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
