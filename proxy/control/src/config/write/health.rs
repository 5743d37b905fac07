//! `[service.health]`, and what servers have of their own.

use sched::{DestKey, Health, Initially, Need, Notify, NotifyCommand, OnDown, ServiceSpec};

use super::check::check;
use super::server;
use super::table::{Table, millis, string};

/// The service's part, with the checks of all of its servers.
pub(super) fn of_service(text: &mut String, spec: &ServiceSpec, health: &Health) {
    let plain = Health { checks: Vec::new(), own: health.own.clone(), ..Health::default() };
    let of_servers = Notify { own: health.notify.own.clone(), ..Notify::default() };
    let settings = Health { checks: Vec::new(), ..health.clone() };
    let said = settings != Health { notify: of_servers, ..plain };
    // With nothing else to say it is what makes the servers checked at all.
    let alone = health.checks.is_empty() && !spec.dests.iter().any(|dest| has_own(health, &dest.addr));
    if said || alone {
        write(text, health);
    }
    for one in &health.checks {
        check(text, "[[service.check]]", one);
    }
}

fn write(text: &mut String, health: &Health) {
    let mut braces = String::new();
    let sorry = health.sorry.as_ref().map(|dest| {
        let mut inner = Table::inline(&mut braces);
        server(&mut inner, dest);
        inner.when("inhibit", true, health.sorry_inhibit);
        inner.end().unwrap_or_default()
    });
    let mut table = Table::begin(text, "[service.health]");
    table.when("need", string("any"), health.need == Need::Any);
    table.when("initially", string("down"), health.initially == Initially::Down);
    table.when("inhibit", true, health.inhibit);
    match health.on_down {
        OnDown::Reset => {}
        OnDown::Move => table.put("on_down", string("move")),
        OnDown::Keep => table.put("on_down", string("keep")),
    }
    table.unless("quorum", health.quorum, 1);
    table.unless("hysteresis", health.hysteresis, 0);
    table.unless("panic", health.panic, 0);
    table.maybe("sorry", sorry);
    table.maybe(
        "damping",
        health.damping.map(|damping| {
            let (within, hold) = (millis(damping.within), millis(damping.hold));
            format!("{{ flaps = {}, within = {within}, hold = {hold} }}", damping.flaps)
        }),
    );
    table.maybe(
        "passive",
        health.passive.map(|passive| {
            let (hold, max) = (millis(passive.hold), millis(passive.max_hold));
            format!("{{ fall = {}, hold = {hold}, max_hold = {max} }}", passive.fall)
        }),
    );
    table.maybe("notify", notify(&health.notify));
}

fn notify(notify: &Notify) -> Option<String> {
    let Notify { change, up, down, own: _, quorum_up, quorum_down, at_stop, user } = notify;
    let mut braces = String::new();
    let mut table = Table::inline(&mut braces);
    for (key, command) in [
        ("change", change),
        ("up", up),
        ("down", down),
        ("quorum_up", quorum_up),
        ("quorum_down", quorum_down),
    ] {
        table.maybe(key, command.as_ref().map(told));
    }
    table.when("at_stop", true, *at_stop);
    table.maybe("user", user.as_deref().map(string));
    table.end()
}

fn told(command: &NotifyCommand) -> String {
    let NotifyCommand { line, user } = command;
    let Some(user) = user else { return string(line) };
    format!("{{ command = {}, user = {} }}", string(line), string(user))
}

fn has_own(health: &Health, server: &DestKey) -> bool {
    health.own.contains_key(server) || health.notify.own.contains_key(server)
}

/// What is the server's own, below its other keys.
pub(super) fn of_server(text: &mut String, health: &Health, addr: &DestKey) {
    if let Some([up, down]) = health.notify.own.get(addr) {
        let mut braces = String::new();
        let mut table = Table::inline(&mut braces);
        table.maybe("up", up.as_ref().map(told));
        table.maybe("down", down.as_ref().map(told));
        text.push_str(&format!("notify = {}\n", table.end().unwrap_or_else(|| "{}".to_owned())));
    }
    match health.own.get(addr).map(Vec::as_slice) {
        None => {}
        Some([]) => text.push_str("check = []\n"),
        Some(checks) => checks.iter().for_each(|one| check(text, "[[service.server.check]]", one)),
    }
}
