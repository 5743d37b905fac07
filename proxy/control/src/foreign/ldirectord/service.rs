//! `virtual = …` and the lines below it.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use sched::{
    DestKey, DestSpec, Family, Health, Initially, Mark, Netmask, Notify, OnDown, Persistence, Proto,
    SchedFlags, ServiceKey, ServiceSpec, algo,
};

use super::Line;
use super::check::{self, Asking};
use super::options::{self, Effective, Options, number, yes};
use super::real::{self, Real};
use crate::foreign::note::{Notes, Place};
use crate::foreign::shared_checks;
use crate::nearest::choice;

const KEYS: &[&str] =
    &["real", "real6", "scheduler", "schedflags", "persistent", "netmask", "protocol", "ops"];

/// A virtual service as it is written.
pub(super) struct Virtual {
    place: Place,
    key: ServiceKey,
    scheduler: String,
    flags: SchedFlags,
    one_packet: bool,
    persistent: Option<u32>,
    netmask: Option<Netmask>,
    asking: Asking,
    options: Effective,
    reals: Vec<Real>,
}

impl Virtual {
    /// Reads it; nothing if it is not known what it matches.
    pub(super) fn read(head: &Line, lines: &[Line], all: &Options, notes: &mut Notes) -> Option<Self> {
        let family = if head.key == "virtual6" { Family::Ipv6 } else { Family::Ipv4 };
        let proto = protocol(head, lines, notes);
        let key = key(head, family, proto, notes)?;
        let mut service = Self {
            place: head.at(),
            key,
            scheduler: "wrr".to_owned(),
            flags: SchedFlags::default(),
            one_packet: false,
            persistent: None,
            netmask: None,
            asking: Asking::of(key),
            options: Options::default().within(&Options::default(), head, &mut Notes::default()),
            reals: Vec::new(),
        };
        let mut options = Options::default();
        for line in lines {
            if !service.take(line, family, proto, notes)
                && !service.asking.take(line, notes)
                && !options.take(line, notes)
            {
                let known: Vec<_> = KEYS.iter().chain(check::KEYS).copied().chain(options::known()).collect();
                line.unknown(&known, notes);
            }
        }
        service.options = options.within(all, head, notes);
        Some(service)
    }

    fn take(&mut self, line: &Line, family: Family, proto: Proto, notes: &mut Notes) -> bool {
        match line.key.as_str() {
            "real" | "real6" => {
                let of = if line.key == "real6" { Family::Ipv6 } else { Family::Ipv4 };
                if of != family {
                    let help = "below `virtual` there is `real`, below `virtual6` there is `real6`";
                    notes.error(&line.place, format!("`{}` is of the other address family", line.key), help);
                } else {
                    self.reals.extend(real::real(line, family, proto, notes));
                }
            }
            "scheduler" => match algo::find(line.text()) {
                Some(algorithm) => algorithm.name.clone_into(&mut self.scheduler),
                None => {
                    let known: Vec<_> = algo::ALL.iter().map(|a| a.name).collect();
                    let text = format!("there is no scheduler `{}`", line.text());
                    notes.error(&line.at(), text, choice(line.text(), &known));
                }
            },
            "schedflags" => self.flags = flags(&self.scheduler, line, notes),
            "persistent" => self.persistent = number(line, notes),
            "netmask" => self.netmask = netmask(line, family, notes),
            "ops" => self.one_packet = yes(line, notes).unwrap_or_default() && proto == Proto::Udp,
            // Has been read before.
            "protocol" => {}
            _ => return false,
        }
        true
    }

    /// The service.
    pub(super) fn build(self, notes: &mut Notes) -> Option<ServiceSpec> {
        let family = self.key.family();
        if self.key.l4_port() == Some(0) && self.persistent.is_none() {
            notes.error(&self.place, "a service of all ports has to be persistent", "add persistent = 600");
            return None;
        }
        let mut dests: Vec<DestSpec> = Vec::new();
        let mut asked: Vec<(DestKey, Vec<sched::Check>)> = Vec::new();
        for real in &self.reals {
            for addr in &real.addrs {
                let written = SocketAddr::new(*addr, real.l4_port);
                let dest = DestSpec {
                    method: real.method,
                    weight: if self.asking.is_off() { sched::Weight(0) } else { real.weight },
                    upper: real.upper,
                    lower: real.lower,
                    ..DestSpec::new(self.at(written, real.method))
                };
                if dests.iter().any(|other| other.addr == dest.addr) {
                    let text = format!("the second of two real servers {} is left out", dest.addr);
                    notes.changed(&real.place, text, "to give it a larger share, raise its weight");
                    continue;
                }
                let checks = self.asking.checks(self.key, real, written, dest.addr, &self.options, notes);
                asked.push((dest.addr, checks));
                dests.push(dest);
            }
        }
        let is_asked = asked.iter().any(|(_, checks)| !checks.is_empty());
        let (checks, own) = shared_checks(asked);
        let health = Health {
            checks,
            own,
            initially: if is_asked { Initially::Down } else { Initially::Up },
            inhibit: self.options.quiescent,
            sorry: self.sorry(family, notes),
            // With weight 0 it still serves whom it has.
            on_down: if self.options.quiescent { OnDown::Keep } else { OnDown::Reset },
            notify: self.notify(),
            ..Health::default()
        };
        let mask = self.netmask.unwrap_or_else(|| Netmask::full(family));
        let built = ServiceSpec {
            flags: self.flags,
            one_packet: self.one_packet,
            persistence: self.persistent.map(|timeout| Persistence { timeout, mask }),
            health: Some(Arc::new(health)).filter(|health| **health != Health::default()),
            dests,
            ..ServiceSpec::new(self.key, &self.scheduler)
        };
        if crate::foreign::resets(&built) {
            let (text, help) = crate::foreign::RESETS;
            notes.changed(&self.place, text, help);
        }
        Some(built)
    }

    /// Where packets are sent to: only `masq` changes the port.
    fn at(&self, written: SocketAddr, method: sched::ForwardMethod) -> SocketAddr {
        let of_service = self.key.l4_port().unwrap_or(0);
        let port = if method.changes_port() && written.port() != 0 { written.port() } else { of_service };
        SocketAddr::new(written.ip(), port)
    }

    fn sorry(&self, family: Family, notes: &mut Notes) -> Option<DestSpec> {
        if self.asking.is_off() {
            return None;
        }
        let line = self.options.fallback[usize::from(family == Family::Ipv6)].as_ref()?;
        let (addr, method) = real::fallback(line, family, self.key.proto().unwrap_or(Proto::Tcp), notes)?;
        Some(DestSpec { method, ..DestSpec::new(self.at(addr, method)) })
    }

    /// The command is told whether the fallback starts or stops, and of which service.
    fn notify(&self) -> Notify {
        let Some(command) = &self.options.fallbackcommand else { return Notify::default() };
        let (service, proto) = match self.key {
            ServiceKey::Addr { vip, l4_port, proto } => {
                (SocketAddr::new(vip, l4_port).to_string(), proto.name().to_ascii_lowercase())
            }
            ServiceKey::Mark { mark, .. } => (mark.0.to_string(), "fwm".to_owned()),
        };
        let tell = |what| Some(format!("{command} {what} {service} {proto}").into());
        Notify { quorum_down: tell("start"), quorum_up: tell("stop"), ..Notify::default() }
    }
}

/// UDP at port 53, else TCP, unless it is said.
fn protocol(head: &Line, lines: &[Line], notes: &mut Notes) -> Proto {
    let (_, port) = real::host_and_port(&head.value);
    let line = lines.iter().rev().find(|line| line.key == "protocol");
    match line.map(Line::text) {
        Some("tcp" | "fwm") => Proto::Tcp,
        Some("udp") => Proto::Udp,
        Some(other) => {
            if let Some(line) = line {
                let help = "write tcp or udp, or fwm where the virtual service is a mark";
                notes.error(&line.at(), format!("there is no protocol `{other}`"), help);
            }
            Proto::Tcp
        }
        None if matches!(port, Some("53" | "domain")) => Proto::Udp,
        None => Proto::Tcp,
    }
}

fn key(head: &Line, family: Family, proto: Proto, notes: &mut Notes) -> Option<ServiceKey> {
    if let Ok(mark) = head.value.parse::<NonZeroU32>() {
        return Some(ServiceKey::Mark { mark: Mark(mark), family });
    }
    let (host, port) = real::host_and_port(&head.value);
    if port.is_none() {
        let help = "write address and port, or a mark: virtual = 10.0.0.1:80, virtual = 3";
        notes.error(&head.at(), format!("`{}` is no virtual service", head.value), help);
        return None;
    }
    let l4_port = real::port_of(port, proto, &head.at(), notes)?;
    let vip = real::address(host, family, &head.at(), notes)?;
    Some(ServiceKey::Addr { proto, vip, l4_port })
}

fn netmask(line: &Line, family: Family, notes: &mut Notes) -> Option<Netmask> {
    let text = line.text();
    let mask = match family {
        Family::Ipv4 => text.parse().ok().map(Netmask::V4),
        Family::Ipv6 => text.parse().ok().filter(|n| *n > 0).and_then(|n| Netmask::prefix(family, n)),
    };
    if mask.is_none() {
        let help = "write for example 255.255.255.0, or for IPv6 the length of a prefix, 1 to 128";
        notes.error(&line.at(), format!("`{text}` is no mask of client addresses"), help);
    }
    mask
}

/// `schedflags = sh-port,sh-fallback`, as `ipvsadm -b` takes them.
fn flags(scheduler: &str, line: &Line, notes: &mut Notes) -> SchedFlags {
    let own = algo::find(scheduler).map_or(&[][..], |a| a.flags);
    let mut flags = SchedFlags::default();
    for word in line.text().split(',').map(str::trim) {
        match own.iter().find(|(name, _)| *name == word) {
            Some((_, flag)) => flags = flags | *flag,
            None => {
                let text = format!("`{word}` is no flag of the scheduler {scheduler}");
                let names: Vec<_> = own.iter().map(|(name, _)| *name).collect();
                let help = if names.is_empty() {
                    "it has none; `scheduler` has to stand above".to_owned()
                } else {
                    format!("it has {}", names.join(", "))
                };
                notes.error(&line.at(), text, help);
            }
        }
    }
    flags
}
