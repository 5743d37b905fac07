//! `real_server`: what is written there.

use std::net::IpAddr;

use sched::{Check, ForwardMethod, Weight};

use super::check;
use super::method;
use super::service::Inherited;
use super::surplus;
use super::timers;
use super::tree::Item;
use super::value;
use super::{Script, Shared};
use crate::foreign::note::{Notes, Place};

const KEYWORDS: &[&str] = &[
    "weight",
    "lvs_method",
    "notify_up",
    "notify_down",
    "uthreshold",
    "lthreshold",
    "smtp_alert",
    "virtualhost",
    "snmp_name",
    "inhibit_on_failure",
];

/// A real server as it is written.
#[derive(Debug)]
pub(super) struct Real {
    pub(super) place: Place,
    pub(super) addr: IpAddr,
    /// 0 where none is written.
    pub(super) l4_port: u16,
    pub(super) method: ForwardMethod,
    pub(super) weight: Weight,
    pub(super) upper: u32,
    pub(super) lower: u32,
    pub(super) inhibit: bool,
    pub(super) up: Option<Script>,
    pub(super) down: Option<Script>,
    pub(super) checks: Vec<Asked>,
}

/// A check and where it is written.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) check: Check,
    pub(super) place: Place,
    /// The server is down until it has been asked this.
    pub(super) alpha: bool,
}

/// Reads one; nothing if its address could not be understood.
pub(super) fn read(
    item: &Item,
    outer: &Inherited,
    inhibit: bool,
    shared: &Shared,
    notes: &mut Notes,
) -> Option<Real> {
    let addr = value::address(item, 0, notes);
    let l4_port = super::group::port(item.args.get(1), notes);
    if item.block.is_none() {
        let help = "for example real_server 192.168.1.1 80 { TCP_CHECK { } }";
        notes.error(item.place(), "this real server has no block", help);
    }
    let mut real = Real {
        place: item.place().clone(),
        addr: addr.unwrap_or_else(|| IpAddr::from([0, 0, 0, 0])),
        l4_port,
        method: outer.method,
        weight: Weight(outer.weight),
        upper: 0,
        lower: 0,
        inhibit,
        up: None,
        down: None,
        checks: Vec::new(),
    };
    let mut inner = outer.clone();
    inner.timers = timers::Timers::default();
    let number = |item: &Item, notes: &mut Notes| value::small(item, 0..=i32::MAX as u32, notes);
    let mut lower = None;
    for item in item.items() {
        match item.name() {
            "weight" => real.weight = number(item, notes).map(Weight).unwrap_or_default(),
            "lvs_method" => real.method = method::method(item, notes).unwrap_or_default(),
            "notify_up" => shared.script(item, &mut real.up, notes),
            "notify_down" => shared.script(item, &mut real.down, notes),
            "uthreshold" => real.upper = number(item, notes).unwrap_or(0),
            "lthreshold" => {
                real.lower = number(item, notes).unwrap_or(0);
                lower = Some(item.place());
            }
            "inhibit_on_failure" => real.inhibit = value::switch(item, notes),
            "virtualhost" => {
                inner.virtualhost = value::word(item, "www.example", notes).map(str::to_owned);
            }
            "smtp_alert" => notes.unhandled(item.place(), super::MAIL.0, super::MAIL.1),
            "snmp_name" => notes.unhandled(item.place(), super::SNMP.0, super::SNMP.1),
            name if check::is_checker(name) => {}
            _ if inner.timers.take(item, notes) => {}
            _ => {
                let known: Vec<_> = KEYWORDS.iter().copied().chain(timers::KEYWORDS).collect();
                let known: Vec<_> = known.into_iter().chain(check::CHECKERS).collect();
                value::unknown(item, &known, notes);
                continue;
            }
        }
        surplus::look(item, notes);
    }
    if let Some(place) = lower.filter(|_| real.lower > real.upper) {
        let text = format!("`lthreshold` is above `uthreshold`, which is {}", real.upper);
        let help = "below `lthreshold` connections an overloaded server gets new ones again: write a larger uthreshold";
        notes.error(place, text, help);
        real.lower = 0;
    }
    inner.timers = inner.timers.within(outer.timers);
    for item in item.items().iter().filter(|item| check::is_checker(item.name())) {
        check::read(item, &inner, addr, shared, &mut real.checks, notes);
    }
    addr.map(|_| real)
}
