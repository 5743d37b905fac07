//! A real server that has the VIP, and no program that listens there.

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

pub(super) const CHECK: Check = Check {
    name: "real-listener",
    about: "VIPs of this real server at which no program listens",
    real: true,
    needs: Needs::State,
    find,
};

const WHY: &str = "packets arrive for the VIP itself: a program that listens at the server's own address alone does not get \
                   them. Have it listen at the VIP too, or at all addresses";

fn find(facts: &Facts) -> Vec<Finding> {
    let Some(real) = &facts.real else { return Vec::new() };
    let unheard = real.vips.keys().filter(|vip| {
        let hears = |l: &&netio::survey::Listener| l.hears(std::net::SocketAddr::new(**vip, l.at.port()));
        !facts.listeners.iter().any(|listener| hears(&listener))
    });
    let ports: std::collections::BTreeSet<_> = facts.listeners.iter().map(|l| l.at.to_string()).collect();
    let others = ports.into_iter().collect::<Vec<_>>().join(", ");
    let others =
        if others.is_empty() { "nobody listens anywhere".to_owned() } else { format!("there are {others}") };
    unheard
        .map(|vip| {
            Finding::fault(format!("VIP {vip}"), format!("no program listens at {vip}; {others}"), WHY)
        })
        .collect()
}
