//! This host as a real server.

use std::net::IpAddr;
use std::path::Path;

use netio::real::{self, Method};
use netio::steer::DUMMY;
use netio::tunnel;

use crate::decapsulator;
use crate::doctor::facts::{Facts, Real};
use crate::reason::reason;

pub(super) fn look(facts: &mut Facts, state_dir: &Path) {
    let mut found = Real::default();
    match real::state(state_dir) {
        Ok(state) => {
            for vip in &state.vips {
                found.vips.insert(vip.ip, vip.device.clone());
                if vip.method == Method::Tun {
                    found.tunnelled.insert(vip.ip);
                }
            }
            found.lost = state.lost;
        }
        Err(error) => facts.unseen.push(format!("what `ulvs real start` has done: {error}")),
    }
    // Set up by hand, as scripts do.
    for address in &facts.host.addresses {
        let hidden =
            facts.host.link(address.device).filter(|link| !link.resolves || link.name.starts_with("dummy"));
        if let (IpAddr::V4(ip), 32, Some(link)) = (address.ip, address.prefix, hidden)
            && !ip.is_loopback()
            && ip != DUMMY
        {
            found.vips.entry(address.ip).or_insert_with(|| link.name.clone());
        }
    }
    found.rivals = tunnel::rivals().unwrap_or_default();
    match decapsulator::status() {
        Ok(status) => found.decapsulates = status.is_some_and(|status| status.device_up),
        Err(error) => facts.unseen.push(format!("who takes packets out of tunnels: {}", reason(&error))),
    }
    facts.real = Some(found);
}
