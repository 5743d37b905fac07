//! What is nearly full.

use sched::counted;

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

pub(super) const CHECK: Check = Check {
    name: "limits",
    about: "connections, local ports, descriptors or the kernel's conntrack nearly used up, a queue that is too short",
    real: false,
    needs: Needs::State,
    find,
};

const TABLE: &str = "when it is full, new clients are dropped (`table-full`) until connections expire. `max_connections` in \
                     [engine] of the configuration is the limit, which needs a restart";
const PORTS: &str = "each connection by FullNAT takes a local port towards its server: when all are taken, new clients are \
                     dropped (`ports-exhausted`). Another local address doubles them";
const FILES: &str = "each session of TLS takes two: when there are none left, clients are refused";
const CONNTRACK: &str = "a firewall of this host has the kernel keep a table of its own of all that passes: when that is full, new \
                         connections are dropped before they come to the engine";
const QUEUE: &str =
    "bursts that come faster than the engine is woken are lost: it needs room for some thousand packets";

/// A share of the whole, in per cent, from which it is time.
const NEARLY: u64 = 85;
/// What the engine itself sets is 10,000.
const LEAST_QUEUE: u32 = 1000;

fn find(facts: &Facts) -> Vec<Finding> {
    let Some(engine) = &facts.engine else { return Vec::new() };
    let status = &engine.status;
    let nearly =
        |part: u64, whole: u64| whole > 0 && part.saturating_mul(100) >= whole.saturating_mul(NEARLY);
    let mut found = Vec::new();
    if nearly(status.connections, status.max_connections) {
        let saw = format!("{} connections of at most {}", status.connections, status.max_connections);
        found.push(Finding::warning("the table of connections", saw, TABLE));
    }
    for ports in &status.local_ports {
        let busy = ports.taken.saturating_sub(ports.resting);
        if nearly(busy, ports.all) || ports.refused > 0 {
            let refused = if ports.refused > 0 {
                format!(", {} none was left", counted(ports.refused, "time"))
            } else {
                String::new()
            };
            let saw = format!("{busy} of {} towards {} are taken{refused}", ports.all, ports.server);
            let finding = Finding::warning(format!("ports of {}", ports.lip), saw, PORTS);
            found.push(finding.cure("ulvs ipvsadm -P --lip ANOTHER-ADDRESS"));
        }
    }
    if let Some((open, limit)) = engine.descriptors.filter(|(open, limit)| nearly(*open, *limit)) {
        let saw = format!("{open} of {limit} are open");
        let finding = Finding::warning("descriptors of the engine", saw, FILES);
        found.push(finding.cure(format!(
            "prlimit --pid {} --nofile={}",
            status.pid,
            limit.saturating_mul(4)
        )));
    }
    let conntrack =
        |key: &str| u64::try_from(facts.sysctl(&format!("net.netfilter.nf_conntrack_{key}"))).unwrap_or(0);
    let (tracked, most) = (conntrack("count"), conntrack("max"));
    if nearly(tracked, most) {
        let saw = format!("{tracked} connections of at most {most}");
        let finding = Finding::warning("the kernel's table of connections (conntrack)", saw, CONNTRACK);
        found.push(
            finding.cure(format!("sysctl -w net.netfilter.nf_conntrack_max={}", most.saturating_mul(4))),
        );
    }
    if let Some(link) = facts.host.named(&status.device).filter(|link| link.queue < LEAST_QUEUE) {
        let saw = format!("txqueuelen is {}", link.queue);
        let finding = Finding::warning(format!("device {}", link.name), saw, QUEUE);
        found.push(finding.cure(format!("ip link set {} txqueuelen 10000", link.name)));
    }
    found
}
