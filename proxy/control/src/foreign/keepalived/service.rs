//! `virtual_server`: what is written there, before anything is made of it.

use std::net::{IpAddr, SocketAddr};

use sched::{Family, ForwardMethod, Netmask, Persistence, PersistenceEngine, Proto, SchedFlags};

use super::method;
use super::server::{self, Real};
use super::surplus;
use super::timers::{self, Timers};
use super::tree::Item;
use super::value;
use super::{Script, Shared};
use crate::foreign::note::{Notes, Place};

const KEYWORDS: &[&str] = &[
    "lvs_sched",
    "lb_algo",
    "lvs_method",
    "lb_kind",
    "ops",
    "persistence_engine",
    "persistence_timeout",
    "persistence_granularity",
    "protocol",
    "ha_suspend",
    "smtp_alert",
    "virtualhost",
    "snmp_name",
    "omega",
    "quorum",
    "hysteresis",
    "quorum_up",
    "quorum_down",
    "ip_family",
    "sorry_server",
    "sorry_server_inhibit",
    "sorry_server_lvs_method",
    "inhibit_on_failure",
    "weight",
    "real_server",
    "hashed",
    "notify_up",
    "notify_down",
];

/// A virtual server as it is written.
#[derive(Debug)]
pub(super) struct Virtual {
    pub(super) place: Place,
    pub(super) scheduler: Option<String>,
    pub(super) flags: SchedFlags,
    pub(super) method: ForwardMethod,
    pub(super) one_packet: bool,
    pub(super) persistence: Option<u32>,
    pub(super) granularity: Option<(Netmask, Place)>,
    pub(super) engine: Option<(PersistenceEngine, Place)>,
    pub(super) proto: Option<Proto>,
    pub(super) family: Option<Family>,
    pub(super) timers: Timers,
    pub(super) omega: bool,
    pub(super) inhibit: bool,
    pub(super) quorum: (u32, Place),
    pub(super) hysteresis: (u32, Place),
    pub(super) quorum_up: Option<Script>,
    pub(super) quorum_down: Option<Script>,
    pub(super) sorry: Option<(IpAddr, u16, Place)>,
    pub(super) sorry_inhibit: bool,
    pub(super) sorry_method: Option<ForwardMethod>,
    pub(super) servers: Vec<Real>,
}

/// What a virtual server says for its real servers and their checkers, too.
#[derive(Clone, Debug, Default)]
pub(super) struct Inherited {
    pub(super) method: ForwardMethod,
    pub(super) weight: u32,
    pub(super) timers: Timers,
    pub(super) virtualhost: Option<String>,
}

pub(super) fn read(item: &Item, shared: &Shared, notes: &mut Notes) -> Virtual {
    let place = item.place().clone();
    let mut service = Virtual {
        scheduler: None,
        flags: SchedFlags::default(),
        method: ForwardMethod::Masq,
        one_packet: false,
        persistence: None,
        granularity: None,
        engine: None,
        proto: None,
        family: None,
        timers: Timers::default(),
        omega: false,
        inhibit: false,
        quorum: (1, place.clone()),
        hysteresis: (0, place.clone()),
        quorum_up: None,
        quorum_down: None,
        sorry: None,
        sorry_inhibit: false,
        sorry_method: None,
        servers: Vec::new(),
        place,
    };
    let mut inherited = Inherited { weight: 1, ..Inherited::default() };
    for item in item.items() {
        if !service.take_scheduling(item, notes)
            && !service.take_health(item, shared, notes)
            && !inherited.take(item, notes)
            && !nothing_here(item, notes)
            && item.name() != "real_server"
        {
            let known: Vec<_> = KEYWORDS.iter().copied().chain(timers::KEYWORDS).collect();
            let known: Vec<_> = known.into_iter().chain(method::FLAGS.map(|(name, _)| name)).collect();
            value::unknown(item, &known, notes);
        } else {
            surplus::look(item, notes);
        }
    }
    (service.method, service.timers) = (inherited.method, inherited.timers);
    // What is said below them counts as well.
    for item in item.items().iter().filter(|item| item.name() == "real_server") {
        service.servers.extend(server::read(item, &inherited, service.inhibit, shared, notes));
    }
    service
}

impl Inherited {
    fn take(&mut self, item: &Item, notes: &mut Notes) -> bool {
        match item.name() {
            "lvs_method" | "lb_kind" => self.method = method::method(item, notes).unwrap_or_default(),
            "weight" => self.weight = value::small(item, 0..=i32::MAX as u32, notes).unwrap_or(1),
            "virtualhost" => {
                self.virtualhost = value::word(item, "www.example", notes).map(str::to_owned);
            }
            _ => return self.timers.take(item, notes),
        }
        true
    }
}

impl Virtual {
    fn take_scheduling(&mut self, item: &Item, notes: &mut Notes) -> bool {
        match item.name() {
            "lvs_sched" | "lb_algo" => {
                self.scheduler = method::scheduler(item, notes);
                // Flags stand behind it, too.
                for (n, word) in item.args.iter().enumerate().skip(1) {
                    match method::flag(&word.text) {
                        Some(flag) => self.flags = self.flags | flag,
                        None => {
                            let text = format!("`{}` is no flag of a scheduler", word.text);
                            notes.error(item.place_of(n), text, "for example lvs_sched mh mh-port");
                        }
                    }
                }
            }
            "ops" => self.one_packet = true,
            "persistence_timeout" => {
                let range = 1..=Persistence::MAX_TIMEOUT;
                self.persistence = match item.arg(0) {
                    None => Some(Persistence::DEFAULT_TIMEOUT),
                    Some("0") => None,
                    Some(_) => value::small(item, range, notes),
                };
            }
            "persistence_granularity" => {
                self.granularity = mask(item, notes).map(|mask| (mask, item.place().clone()));
            }
            "persistence_engine" => match value::word(item, "sip", notes) {
                Some("sip") => self.engine = Some((PersistenceEngine::Sip, item.place().clone())),
                Some(other) => {
                    let text = format!("there is no persistence engine `{other}`");
                    notes.error(item.place_of(0), text, "there is one: sip");
                }
                None => {}
            },
            "protocol" => self.proto = proto(item, notes),
            "ip_family" => self.family = family(item, notes),
            name => match flag_for(name, self.scheduler.as_deref()) {
                None => return false,
                Some(Some(flag)) => self.flags = self.flags | flag,
                Some(None) => {
                    let help = "write it below `lvs_sched` of that scheduler, or delete it";
                    notes.unhandled(item.place(), format!("`{name}` is for another scheduler"), help);
                }
            },
        }
        true
    }

    fn take_health(&mut self, item: &Item, shared: &Shared, notes: &mut Notes) -> bool {
        let place = || item.place().clone();
        match item.name() {
            "omega" => self.omega = true,
            "inhibit_on_failure" => self.inhibit = value::switch(item, notes),
            "quorum" => {
                self.quorum = (value::small(item, 1..=u32::MAX, notes).unwrap_or(1), place());
            }
            "hysteresis" => {
                self.hysteresis = (value::small(item, 0..=u32::MAX, notes).unwrap_or(0), place());
            }
            "quorum_up" => shared.script(item, &mut self.quorum_up, notes),
            "quorum_down" => shared.script(item, &mut self.quorum_down, notes),
            "sorry_server" => {
                let port = super::group::port(item.args.get(1), notes);
                self.sorry = value::address(item, 0, notes).map(|addr| (addr, port, place()));
            }
            "sorry_server_inhibit" => self.sorry_inhibit = true,
            "sorry_server_lvs_method" => self.sorry_method = method::method(item, notes),
            _ => return false,
        }
        true
    }

    /// Where a server is, with the port that is taken in place of none.
    pub(super) fn sorry_at(&self, l4_port: u16) -> Option<(SocketAddr, &Place)> {
        let (addr, port, place) = self.sorry.as_ref()?;
        Some((SocketAddr::new(*addr, if *port == 0 { l4_port } else { *port }), place))
    }
}

/// The switch that a keyword is, if it is one, and if the scheduler has it.
fn flag_for(name: &str, scheduler: Option<&str>) -> Option<Option<SchedFlags>> {
    let flag = method::flag(name)?;
    let whose = name.split_once('-').map(|(whose, _)| whose).filter(|whose| *whose != "flag");
    Some(Some(flag).filter(|_| whose.is_none() || whose == scheduler))
}

/// What is understood, and has no meaning here.
fn nothing_here(item: &Item, notes: &mut Notes) -> bool {
    let (text, help) = match item.name() {
        "ha_suspend" => (
            "servers are asked whether or not the address is here",
            "`ulvs run` on the standby costs its servers only the questions",
        ),
        "smtp_alert" => super::MAIL,
        "snmp_name" => super::SNMP,
        "hashed" => ("`hashed` has no meaning any more", "delete it"),
        _ => return false,
    };
    notes.unhandled(item.place(), text, help);
    true
}

fn mask(item: &Item, notes: &mut Notes) -> Option<Netmask> {
    let text = value::word(item, "255.255.255.0", notes)?;
    let mask = match text.parse::<u8>() {
        Ok(length) => Netmask::prefix(Family::Ipv6, length).filter(|_| length > 0),
        Err(_) => text.parse().ok().map(Netmask::V4),
    };
    if mask.is_none() {
        let help = "write for example 255.255.255.0, or for IPv6 the length of a prefix, 1 to 128";
        notes.error(item.place_of(0), format!("`{text}` is no mask of client addresses"), help);
    }
    mask
}

fn proto(item: &Item, notes: &mut Notes) -> Option<Proto> {
    let name = value::word(item, "TCP", notes)?;
    let proto = Proto::ALL.into_iter().find(|proto| proto.name() == name.to_ascii_uppercase());
    if proto.is_none() {
        notes.error(item.place_of(0), format!("there is no protocol `{name}`"), "write TCP, UDP or SCTP");
    }
    proto
}

fn family(item: &Item, notes: &mut Notes) -> Option<Family> {
    match value::word(item, "inet6", notes)? {
        "inet" => Some(Family::Ipv4),
        "inet6" => Some(Family::Ipv6),
        other => {
            let text = format!("there is no family `{other}`");
            notes.error(item.place_of(0), text, "write inet or inet6");
            None
        }
    }
}
