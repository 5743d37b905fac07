//! Large packets that do not get to servers.

use std::net::IpAddr;

use control::save;
use netio::probe::Echoed;

use super::{Check, Needs};
use crate::doctor::facts::{Facts, words};
use crate::doctor::finding::Finding;
use sched::{ForwardMethod, Mss, ServiceSpec, TcpOptions, TunnelKind};

pub(super) const CHECK: Check = Check {
    name: "mtu",
    about: "paths to servers that large packets vanish on, tunnels without room",
    real: false,
    needs: Needs::Pings,
    find,
};

const HOLE: &str = "small packets get there and large ones vanish without a word: connections begin and then stall. An \
                    interface on the way, often the server's, takes less than its neighbours send";
const NARROW: &str = "a tunnel adds a header: segments of the usual size do not fit, and each client has to be told so by ICMP, \
                      which firewalls like to drop. Told at the beginning, clients send smaller ones from the start";

/// What the links of most clients take.
const USUAL: u32 = 1500;

fn find(facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let mut holes = std::collections::BTreeSet::new();
    let mut narrow = std::collections::BTreeSet::new();
    for (service, dest) in facts.pairs() {
        let (ip, about) = (dest.addr.ip(), words(service, dest));
        if let Some(probes) = &facts.probes
            && let Some((bytes, None)) = probes.large.get(&ip)
            && probes.small.get(&ip) == Some(&Some(Echoed::Back))
            && holes.insert(ip)
        {
            let saw = format!(
                "a ping of 84 bytes came back from {ip}, one of {bytes} did not, and nobody says why"
            );
            let finding = Finding::fault(about.clone(), saw, HOLE);
            let device = format!("$(ip -o route get {} | sed 's/.* dev \\([^ ]*\\).*/\\1/')", own(facts, ip));
            found.push(match facts.host.on_link(ip) {
                Some(_) => finding.cure_on(ip, format!("ip link set \"{device}\" mtu {bytes}")),
                None => finding,
            });
        }
        let (ForwardMethod::Tunnel(tunnel), Some(Ok(way))) = (dest.method, facts.ways.get(&ip)) else {
            continue;
        };
        let outer = if ip.is_ipv4() { 20 } else { 40 };
        let more = match tunnel.kind {
            TunnelKind::Ipip => 0,
            TunnelKind::Gre => 4,
            TunnelKind::Gue => 12,
        };
        let room = way.mtu.saturating_sub(outer + more);
        if room < USUAL && service.tcp.mss.is_none() && narrow.insert(service.key) {
            let saw = format!("packets to {ip} may have {} bytes, {room} of them in the tunnel", way.mtu);
            let tcp = TcpOptions { mss: Some(Mss::Auto), ..service.tcp };
            let service = ServiceSpec { tcp, ..service.clone() };
            let edit = format!("ulvs ipvsadm {}", save::edit_service(&service));
            found.push(Finding::note(about, saw, NARROW).cure(edit));
        }
    }
    found
}

/// The address of this host that the server sees.
fn own(facts: &Facts, server: IpAddr) -> String {
    let way = facts.ways.get(&server).and_then(|way| way.as_ref().ok()).and_then(|way| way.source);
    way.unwrap_or(server).to_string()
}
