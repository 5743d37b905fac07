//! What servers of a virtual server are asked, and what follows.

use std::collections::BTreeMap;

use sched::{
    Check, CheckKind, DestKey, DestSpec, Health, Initially, Notify, NotifyCommand, OnDown, ServiceKey,
};

use super::Script;
use super::build::{Dests, at};
use super::server::{Asked, Real};
use super::service::Virtual;
use crate::foreign::note::Notes;
use crate::foreign::shared_checks;

/// Nothing, where servers are asked nothing and nothing follows.
pub(super) fn health(
    service: &Virtual,
    key: ServiceKey,
    dests: &Dests<'_>,
    notes: &mut Notes,
) -> Option<Health> {
    let checks: Vec<(DestKey, Vec<Check>)> =
        dests.iter().map(|(dest, real)| (dest.addr, checks(dest, real, notes))).collect();
    let (checks, own) = shared_checks(checks);
    let (quorum, hysteresis) = quorum(service, dests, notes);
    let sorry = service.sorry_at(key.l4_port().unwrap_or(0)).and_then(|(addr, place)| {
        let method = service.sorry_method.unwrap_or(service.method);
        let addr = at(key, addr, method, place, notes)?;
        Some(DestSpec { method, ..DestSpec::new(addr) })
    });
    let inhibit = inhibit(dests, notes);
    let health = Health {
        checks,
        own,
        initially: initially(service, dests, notes),
        inhibit,
        // With weight 0 it still serves whom it has.
        on_down: if inhibit { OnDown::Keep } else { OnDown::Reset },
        sorry,
        sorry_inhibit: service.sorry_inhibit,
        quorum,
        hysteresis,
        notify: notify(service, dests),
        ..Health::default()
    };
    Some(health).filter(|health| *health != Health::default())
}

/// What a server is asked; at the port that is written, even if packets to it keep another.
fn checks(dest: &DestSpec, real: &Real, notes: &mut Notes) -> Vec<Check> {
    let mut all = Vec::new();
    for Asked { check, place, .. } in &real.checks {
        let mut check = check.clone();
        if asks_a_port(&check.kind) && check.port.is_none() {
            if real.l4_port != 0 && real.l4_port != dest.addr.port() {
                check.port = Some(real.l4_port);
            } else if dest.addr.port() == 0 {
                let help = "write connect_port 80 in it, or a port behind the address of the real server";
                notes.error(place, "this checker has no port to ask", help);
                continue;
            }
        }
        all.push(check);
    }
    all
}

const fn asks_a_port(kind: &CheckKind) -> bool {
    !matches!(kind, CheckKind::Icmp | CheckKind::Exec(_) | CheckKind::File(_))
}

fn initially(service: &Virtual, dests: &Dests<'_>, notes: &mut Notes) -> Initially {
    let asked = || dests.iter().flat_map(|(_, real)| &real.checks);
    // A file has no say in it.
    let judged = || asked().filter(|asked| !matches!(asked.check.kind, CheckKind::File(_)));
    if !judged().any(|asked| asked.alpha) {
        return if service.timers.alpha == Some(true) && asked().next().is_none() {
            Initially::Down
        } else {
            Initially::Up
        };
    }
    if let Some(up) = judged().find(|asked| !asked.alpha) {
        let text = "`alpha` is for all checks of a virtual server here: all of its servers begin as down";
        notes.changed(&up.place, text, "write it for the virtual server, or for none");
    }
    Initially::Down
}

fn inhibit(dests: &Dests<'_>, notes: &mut Notes) -> bool {
    let inhibit = dests.iter().any(|(_, real)| real.inhibit);
    if let Some((_, real)) = dests.iter().find(|(_, real)| inhibit && !real.inhibit) {
        let text = "`inhibit_on_failure` is for all servers of a virtual server here: this one keeps its place with weight 0, too";
        notes.changed(&real.place, text, "write it for the virtual server, or for none");
    }
    inhibit
}

/// As keepalived corrects them.
fn quorum(service: &Virtual, dests: &Dests<'_>, notes: &mut Notes) -> (u32, u32) {
    let sum: u64 = dests.iter().map(|(dest, _)| u64::from(dest.weight.0)).sum();
    let most = u32::try_from(sum.max(1)).unwrap_or(u32::MAX);
    let ((wanted, place), (swing, at)) = (&service.quorum, &service.hysteresis);
    let (mut quorum, mut hysteresis) = (*wanted, *swing);
    if quorum > most {
        quorum = most;
        let text = format!("all servers together weigh {sum}: the quorum is {quorum}, as for keepalived");
        notes.changed(place, text, "write a smaller quorum, or larger weights");
    }
    if hysteresis >= quorum && hysteresis > 0 {
        hysteresis = quorum - 1;
        let text =
            format!("the hysteresis has to be below the quorum: it is {hysteresis}, as for keepalived");
        notes.changed(at, text, "write a smaller hysteresis, or a larger quorum");
    }
    // With weights that change it may be reached all the same.
    let asked = dests.iter().flat_map(|(_, real)| &real.checks);
    let dynamic = asked.into_iter().any(|asked| match &asked.check.kind {
        CheckKind::Exec(exec) => exec.dynamic,
        CheckKind::File(file) => file.dynamic,
        _ => false,
    });
    if hysteresis > most - quorum && !dynamic {
        hysteresis = most - quorum;
        let text = format!(
            "all servers together weigh {sum}, never quorum and hysteresis: that is {hysteresis} here"
        );
        notes.changed(at, text, "write smaller ones: lost, the quorum would never be gained again");
    }
    (quorum, hysteresis)
}

/// The commands. Who runs the first one runs all that say nothing else.
fn notify(service: &Virtual, dests: &Dests<'_>) -> Notify {
    let of_servers = dests.iter().flat_map(|(_, real)| [&real.up, &real.down]);
    let all = [&service.quorum_up, &service.quorum_down].into_iter().chain(of_servers);
    let user = all.flatten().next().and_then(|script| script.user.clone());
    let command = |script: &Option<Script>| {
        let Script { command, user: own, .. } = script.as_ref()?;
        let own = (*own != user).then(|| own.clone().unwrap_or_else(|| "root".to_owned()));
        Some(NotifyCommand { line: command.clone(), user: own })
    };
    let (quorum_up, quorum_down) = (command(&service.quorum_up), command(&service.quorum_down));
    let own = dests.iter().map(|(dest, real)| (dest.addr, [command(&real.up), command(&real.down)]));
    let own: BTreeMap<DestKey, _> = own.filter(|(_, own)| own.iter().any(Option::is_some)).collect();
    Notify { own, quorum_up, quorum_down, at_stop: service.omega, user, ..Notify::default() }
}
