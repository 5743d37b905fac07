//! What nearly every checker can say: where and how it connects, and when.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sched::{Check, CheckKind};

use super::surplus;
use super::timers::{self, Defaults, Timers};
use super::tree::Item;
use super::value;
use crate::foreign::note::Notes;

pub(super) const KEYWORDS: [&str; 7] =
    ["connect_ip", "connect_port", "bindto", "bind_port", "bind_if", "fwmark", "log_all_failures"];

/// Where, how and when.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection {
    pub(super) timers: Timers,
    /// The server's address, when nothing else is said.
    server: Option<IpAddr>,
    addr: Option<IpAddr>,
    port: Option<u16>,
    bind: Option<IpAddr>,
    bind_port: u16,
    device: Option<String>,
    mark: Option<u32>,
}

impl Connection {
    /// Reads the block of a checker: `own` takes what only this one knows, which is named in `known`.
    pub(super) fn read(
        item: &Item,
        server: Option<IpAddr>,
        known: &[&str],
        notes: &mut Notes,
        mut own: impl FnMut(&Item, &mut Notes) -> bool,
    ) -> Self {
        let mut connection = Self { server, ..Self::default() };
        if item.block.is_none() {
            let help = format!("for example {} {{ }}", item.name());
            notes.error(item.place(), format!("`{}` has no block", item.name()), help);
        }
        for item in item.items() {
            if !own(item, notes) && !connection.take(item, notes) {
                let known: Vec<_> = known.iter().copied().chain(timers::KEYWORDS).chain(KEYWORDS).collect();
                value::unknown(item, &known, notes);
            } else {
                surplus::look(item, notes);
            }
        }
        connection
    }

    /// Whether the keyword is one of these; then it is taken.
    pub(super) fn take(&mut self, item: &Item, notes: &mut Notes) -> bool {
        let port = |item: &Item, notes: &mut Notes| {
            let port = super::group::port(item.args.first(), notes);
            if item.args.is_empty() {
                value::word(item, "80", notes);
            }
            Some(port).filter(|port| *port > 0)
        };
        match item.name() {
            "connect_ip" => self.addr = value::address(item, 0, notes),
            "connect_port" => self.port = port(item, notes),
            "bindto" => self.bind = value::address(item, 0, notes),
            "bind_port" => self.bind_port = port(item, notes).unwrap_or(0),
            "bind_if" => self.device = value::word(item, "eth0", notes).map(str::to_owned),
            "fwmark" => self.mark = value::small(item, 0..=u32::MAX, notes).filter(|mark| *mark > 0),
            "log_all_failures" => {
                let help = "`ulvs health` shows what each server answered last";
                notes.unhandled(item.place(), "failures are told where they change a server's state", help);
            }
            _ => return self.timers.take(item, notes),
        }
        true
    }

    /// With what has been said further out, where nothing is said here.
    pub(super) fn within(self, outer: &Self) -> Self {
        Self {
            timers: self.timers.within(outer.timers),
            server: self.server.or(outer.server),
            addr: self.addr.or(outer.addr),
            port: self.port.or(outer.port),
            bind: self.bind.or(outer.bind),
            bind_port: if self.bind_port == 0 { outer.bind_port } else { self.bind_port },
            device: self.device.or_else(|| outer.device.clone()),
            mark: self.mark.or(outer.mark),
        }
    }

    /// A check that connects like this.
    pub(super) fn check(&self, kind: CheckKind, defaults: Defaults) -> Check {
        let any = match self.addr.or(self.server) {
            Some(IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
            _ => Ipv4Addr::UNSPECIFIED.into(),
        };
        let bind = match (self.bind, self.bind_port) {
            (None, 0) => None,
            (addr, port) => Some(SocketAddr::new(addr.unwrap_or(any), port)),
        };
        Check {
            addr: self.addr.filter(|addr| Some(*addr) != self.server),
            port: self.port,
            bind,
            device: self.device.clone(),
            mark: self.mark,
            ..self.timers.check(kind, defaults)
        }
    }
}
