//! `[service.health]`, `[[service.check]]` and the checks of single servers; `[health]`, the times of all of them.
//! What they are, [`Health`] and [`Check`] say.

mod check;
mod effect;
mod exec;
mod fit;
mod http;
mod kind;
mod notify;
mod tls;
mod udp;

use std::sync::Arc;

use sched::{Check, DestSpec, Health, Initially, Need, OnDown};

use super::super::reader::{Problems, Section};
use super::server::Server;
use super::service::Identity;
use super::values::word;

pub(super) use check::{Asked, checks, defaults};
pub(super) use notify::of_server as notify_of_server;

/// Keys of `[service.health]`.
pub(in super::super) const KNOWN: &[&str] = &[
    "need",
    "initially",
    "inhibit",
    "on_down",
    "quorum",
    "hysteresis",
    "panic",
    "sorry",
    "damping",
    "passive",
    "notify",
];

/// The health of a service's servers; `None` where the file says nothing of it.
pub(super) fn health(
    service: &Section<'_>,
    identity: &Identity,
    servers: &[Server<'_>],
    defaults: &Check,
    problems: &mut Problems,
) -> Option<Arc<Health>> {
    let table = service.table("health", "[service.health]", problems);
    let asked = checks(service, "[[service.check]]", defaults, problems);
    let own = servers.iter().any(|server| server.checks.is_some() || server.notify.is_some());
    if table.is_none() && asked.is_none() && !own {
        return None;
    }
    let mut health = Health::default();
    let asked = asked.unwrap_or_default();
    if let Some((table, span)) = table {
        let section = Section::new(table, span, "[service.health]", KNOWN, problems);
        let dynamic = asked.iter().chain(servers.iter().flat_map(|s| s.checks.iter().flatten()));
        let dynamic = dynamic.into_iter().any(effect::is_dynamic);
        settings(&section, &mut health, problems);
        effect::sorry(&section, identity, servers, &mut health, problems);
        effect::quorum(&section, servers, dynamic, &mut health, problems);
        health.passive = effect::passive(&section, problems);
        health.damping = effect::damping(&section, problems);
        health.notify = notify::of_service(&section, problems);
    }
    let shared: Vec<&DestSpec> = servers.iter().filter(|s| s.checks.is_none()).map(|s| &s.dest).collect();
    for one in &asked {
        fit::check(one, identity, &shared, problems);
    }
    for server in servers {
        let Some(own) = &server.checks else { continue };
        for one in own {
            fit::check(one, identity, &[&server.dest], problems);
        }
        health.own.insert(server.dest.addr, all(own));
    }
    health.checks = all(&asked);
    let notify = servers.iter().filter_map(|s| Some((s.dest.addr, s.notify.clone()?)));
    health.notify.own = notify.collect();
    Some(Arc::new(health))
}

fn all(asked: &[Asked<'_>]) -> Vec<Check> {
    asked.iter().map(|asked| asked.check.clone()).collect()
}

fn settings(section: &Section<'_>, health: &mut Health, problems: &mut Problems) {
    let need = |need| match need {
        Need::All => "all",
        Need::Any => "any",
    };
    let initially = |initially| match initially {
        Initially::Up => "up",
        Initially::Down => "down",
    };
    let on_down = |on_down| match on_down {
        OnDown::Reset => "reset",
        OnDown::Move => "move",
        OnDown::Keep => "keep",
    };
    health.need = word(section, "need", &[Need::All, Need::Any], need, problems).unwrap_or_default();
    health.initially = word(section, "initially", &[Initially::Up, Initially::Down], initially, problems)
        .unwrap_or_default();
    let all = [OnDown::Reset, OnDown::Move, OnDown::Keep];
    health.on_down = word(section, "on_down", &all, on_down, problems).unwrap_or_default();
    health.inhibit = section.boolean("inhibit", problems).is_some_and(|on| on.value);
    let panic = section.integer("panic", 0..=100, problems);
    health.panic = panic.and_then(|n| n.value.try_into().ok()).unwrap_or_default();
}
