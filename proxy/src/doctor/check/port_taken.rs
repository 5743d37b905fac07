//! Programs of this host at the address of a service.

use std::net::SocketAddr;

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;
use sched::ServiceKey;

pub(super) const CHECK: Check = Check {
    name: "port-taken",
    about: "programs of this host that listen at the address and port of a service",
    real: false,
    needs: Needs::State,
    find,
};

const WHY: &str = "packets for the service go to its servers, never to that program, although it is here and listens: who \
                   expects it to answer is misled. End it, or have it listen at another address or port";

fn find(facts: &Facts) -> Vec<Finding> {
    let own_pid = facts.engine.as_ref().map(|engine| engine.status.pid);
    let mut found = Vec::new();
    for service in &facts.services {
        let ServiceKey::Addr { proto, vip, l4_port: l4_port @ 1.. } = service.key else { continue };
        let at = SocketAddr::new(vip, l4_port);
        // A program that listens everywhere is not reached at the VIP, and may well be meant for others.
        let local = facts.host.addresses.iter().any(|address| address.ip == vip);
        for listener in facts.listeners.iter().filter(|l| l.protocol == proto.number() && l.hears(at)) {
            let owner = listener.owner.as_ref();
            let everywhere = listener.at.ip().is_unspecified();
            if (everywhere && !local) || owner.map(|owner| owner.pid) == own_pid && own_pid.is_some() {
                continue;
            }
            let who = owner.map_or_else(
                || "a program that only root may see".to_owned(),
                |owner| format!("{} (pid {})", owner.command, owner.pid),
            );
            let saw = format!("{who} listens at {}", listener.at);
            let about = format!("service {}", service.key.word());
            // One that listens everywhere has other clients.
            let finding =
                if everywhere { Finding::note(about, saw, WHY) } else { Finding::warning(about, saw, WHY) };
            found.push(match owner {
                Some(owner) if !everywhere => finding.cure(format!("kill {}", owner.pid)),
                _ => finding,
            });
        }
    }
    found
}
