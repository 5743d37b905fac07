//! Servers that do not answer, and what exactly they do instead.

use netio::probe::Answer;

use super::{Check, Needs};
use crate::doctor::facts::{Connected, Facts, is_one_way, words};
use crate::doctor::finding::{Finding, Severity};
use sched::Weight;

pub(super) const CHECK: Check = Check {
    name: "servers",
    about: "servers that there is no way to, that nobody finds on their link, that refuse or keep silent",
    real: false,
    needs: Needs::Packets,
    find,
};

const NO_WAY: &str = "nothing gets to a server that this host has no route to";
const NO_ARP: &str = "the address lies on a link of this host's, and nobody there has it: the server is down, unplugged, or \
                      has another address. Drained, it gets no new clients until it is back (then: --undo)";
const REFUSED: &str = "the server is there, but no program of it listens: clients are refused by it. \
                       Start the program, or correct the port";
const SILENT: &str = "connections that are given to it wait in vain: it is down, or something on the way or on the server \
                      drops them. Drained, it gets no new clients meanwhile (then: --undo)";

fn find(facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for (service, dest) in facts.pairs() {
        let (about, ip) = (words(service, dest), dest.addr.ip());
        // One that gets no new connections may well be down: somebody has seen to that.
        let severity = if dest.weight == Weight(0) { Severity::Note } else { Severity::Fault };
        let fault = |saw: String, why| Finding::new(severity, about.clone(), saw, why);
        let out = format!("ulvs drain {} {} --no-wait", service.key.word(), dest.addr);
        if let Some(Err(error)) = facts.ways.get(&ip) {
            let route = format!("ip route add {ip} via ROUTER");
            found.push(fault(format!("no route to {ip}: {error}"), NO_WAY).cure(route));
            continue;
        }
        let Some(probes) = &facts.probes else { continue };
        if probes.arp.get(&ip).is_some_and(std::collections::BTreeSet::is_empty)
            && !facts.host.addresses.iter().any(|address| address.ip == ip)
        {
            let link = facts.host.on_link(ip).map_or("its link", |(link, _)| &link.name);
            found.push(fault(format!("nobody answers ARP for {ip} on {link}"), NO_ARP).cure(out));
            continue;
        }
        if is_one_way(dest.method) {
            let refused = |((vip, at), answer): (&(_, _), &Option<Answer>)| {
                let refused = *at == dest.addr && matches!(answer, Some(Answer::Refused(_)));
                (refused && facts.vips_of(&service.key).contains(&std::net::SocketAddr::ip(vip)))
                    .then_some(*vip)
            };
            if let Some(vip) = probes.at_server.iter().find_map(refused) {
                let saw = format!("it has {}, and refuses a connection to {vip}", vip.ip());
                found.push(fault(saw, REFUSED));
            }
            continue;
        }
        match probes.connect.get(&dest.addr) {
            Some(Connected::Refused) => {
                let saw = format!("it refuses a connection to {}", dest.addr);
                found.push(fault(saw, REFUSED));
            }
            Some(Connected::Silence) => {
                let arp = match probes.arp.get(&ip) {
                    Some(macs) if !macs.is_empty() => "it answers ARP, but ",
                    _ => "",
                };
                let pinged = match probes.small.get(&ip) {
                    Some(Some(_)) => " (a ping is answered)",
                    _ => "",
                };
                let saw = format!("{arp}nothing came back from {}{pinged}", dest.addr);
                found.push(fault(saw, SILENT).cure(out));
            }
            Some(Connected::Failed(error)) => {
                found.push(fault(format!("a connection to {} fails: {error}", dest.addr), SILENT).cure(out));
            }
            Some(Connected::Yes) | None => {}
        }
    }
    found
}
