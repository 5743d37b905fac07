//! Firewalls that drop what passes through.

use super::{Check, Needs};
use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;
use netio::survey::{BaseChain, Hook};

pub(super) const CHECK: Check = Check {
    name: "filter",
    about: "chains that drop forwarded packets unless told otherwise",
    real: false,
    needs: Needs::State,
    find,
};

const WHY: &str = "packets of services pass the kernel as forwarded ones, on their way to the engine and from it: a chain that \
                   drops by default drops them too, unless a rule accepts what comes from the engine's device and what goes \
                   to it. (Docker and ufw set such a policy.)";

fn find(facts: &Facts) -> Vec<Finding> {
    // Rings take packets before any chain sees them, and send past all.
    let Some(engine) = facts.engine.as_ref().filter(|engine| !engine.is_packet()) else { return Vec::new() };
    let device = &engine.status.device;
    let passes = |chain: &BaseChain| chain.accepts_from.contains(device) && chain.accepts_to.contains(device);
    let vips = facts.vips();
    let concerned = |chain: &BaseChain| match chain.family {
        "ip" => vips.iter().any(std::net::IpAddr::is_ipv4),
        "ip6" => vips.iter().any(std::net::IpAddr::is_ipv6),
        _ => !vips.is_empty(),
    };
    let drops = facts.chains.iter().filter(|chain| chain.hook == Hook::Forward && chain.drops);
    drops
        .filter(|chain| !passes(chain) && concerned(chain))
        .map(|chain| {
            let at = format!("{} {} {}", chain.family, chain.table, chain.name);
            let saw = format!("its policy is drop, and no rule accepts all from and to {device}");
            let iptables = chain.table == "filter" && chain.name == "FORWARD";
            ["iifname", "oifname"].into_iter().fold(
                Finding::fault(format!("chain {at}"), saw, WHY),
                |f, way| {
                    f.cure(if iptables {
                        let program = if chain.family == "ip6" { "ip6tables" } else { "iptables" };
                        let option = if way == "iifname" { "-i" } else { "-o" };
                        format!("{program} -I FORWARD {option} {device} -j ACCEPT")
                    } else {
                        format!("nft insert rule {at} {way} {device} accept")
                    })
                },
            )
        })
        .collect()
}
