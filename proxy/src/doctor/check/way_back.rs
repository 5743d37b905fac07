//! NAT: the server's answers to clients have to come back through this host, so it has to be the server's gateway. Direct
//! routing and tunnels: they need not, and where they do, this host has to pass them on.

use std::net::{IpAddr, SocketAddr};

use control::save;
use netio::probe::{Answer, Through};

use super::{Check, Needs};
use crate::doctor::facts::{Facts, is_one_way, words};
use crate::doctor::finding::Finding;
use sched::{DestSpec, ForwardMethod, ServiceSpec};

pub(super) const CHECK: Check = Check {
    name: "way-back",
    about: "NAT servers whose way back to clients does not lead through this host, others with a way that ends here",
    real: false,
    needs: Needs::Packets,
    find,
};

const WHY: &str = "NAT has rewritten the request, and only this host can rewrite the answer: one that goes to the client by \
                   another way comes from an address that the client has never spoken to, and is thrown away";

const ENDS: &str = "the server answers clients by itself, and has this host for its gateway, which is no router: its answers \
                    end here. Let this host forward packets, or give the server another gateway";

/// Half-open connections that are more than a client which has gone away.
const MANY: u64 = 3;

fn find(facts: &Facts) -> Vec<Finding> {
    let mut found = ends(facts);
    for (service, dest) in facts.pairs().filter(|(_, dest)| dest.method == ForwardMethod::Masq) {
        let server = dest.addr.ip();
        let way = facts.ways.get(&server).and_then(|way| way.as_ref().ok());
        let asked = facts.probes.iter().flat_map(|probes| &probes.way_back);
        let asked =
            asked.filter(|((vip, at), _)| *at == dest.addr && facts.vips_of(&service.key).contains(vip));
        let mut saw = None;
        let mut was_asked = false;
        for ((vip, _), answer) in asked {
            was_asked = true;
            let came = match answer {
                Some(Answer::Open(through) | Answer::Refused(through)) => Some(*through),
                Some(Answer::Told { .. }) | None => None,
            };
            let (link, own) = match way {
                Some(way) => (way.device, way.source),
                None => continue,
            };
            let own = own.map_or_else(|| "this host".to_owned(), |own| own.to_string());
            match came {
                // It throws away what comes from an address of its own, as clients' are not.
                None if has_vip(facts, *vip, dest.addr) => {}
                None => {
                    saw = Some(format!(
                        "it answers a connection from {own}, and nothing came back of one from {vip}: its answers to \
                         others than its neighbours go elsewhere"
                    ));
                }
                Some(Through { device, .. }) if !facts.host.leads(device, link) => {
                    let name = facts.host.link(device).map_or("another device", |link| &link.name);
                    saw = Some(format!("its answer to {vip} came back by {name}, past others"));
                }
                Some(Through { mac, .. }) => {
                    // From somebody else on its own link: a router that sends it back here.
                    let of_server = facts.probes.as_ref().and_then(|probes| probes.arp.get(&server));
                    if of_server.is_some_and(|macs| !macs.is_empty() && !macs.contains(&mac)) {
                        saw = Some(format!(
                            "its answer to {vip} came back through a router ({mac}), not from itself"
                        ));
                    }
                }
            }
        }
        let seen = facts.engine.as_ref().and_then(|engine| engine.servers.get(&dest.addr));
        if !was_asked && let Some(seen) = seen.filter(|seen| seen.half_open >= MANY && seen.other == 0) {
            saw = Some(format!(
                "{} connections have been given to it, and none has got an answer{}",
                seen.half_open,
                if facts.is_there(dest.addr) { " though it answers this host" } else { "" }
            ));
        }
        if let Some(saw) = saw {
            let finding = Finding::fault(words(service, dest), saw, WHY);
            found.push(match own_address(facts, server) {
                Some(gateway) => {
                    let ip = if server.is_ipv4() { "ip" } else { "ip -6" };
                    finding.cure_on(server, format!("{ip} route replace default via {gateway}"))
                }
                None => finding.cure(full_nat(service, dest)),
            });
        }
    }
    found
}

/// Whether a server has the VIP itself: from direct routing, it may be.
fn has_vip(facts: &Facts, vip: IpAddr, server: SocketAddr) -> bool {
    let mut asked = facts.probes.iter().flat_map(|probes| &probes.at_server);
    asked.any(|((at, of), answer)| {
        at.ip() == vip && *of == server && matches!(answer, Some(Answer::Open(_) | Answer::Refused(_)))
    })
}

/// Servers behind direct routing and tunnels whose answers come here, and get no further.
fn ends(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    for (service, dest) in facts.pairs().filter(|(_, dest)| is_one_way(dest.method)) {
        let led = facts.probes.iter().flat_map(|probes| &probes.led_here);
        for ((vip, _), (client, _)) in led.filter(|((vip, at), (_, here))| {
            *here && *at == dest.addr && facts.vips_of(&service.key).contains(&vip.ip())
        }) {
            let setting = if vip.is_ipv4() { "net.ipv4.ip_forward" } else { "net.ipv6.conf.all.forwarding" };
            let saw = format!("its answer from {vip} to {client} comes to this host, where {setting} is 0");
            let finding = Finding::fault(words(service, dest), saw, ENDS);
            found.push(finding.cure(format!("sysctl -w {setting}=1")));
        }
    }
    found
}

/// The gateway that the server should have: this host, where it is on the server's link.
fn own_address(facts: &Facts, server: IpAddr) -> Option<IpAddr> {
    facts.host.on_link(server).map(|(_, address)| address.ip)
}

/// FullNAT takes any way back.
fn full_nat(service: &ServiceSpec, dest: &DestSpec) -> String {
    let dest = DestSpec { method: ForwardMethod::FullNat, ..dest.clone() };
    format!("ulvs ipvsadm {}", save::edit_server(&service.key, &dest))
}
