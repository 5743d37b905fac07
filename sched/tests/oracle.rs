//! Replays what a kernel IPVS answered: every pick and every count in `oracle/*.txt` must come out the same.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use sched::{
    DestKey, DestLive, DestSpec, Family, Flow, Knobs, Mark, Op, Proto, SchedFlags, Service, ServiceKey,
    ServiceSpec, ServiceTable, Trash, Weight, algo,
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
        assert!(recorded.contains(&format!("scheduler {scheduler}")), "{title}");
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
struct World {
    table: ServiceTable,
    trash: Trash,
    family: Family,
    marked: bool,
    now: Duration,
    knobs: Knobs,
    held: HashMap<DestKey, u32>,
    /// Servers that have got connections, removed ones too.
    lives: HashMap<DestKey, Arc<DestLive>>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            table: ServiceTable::default(),
            trash: Trash::default(),
            family: Family::Ipv4,
            marked: false,
            now: Duration::ZERO,
            knobs: Knobs::default(),
            held: HashMap::new(),
            lives: HashMap::new(),
        }
    }
}

impl World {
    fn step(&mut self, step: &str, out: &mut String) {
        let words: Vec<_> = step.split(' ').collect();
        let number = |i: usize, default: u32| words.get(i).map_or(default, |w| w.parse().unwrap());
        let family = self.family;
        let server = || server(family, words[1]);
        let dest = || DestSpec {
            weight: Weight(number(2, 1)),
            upper: number(3, 0),
            lower: number(4, 0),
            ..DestSpec::new(server())
        };
        out.push_str(step);
        match words[0] {
            "ipv6" => self.family = Family::Ipv6,
            "mark" => self.marked = true,
            "scheduler" => {
                let mut service = ServiceSpec::new(self.key(), words[1]);
                service.flags = words.get(2).map_or_else(SchedFlags::default, |names| flags(words[1], names));
                let known = self.table.get(&self.key()).is_some();
                self.apply(if known { Op::EditService { service } } else { Op::AddService { service } });
            }
            "drop" => self.apply(Op::DelService { key: self.key() }),
            "add" => self.apply(Op::AddDest { key: self.key(), dest: dest() }),
            "edit" => self.apply(Op::EditDest { key: self.key(), dest: dest() }),
            "del" => self.apply(Op::DelDest { key: self.key(), addr: server() }),
            "hit" | "hold" | "fan" => {
                out.push_str(" -> ");
                for i in 0..number(1, 1) {
                    let flow = self.flow(&words[2..], if words[0] == "fan" { i } else { 0 });
                    out.push(self.connect(&flow, words[0] == "hold"));
                }
                self.write_load(out);
            }
            "release" | "lapse" => {
                for _ in 0..number(2, 1).min(self.held[&server()]) {
                    self.release(server(), words[0] == "release");
                }
                self.write_load(out);
            }
            "knob" => {
                let value = Duration::from_secs(number(2, 0).into());
                match words[1] {
                    "lblc_expiration" => self.knobs.lblc_expiration = value,
                    "lblcr_expiration" => self.knobs.lblcr_expiration = value,
                    other => panic!("unknown knob {other}"),
                }
            }
            "wait" => self.now += Duration::from_secs(number(1, 0).into()),
            other => panic!("unknown step {other}"),
        }
        out.push('\n');
    }

    fn apply(&mut self, op: Op) {
        self.table = self.table.apply(&mut self.trash, &[op]).unwrap();
    }

    /// The flow of `[from ADDRESS] [port PORT] [to ADDRESS]`, with what is named last `plus` higher.
    fn flow(&self, who: &[&str], plus: u32) -> Flow {
        let mut client = default_client(self.family);
        let mut vip = vip(self.family);
        for (i, pair) in who.chunks(2).enumerate() {
            let plus = if (i + 1) * 2 == who.len() { plus } else { 0 };
            let addr = || plus_addr(pair[1].parse().unwrap(), plus);
            match pair[0] {
                "from" => client.set_ip(addr()),
                "port" => client.set_port(pair[1].parse::<u16>().unwrap() + u16::try_from(plus).unwrap()),
                "to" => vip.set_ip(addr()),
                other => panic!("unknown word {other}"),
            }
        }
        Flow { now: self.now, knobs: self.knobs, ..Flow::new(client, vip) }
    }

    fn connect(&mut self, flow: &Flow, keep: bool) -> char {
        let Some(dest) = self.service().pick(flow) else { return '-' };
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
        self.table.get(&self.key()).unwrap()
    }

    fn key(&self) -> ServiceKey {
        if self.marked {
            ServiceKey::Mark { mark: Mark(NonZeroU32::MIN), family: self.family }
        } else {
            ServiceKey::addr(Proto::Tcp, vip(self.family))
        }
    }

    fn write_load(&self, out: &mut String) {
        out.push_str("\nload");
        for dest in self.service().dests.iter() {
            write!(out, " {}:{}+{}", letter(dest.live.key), dest.active(), dest.inactive()).unwrap();
        }
    }
}

/// The number of an address, `plus` higher.
fn plus_addr(addr: IpAddr, plus: u32) -> IpAddr {
    match addr {
        IpAddr::V4(addr) => IpAddr::V4((addr.to_bits() + plus).into()),
        IpAddr::V6(addr) => IpAddr::V6((addr.to_bits() + u128::from(plus)).into()),
    }
}

/// Flags by the names that ipvsadm has for them.
fn flags(scheduler: &str, names: &str) -> SchedFlags {
    let general = [("flag-1", SchedFlags::ONE), ("flag-2", SchedFlags::TWO), ("flag-3", SchedFlags::THREE)];
    let own = algo::find(scheduler).unwrap().flags;
    let find = |name| own.iter().chain(&general).find(|flag| flag.0 == name).unwrap().1;
    names.split(',').map(find).fold(SchedFlags::default(), |all, flag| all | flag)
}

fn default_client(family: Family) -> SocketAddr {
    match family {
        Family::Ipv4 => "10.77.1.2:50000".parse().unwrap(),
        Family::Ipv6 => "[2001:db8:1::2]:50000".parse().unwrap(),
    }
}

fn vip(family: Family) -> SocketAddr {
    match family {
        Family::Ipv4 => "10.77.9.9:80".parse().unwrap(),
        Family::Ipv6 => "[2001:db8:9::9]:80".parse().unwrap(),
    }
}

/// Servers A to F are number 2 in nets 21 to 26, whichever the family.
fn server(family: Family, letter: &str) -> DestKey {
    let net = 21 + letter.as_bytes()[0] - b'A';
    match family {
        Family::Ipv4 => format!("10.77.{net}.2:80").parse().unwrap(),
        Family::Ipv6 => format!("[2001:db8:{net}::2]:80").parse().unwrap(),
    }
}

fn letter(dest: DestKey) -> char {
    let is_it = |letter: &char| server(dest.ip().into(), &letter.to_string()) == dest;
    ('A'..='F').find(is_it).unwrap()
}
