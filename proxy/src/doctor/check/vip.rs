//! Direct routing and tunnels: the server has to have the VIP.

use netio::probe::Answer;

use super::{Check, Needs};
use crate::doctor::facts::{Facts, is_one_way, words};
use crate::doctor::finding::Finding;
use sched::ForwardMethod;

pub(super) const CHECK: Check = Check {
    name: "server-vip",
    about: "servers behind direct routing or a tunnel that do not have the VIP",
    real: false,
    needs: Needs::Packets,
    find,
};

const DR: &str = "direct routing sends the packet as it is: a server that does not have the VIP takes it for somebody else's \
                  and throws it away";
const TUNNEL: &str =
    "the packet arrives in a tunnel: the server has to take it out, and to have the VIP for which it is";

fn find(facts: &Facts) -> Vec<Finding> {
    let Some(probes) = &facts.probes else { return Vec::new() };
    let mut found = Vec::new();
    for (service, dest) in facts.pairs().filter(|(_, dest)| is_one_way(dest.method)) {
        for ((vip, at), answer) in &probes.at_server {
            if *at != dest.addr || !facts.vips_of(&service.key).contains(&vip.ip()) {
                continue;
            }
            let tunnel = matches!(dest.method, ForwardMethod::Tunnel(_));
            let (saw, there) = match answer {
                Some(Answer::Open(_) | Answer::Refused(_)) => continue,
                Some(Answer::Told { what, from }) => {
                    (format!("a packet to {vip} was brought to it, and {from} says that {what}"), true)
                }
                None => (
                    format!("nothing came back of a packet to {vip} that was brought to it"),
                    is_there(facts, dest),
                ),
            };
            if !there {
                // That is what is wrong, and another check says it.
                continue;
            }
            let method = if tunnel { " --method tun" } else { "" };
            let why = if tunnel { TUNNEL } else { DR };
            let finding = Finding::fault(words(service, dest), saw, why);
            found.push(finding.cure_on(at.ip(), format!("ulvs real start --vip {}{method}", vip.ip())));
        }
    }
    found
}

/// The server is up, whoever listens.
fn is_there(facts: &Facts, dest: &sched::DestSpec) -> bool {
    let ip = dest.addr.ip();
    let Some(probes) = &facts.probes else { return false };
    let answers_arp = probes.arp.get(&ip).is_some_and(|macs| !macs.is_empty());
    answers_arp || probes.small.get(&ip).is_some_and(Option::is_some) || facts.is_there(dest.addr)
}
