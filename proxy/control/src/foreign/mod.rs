//! Configurations that were written for other programs, read as they are: keepalived's and ldirectord's.
//!
//! Each becomes services with their health, as our own configuration has them, and [`Notes`]: what was not understood, what
//! has no effect here, what is done differently, each with its line and the way out. A file is not refused for that; only an
//! error makes it useless.

mod command;
pub mod keepalived;
mod note;
mod services;

use std::collections::{BTreeMap, HashSet};

use sched::{Check, DestKey, Op, ServiceKey, ServiceSpec, ServiceTable, Trash};

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

/// Adds services, each of which may be there once and has to be one that the table takes.
fn add_services(all: &mut Vec<ServiceSpec>, new: Vec<ServiceSpec>, place: &Place, notes: &mut Notes) {
    let mut known: HashSet<ServiceKey> = all.iter().map(|service| service.key).collect();
    for service in new {
        let key = service.key;
        if !known.insert(key) {
            let help = "merge its servers into the first one, or delete one of the two";
            notes.error(place, format!("the service {key} is there already"), help);
            continue;
        }
        let op = Op::AddService { service: service.clone() };
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
