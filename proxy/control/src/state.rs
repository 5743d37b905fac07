//! From one state to another with as few edits as possible, so that flows in progress are left alone.
//!
//! States are compared as sets: the order of services and servers in a file means nothing by itself, and servers are
//! added in the order in which the new state has them.

mod lips;
mod marks;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sched::{DestKey, DestSpec, Op, ServiceKey, ServiceSpec};

pub use lips::{diff_lips, reconcile_lips};
pub use marks::{diff_marks, reconcile_marks};

/// The edits that turn `old` into `new`: first what goes, then what changes, then what comes.
///
/// They always apply to a table that holds `old`.
pub fn diff(old: &[ServiceSpec], new: &[ServiceSpec]) -> Vec<Op> {
    let (olds, news) = (by_key(old), by_key(new));
    let (mut gone, mut changed, mut added) = (Vec::new(), Vec::new(), Vec::new());
    for service in old {
        if !news.contains_key(&service.key) {
            gone.push(Op::DelService { key: service.key });
        }
    }
    for service in new {
        let Some(before) = olds.get(&service.key) else {
            added.push(Op::AddService { service: service.clone() });
            continue;
        };
        let key = service.key;
        if !before.same_settings(service) {
            let service = ServiceSpec {
                dests: Vec::new(),
                lips: Vec::new(),
                tls: None,
                health: None,
                ..service.clone()
            };
            changed.push(Op::EditService { service });
        }
        if before.tls != service.tls {
            changed.push(Op::SetTls { key, tls: service.tls.clone() });
        }
        if before.health != service.health {
            changed.push(Op::SetHealth { key, health: service.health.clone() });
        }
        changed.extend(diff_lips(Some(key), &before.lips, &service.lips));
        let (was, is) = (by_addr(before), by_addr(service));
        let left = before.dests.iter().filter(|d| !is.contains_key(&d.addr));
        gone.extend(left.map(|d| Op::DelDest { key, addr: d.addr }));
        for dest in &service.dests {
            match was.get(&dest.addr) {
                None => added.push(Op::AddDest { key, dest: dest.clone() }),
                Some(before) if *before != dest => changed.push(Op::EditDest { key, dest: dest.clone() }),
                Some(_) => {}
            }
        }
    }
    gone.into_iter().chain(changed).chain(added).collect()
}

/// The edits that bring what changed between two versions of a file into a running table.
///
/// What was edited by hand and did not change in the file stays. Where both changed the same thing, the file has the
/// last word: it was edited later. The edits always apply to a table that holds `running`.
pub fn reconcile(running: &[ServiceSpec], old_file: &[ServiceSpec], new_file: &[ServiceSpec]) -> Vec<Op> {
    diff(running, &merge(running, old_file, new_file))
}

fn merge(running: &[ServiceSpec], old_file: &[ServiceSpec], new_file: &[ServiceSpec]) -> Vec<ServiceSpec> {
    let (olds, news) = (by_key(old_file), by_key(new_file));
    let dropped = |key: &ServiceKey| olds.contains_key(key) && !news.contains_key(key);
    let mut merged: Vec<ServiceSpec> = running.iter().filter(|s| !dropped(&s.key)).cloned().collect();
    for new in new_file {
        let old = olds.get(&new.key);
        if old.is_some_and(|old| same(old, new)) {
            continue;
        }
        match merged.iter_mut().find(|s| s.key == new.key) {
            Some(service) => merge_service(service, old.copied(), new),
            // New, or removed by hand and since then edited in the file: wanted.
            None => merged.push(new.clone()),
        }
    }
    merged
}

fn merge_service(service: &mut ServiceSpec, old: Option<&ServiceSpec>, new: &ServiceSpec) {
    if old.is_none_or(|old| !old.same_settings(new)) {
        let (dests, lips) = (std::mem::take(&mut service.dests), std::mem::take(&mut service.lips));
        let (tls, health) = (service.tls.take(), service.health.take());
        *service = ServiceSpec { dests, lips, tls, health, ..new.clone() };
    }
    if old.is_none_or(|old| old.tls != new.tls) {
        service.tls.clone_from(&new.tls);
    }
    if old.is_none_or(|old| old.health != new.health) {
        service.health.clone_from(&new.health);
    }
    lips::merge(&mut service.lips, old.map_or(&[], |old| &old.lips), &new.lips);
    let (olds, news) = (old.map(by_addr).unwrap_or_default(), by_addr(new));
    service.dests.retain(|d| !olds.contains_key(&d.addr) || news.contains_key(&d.addr));
    for dest in &new.dests {
        if olds.get(&dest.addr).is_some_and(|old| *old == dest) {
            continue;
        }
        match service.dests.iter_mut().find(|d| d.addr == dest.addr) {
            Some(present) => present.clone_from(dest),
            None => service.dests.push(dest.clone()),
        }
    }
    part_sorry(service, &news);
}

/// Nobody is a server and the sorry server of the same service: where one came by hand, it is what the file says.
fn part_sorry(service: &mut ServiceSpec, file: &HashMap<DestKey, &DestSpec>) {
    let Some(health) = &mut service.health else { return };
    let Some(sorry) = health.sorry.as_ref().map(|sorry| sorry.addr) else { return };
    if !file.contains_key(&sorry) {
        service.dests.retain(|dest| dest.addr != sorry);
    } else if service.dests.iter().any(|dest| dest.addr == sorry) {
        Arc::make_mut(health).sorry = None;
    }
}

fn same(a: &ServiceSpec, b: &ServiceSpec) -> bool {
    let lips = |s: &ServiceSpec| s.lips.iter().copied().collect::<BTreeSet<_>>();
    a.same_settings(b)
        && a.tls == b.tls
        && a.health == b.health
        && by_addr(a) == by_addr(b)
        && lips(a) == lips(b)
}

fn by_key(services: &[ServiceSpec]) -> HashMap<ServiceKey, &ServiceSpec> {
    services.iter().map(|s| (s.key, s)).collect()
}

fn by_addr(service: &ServiceSpec) -> HashMap<DestKey, &DestSpec> {
    service.dests.iter().map(|d| (d.addr, d)).collect()
}

#[cfg(test)]
mod tests;
