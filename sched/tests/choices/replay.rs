//! Replays what a kernel IPVS answered: every pick and every count in `../oracle/*.txt` must come out the same.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use sched::{
    DestKey, DestSpec, Family, Flow, Knobs, Mark, Op, Proto, SchedFlags, ServiceKey, ServiceSpec, Weight,
    algo,
};

/// What is asked who gets a connection.
pub(crate) trait Director: Default {
    /// An edit that is legal.
    fn edit(&mut self, op: &Op);

    /// Opens a connection and closes it again unless it is to stay. Who got it.
    fn connect(&mut self, key: &ServiceKey, flow: &Flow, keep: bool) -> Option<DestKey>;

    /// The oldest open connection of this server, a removed one perhaps, is closed, or times out.
    fn end(&mut self, server: DestKey, times_out: bool);

    /// The servers of a service in the order of its list, with their active and inactive connections.
    fn loads(&self, key: &ServiceKey) -> Vec<(DestKey, u64, u64)>;
}

/// Who was asked, and what was answered; one of them is about thresholds and asks everybody.
const RECORDED: &[(&str, &str)] = &[
    ("rr", include_str!("../oracle/rr.txt")),
    ("wrr", include_str!("../oracle/wrr.txt")),
    ("lc", include_str!("../oracle/lc.txt")),
    ("wlc", include_str!("../oracle/wlc.txt")),
    ("sed", include_str!("../oracle/sed.txt")),
    ("nq", include_str!("../oracle/nq.txt")),
    ("fo", include_str!("../oracle/fo.txt")),
    ("ovf", include_str!("../oracle/ovf.txt")),
    ("lblc", include_str!("../oracle/lblc.txt")),
    ("lblcr", include_str!("../oracle/lblcr.txt")),
    ("dh", include_str!("../oracle/dh.txt")),
    ("sh", include_str!("../oracle/sh.txt")),
    ("mh", include_str!("../oracle/mh.txt")),
    ("", include_str!("../oracle/thresholds.txt")),
];

/// The client's port where a scenario does not name one: it was any.
pub(crate) const SOME_PORT: u16 = 50000;

/// Puts all scenarios to a director.
pub(crate) fn replay_all<D: Director>() {
    for (scheduler, text) in RECORDED {
        replay::<D>(scheduler, text);
    }
}

/// Runs a file step by step and compares the lines that it would have recorded with those that are there.
fn replay<D: Director>(scheduler: &str, text: &str) {
    assert!(text.starts_with("# Kernel "), "the file says which kernel answered");
    let who = std::any::type_name::<D>();
    let scenarios = text.split("\nscenario ").skip(1);
    let mut count = 0;
    for scenario in scenarios {
        count += 1;
        let (title, recorded) = scenario.split_once('\n').unwrap();
        assert!(recorded.contains(&format!("scheduler {scheduler}")), "{title}");
        assert!(recorded.contains(" -> "), "{title}: no answers");
        let mut world = World::<D>::new();
        let mut replayed = String::new();
        for line in recorded.lines().filter(|line| !line.starts_with("load") && !line.is_empty()) {
            let step = line.split(" ->").next().unwrap();
            world.step(step, &mut replayed);
        }
        assert_eq!(replayed.trim_end(), recorded.trim_end(), "{who}, {scheduler}: {title}");
    }
    assert!(count >= 10, "{scheduler}: {count} scenarios");
}

/// A scenario, with the connections that its clients hold.
struct World<D> {
    director: D,
    family: Family,
    marked: bool,
    now: Duration,
    knobs: Knobs,
    /// Whether there is a service.
    made: bool,
    held: HashMap<DestKey, u32>,
}

impl<D: Director> World<D> {
    fn new() -> Self {
        Self {
            director: D::default(),
            family: Family::Ipv4,
            marked: false,
            now: Duration::ZERO,
            knobs: Knobs::default(),
            made: false,
            held: HashMap::new(),
        }
    }

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
                let known = std::mem::replace(&mut self.made, true);
                self.edit(if known { Op::EditService { service } } else { Op::AddService { service } });
            }
            "drop" => {
                self.edit(Op::DelService { key: self.key() });
                self.made = false;
            }
            "add" => self.edit(Op::AddDest { key: self.key(), dest: dest() }),
            "edit" => self.edit(Op::EditDest { key: self.key(), dest: dest() }),
            "del" => self.edit(Op::DelDest { key: self.key(), addr: server() }),
            "hit" | "hold" | "fan" => {
                out.push_str(" -> ");
                for i in 0..number(1, 1) {
                    let flow = self.flow(&words[2..], if words[0] == "fan" { i } else { 0 });
                    out.push(self.connect(&flow, words[0] == "hold"));
                }
                self.write_load(out);
            }
            "release" | "lapse" => {
                let held = self.held.get_mut(&server()).unwrap();
                let count = number(2, 1).min(*held);
                *held -= count;
                for _ in 0..count {
                    self.director.end(server(), words[0] == "lapse");
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

    fn edit(&mut self, op: Op) {
        self.director.edit(&op);
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
        let Some(server) = self.director.connect(&self.key(), flow, keep) else { return '-' };
        *self.held.entry(server).or_default() += u32::from(keep);
        letter(server)
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
        for (server, active, inactive) in self.director.loads(&self.key()) {
            write!(out, " {}:{active}+{inactive}", letter(server)).unwrap();
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
        Family::Ipv4 => SocketAddr::new("10.77.1.2".parse().unwrap(), SOME_PORT),
        Family::Ipv6 => SocketAddr::new("2001:db8:1::2".parse().unwrap(), SOME_PORT),
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
