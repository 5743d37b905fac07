//! Services whose clients should come back to their server, and do not.

use std::collections::BTreeMap;
use std::net::IpAddr;

use control::save;

use super::{Check, Needs};
use crate::doctor::facts::{Facts, is_one_way};
use crate::doctor::finding::Finding;
use sched::{FTP, Netmask, Persistence, Proto, ServiceKey, ServiceSpec};

pub(super) const CHECK: Check = Check {
    name: "persistence",
    about: "FTP without persistence behind direct routing or tunnels, clients kept for one port and not the other",
    real: false,
    needs: Needs::State,
    find,
};

const DATA: &str = "where answers do not pass this host it cannot read which port a transfer will use: only persistence sends \
                    the data connection (any port from 1024) to the server of the control connection";
const APART: &str = "each service remembers its clients by itself: one who comes by http and then by https may be on two \
                     servers. A firewall mark for both ports makes them one service";

fn find(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut web: BTreeMap<IpAddr, Vec<u16>> = BTreeMap::new();
    for service in &facts.services {
        let ServiceKey::Addr { proto: Proto::Tcp, vip, l4_port } = service.key else { continue };
        if l4_port == FTP
            && service.persistence.is_none()
            && service.dests.iter().any(|d| is_one_way(d.method))
        {
            let saw = "it is FTP, has no persistence, and servers answer past this host";
            let finding = Finding::warning(format!("service {}", service.key.word()), saw, DATA);
            let mask = Netmask::full(service.key.family());
            let persistence = Some(Persistence { timeout: Persistence::DEFAULT_TIMEOUT, mask });
            let service = ServiceSpec { persistence, ..service.clone() };
            let edit = format!("ulvs ipvsadm {}", save::edit_service(&service));
            found.push(finding.cure(edit));
        }
        if [80, 443].contains(&l4_port) && service.persistence.is_some() && service.dests.len() > 1 {
            web.entry(vip).or_default().push(l4_port);
        }
    }
    for (vip, _) in web.into_iter().filter(|(_, ports)| ports.len() == 2) {
        let saw = "ports 80 and 443 are two services, each with persistence";
        found.push(Finding::note(format!("VIP {vip}"), saw, APART));
    }
    found
}
