//! `checktype` and what belongs to it: what real servers are asked.

use std::net::SocketAddr;

use sched::{Check, CheckKind, ExecCheck, Proto, ServiceKey};

use super::Line;
use super::negotiate;
use super::options::Effective;
use super::real::Real;
use crate::foreign::note::{Notes, Place};
use crate::health::command::words;
use crate::health::probe;
use crate::nearest::choice;

/// The keys of [`Asking::take`].
pub(super) const KEYS: &[&str] = &[
    "checktype",
    "service",
    "checkcommand",
    "checkport",
    "request",
    "receive",
    "httpmethod",
    "virtualhost",
    "login",
    "passwd",
    "database",
    "secret",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Connect,
    Negotiate,
    Ping,
    External,
    On,
    Off,
    /// So many connections for one negotiation.
    Combined(u32),
}

const TYPES: [&str; 7] = ["connect", "negotiate", "ping", "external", "external-perl", "on", "off"];

/// What a virtual service says about checks.
#[derive(Debug)]
pub(super) struct Asking {
    kind: Type,
    pub(super) service: String,
    command: String,
    checkport: Option<u16>,
    pub(super) request: String,
    pub(super) receive: String,
    pub(super) httpmethod: String,
    pub(super) virtualhost: Option<String>,
    /// Where it is said what is negotiated.
    place: Option<Place>,
    /// Where the pattern is that an answer has to match.
    pattern: Option<Place>,
}

impl Asking {
    /// The defaults, which the port tells.
    pub(super) fn of(key: ServiceKey) -> Self {
        Self {
            kind: Type::Negotiate,
            service: negotiate::service_of(key.l4_port()).to_owned(),
            command: "/bin/true".to_owned(),
            checkport: None,
            request: String::new(),
            receive: String::new(),
            httpmethod: "GET".to_owned(),
            virtualhost: None,
            place: None,
            pattern: None,
        }
    }

    pub(super) fn is_off(&self) -> bool {
        self.kind == Type::Off
    }

    /// Whether the key is one of these; then it is taken.
    pub(super) fn take(&mut self, line: &Line, notes: &mut Notes) -> bool {
        match line.key.as_str() {
            "checktype" => self.checktype(line, notes),
            "service" => {
                if negotiate::SERVICES.contains(&line.text()) {
                    line.text().clone_into(&mut self.service);
                    self.place = Some(line.place.clone());
                } else {
                    let text = format!("there is no service `{}`", line.text());
                    notes.error(&line.at(), text, choice(line.text(), &negotiate::SERVICES));
                }
            }
            "checkcommand" => {
                if let Some(command) = line.command(notes) {
                    self.command = command;
                }
            }
            "checkport" => self.checkport = port(line, notes),
            "request" => line.text().clone_into(&mut self.request),
            "receive" => {
                line.text().clone_into(&mut self.receive);
                self.pattern = Some(line.at());
            }
            "httpmethod" => self.httpmethod = line.text().to_ascii_uppercase(),
            "virtualhost" => self.virtualhost = Some(line.text().to_owned()),
            "login" | "passwd" | "database" | "secret" => {
                let text = "no check logs in to a server";
                notes.unhandled(&line.place, text, "a command can: checktype = external");
            }
            _ => return false,
        }
        true
    }

    fn checktype(&mut self, line: &Line, notes: &mut Notes) {
        self.kind = match line.text() {
            "connect" => Type::Connect,
            "negotiate" => Type::Negotiate,
            "ping" => Type::Ping,
            "external" => Type::External,
            "external-perl" => {
                let text = "the check is a program of its own here, not Perl within ldirectord";
                notes.changed(
                    &line.place,
                    text,
                    "see that the script begins with #!/usr/bin/perl and may be run",
                );
                Type::External
            }
            "on" => Type::On,
            "off" => {
                let text = "the servers are there with weight 0: nobody gets anything";
                notes.changed(&line.place, text, "`checktype = on` lets them serve without checks");
                Type::Off
            }
            other => match other.parse() {
                Ok(n) => Type::Combined(n),
                Err(_) => {
                    let help = choice(other, &TYPES) + ", or a number";
                    notes.error(&line.at(), format!("there is no checktype `{other}`"), help);
                    return;
                }
            },
        };
    }

    /// What a server is asked.
    pub(super) fn checks(
        &self,
        key: ServiceKey,
        real: &Real,
        written: SocketAddr,
        dest: SocketAddr,
        options: &Effective,
        notes: &mut Notes,
    ) -> Vec<Check> {
        let check = |kind: CheckKind, timeout| {
            let by_port = !matches!(kind, CheckKind::Icmp | CheckKind::Exec(_));
            let written = Some(written.port()).filter(|port| *port != 0);
            let port = self.checkport.or(written).or_else(|| negotiate::port_of(&self.service));
            Check {
                interval: options.checkinterval,
                timeout,
                fall: options.failurecount,
                rise: 1,
                port: port.filter(|port| by_port && *port != dest.port()),
                ..Check::new(kind)
            }
        };
        let connect = match key.proto() {
            Some(Proto::Udp) => CheckKind::Icmp,
            _ => CheckKind::Tcp,
        };
        let place = self.place.as_ref().unwrap_or(&real.place);
        let negotiated = |notes: &mut Notes| {
            let asked = negotiate::kind(self, key, real, place, notes)?;
            let made = check(asked.kind, options.negotiatetimeout);
            let check = Check { addr: asked.addr, port: asked.port.or(made.port), ..made };
            if let Err(why) = probe::check(&check) {
                let of_all = self.pattern.as_ref().filter(|_| real.asked.is_none());
                let help = "write another one; a pattern has neither look-around nor back-references";
                notes.error(of_all.unwrap_or(&real.place), why, help);
                return None;
            }
            Some(check)
        };
        match self.kind {
            Type::On | Type::Off => Vec::new(),
            Type::Ping => vec![check(CheckKind::Icmp, options.checktimeout)],
            Type::Connect => vec![check(connect, options.checktimeout)],
            Type::External => {
                let exec = ExecCheck { command: self.external(key, written), ..ExecCheck::default() };
                vec![check(CheckKind::Exec(exec), options.checktimeout)]
            }
            Type::Negotiate | Type::Combined(0) => negotiated(notes).into_iter().collect(),
            Type::Combined(n) => {
                let seldom = options.checkinterval.saturating_mul(n.saturating_add(1));
                let negotiated = negotiated(notes).map(|check| Check { interval: seldom, ..check });
                std::iter::once(check(connect, options.checktimeout)).chain(negotiated).collect()
            }
        }
    }

    /// The command with the service and the server as its arguments.
    fn external(&self, key: ServiceKey, real: SocketAddr) -> Vec<String> {
        let of_service = match key {
            ServiceKey::Addr { vip, l4_port, .. } => [bracketed(vip), l4_port.to_string()],
            ServiceKey::Mark { mark, .. } => [mark.0.to_string(), "0".to_owned()],
        };
        let of_real = [bracketed(real.ip()), real.port().to_string()];
        words(&self.command).unwrap_or_default().into_iter().chain(of_service).chain(of_real).collect()
    }
}

/// By number only, as ldirectord takes it.
fn port(line: &Line, notes: &mut Notes) -> Option<u16> {
    let port = line.text().parse().ok().filter(|port| *port > 0);
    if port.is_none() {
        let help = "write a number from 1 to 65535: checkport = 8080";
        notes.error(&line.at(), format!("`{}` is not a port", line.value), help);
    }
    port
}

fn bracketed(addr: std::net::IpAddr) -> String {
    if addr.is_ipv6() { format!("[{addr}]") } else { addr.to_string() }
}
