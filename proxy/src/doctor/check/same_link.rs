//! NAT: a client on the servers' own link gets its answer straight from the server.

use std::collections::BTreeMap;

use super::{Check, Needs};
use crate::doctor::facts::{Facts, words};
use crate::doctor::finding::Finding;
use sched::ForwardMethod;

pub(super) const CHECK: Check = Check {
    name: "same-link",
    about: "clients on the same link as their NAT server",
    real: false,
    needs: Needs::State,
    find,
};

const WHY: &str = "a server answers its neighbours directly, whatever its gateway: the answer does not pass this host, which \
                   alone could put the VIP back into it, and the client throws it away. ulvs has such clients served by \
                   FullNAT, unless that was turned off (as under compat = \"ipvs\")";

fn find(facts: &Facts) -> Vec<Finding> {
    let Some(engine) = facts.engine.as_ref().filter(|engine| !engine.hairpin) else { return Vec::new() };
    let device = |ip| facts.host.on_link(ip).map(|(link, _)| (link.index, &link.name));
    let mut found = BTreeMap::new();
    for (service, dest) in facts.pairs().filter(|(_, dest)| dest.method == ForwardMethod::Masq) {
        let (Some(at), Some(seen)) = (device(dest.addr.ip()), engine.servers.get(&dest.addr)) else {
            continue;
        };
        let Some(client) = seen.clients.iter().find(|client| device(**client) == Some(at)) else { continue };
        let saw = format!("{client}, whose connection waits for an answer, is on {} as the server is", at.1);
        let finding = Finding::fault(words(service, dest), saw, WHY).cure("ulvs sysctl ulvs.hairpin=1");
        found.insert((service.key, dest.addr), finding);
    }
    found.into_values().collect()
}
