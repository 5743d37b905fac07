//! Configurations that were written for other programs, read as they are: keepalived's and ldirectord's.
//!
//! Each becomes services with their health, as our own configuration has them, and [`Notes`]: what was not understood, what
//! has no effect here, what is done differently, each with its line and the way out. A file is not refused for that; only an
//! error makes it useless.

pub mod keepalived;
pub mod ldirectord;
mod note;
mod services;

use std::collections::{BTreeMap, HashSet};
use std::io::{Error, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use sched::{Check, DestKey, Health, OnDown, Op, Proto, ServiceKey, ServiceSpec, ServiceTable, Trash};

use crate::config::{Config, write};
use crate::health::command::words;
use crate::settings::Timeouts;

pub use note::{Note, Notes, Place, Severity};

/// What a file for another program says.
#[derive(Debug, Default)]
pub struct Foreign {
    /// The services, in the file's order.
    pub services: Vec<ServiceSpec>,
    /// Connection timeouts.
    pub timeouts: Timeouts,
    /// What there is to say about it.
    pub notes: Notes,
}

/// What is larger is no configuration.
const MOST_BYTES: u64 = 64 << 20;

/// A file's text; of a device, not all of it.
fn read_text(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Error::other("it is over 64 MiB, too large to be a configuration"));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
        Error::new(ErrorKind::InvalidData, format!("a byte of line {line} is not UTF-8 text"))
    })
}

/// Adds services, each of which may be there once and has to be one that the table takes.
fn add_services(
    all: &mut Vec<ServiceSpec>,
    known: &mut HashSet<ServiceKey>,
    new: Vec<ServiceSpec>,
    place: &Place,
    notes: &mut Notes,
) {
    // A group has the same one each time.
    let mut said = None;
    for mut service in new {
        let key = service.key;
        let sorry = leave_out_sorry(&mut service);
        if let Some(addr) = sorry.filter(|_| sorry != said) {
            let text = format!("the sorry server {addr} is one of the servers, and is left out");
            notes.changed(place, text, "take another address for it, or delete the server");
            said = sorry;
        }
        if !known.insert(key) {
            if all.contains(&service) {
                let text = format!("the service {key} is there already, just like this: once is enough");
                notes.changed(place, text, "delete one of the two");
                continue;
            }
            let help = "merge its servers into the first one, or delete one of the two";
            notes.error(place, format!("the service {key} is there already"), help);
            continue;
        }
        // Of those of a group that differ in their address only, the rest is looked at once.
        let like = |other: &ServiceSpec| {
            let kind = |key: ServiceKey| (key.family(), key.proto(), key.l4_port());
            kind(other.key) == kind(key) && other.dests == service.dests && other.health == service.health
        };
        let bare = match all.last() {
            Some(last) if like(last) => ServiceSpec { dests: Vec::new(), health: None, ..service.clone() },
            _ => service.clone(),
        };
        let mut text = String::new();
        write::service(&mut text, &bare);
        // Whatever our own file could not say is as wrong here.
        if let Err(error) = Config::parse("", &text) {
            for problem in error.problems() {
                notes.error(place, format!("{key}: {}", problem.message), &problem.help);
            }
            continue;
        }
        let op = Op::AddService { service: bare };
        match ServiceTable::default().apply(&mut Trash::default(), &[op]) {
            Ok(_) => all.push(service),
            Err((_, error)) => {
                notes.error(
                    place,
                    format!("this cannot be a service: {error}"),
                    "see that each address is that of one host, and none is link-local",
                );
            }
        }
    }
}

/// A sorry server that is a real server, too, would go down with the others.
fn leave_out_sorry(service: &mut ServiceSpec) -> Option<DestKey> {
    let health = service.health.as_mut()?;
    let addr = health.sorry.as_ref()?.addr;
    if !service.dests.iter().any(|dest| dest.addr == addr) {
        return None;
    }
    *health = Arc::new(Health { sorry: None, sorry_inhibit: false, ..Health::clone(health) });
    Some(addr)
}

/// Whether a command line can be run, as far as it says itself; else why not, and the way out.
fn program(line: &str) -> Result<(), (String, &'static str)> {
    let Some(words) = words(line) else {
        return Err(("a quote begins in this command that does not end".to_owned(), "close it"));
    };
    match words.first().map(String::as_str) {
        None | Some("") => Err(("this command names no program".to_owned(), "write its path, from / on")),
        Some(program) if program.contains('/') && !program.starts_with('/') => Err((
            format!("`{program}` is somewhere else wherever ulvs is started"),
            "write the whole path, from / on",
        )),
        Some(_) => Ok(()),
    }
}

/// About a service that [`resets`].
const RESETS: (&str, &str) = (
    "connections of a server that has died are reset, where IPVS drops their packets in silence until it is back",
    "for the latter write on_down = \"keep\" in ulvs.toml: see `ulvs import`",
);

/// Whether connections of its servers end otherwise here when a server dies.
fn resets(service: &ServiceSpec) -> bool {
    let Some(health) = &service.health else { return false };
    let asked = service.dests.iter().any(|dest| !health.checks_of(&dest.addr).is_empty());
    let connected = service.key.proto() != Some(Proto::Udp) && !service.one_packet;
    asked && connected && health.on_down == OnDown::Reset
}

/// The checks that most servers have, and those of the others.
fn shared_checks(all: Vec<(DestKey, Vec<Check>)>) -> (Vec<Check>, BTreeMap<DestKey, Vec<Check>>) {
    let mut counts: Vec<(&Vec<Check>, usize)> = Vec::new();
    for (_, checks) in &all {
        match counts.iter_mut().find(|(known, _)| *known == checks) {
            Some((_, count)) => *count += 1,
            None => counts.push((checks, 1)),
        }
    }
    // Of several, those of the first server.
    let most = counts.iter().rev().max_by_key(|(_, count)| *count);
    let most = most.map(|(checks, _)| (*checks).clone()).unwrap_or_default();
    let own = all.into_iter().filter(|(_, checks)| *checks != most).collect();
    (most, own)
}
