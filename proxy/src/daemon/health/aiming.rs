//! Questions by a VIP: they travel as a client's packets, and go to the server that is asked.
//!
//! What this host sends to a VIP comes to the engine like a neighbour's packets do; the engine is told beforehand whom it
//! is for. A server that answers past us (DR, tunnels) answers this host from the VIP: the kernel takes that for forged
//! where it believes in symmetric ways only (`rp_filter` 1), so there nothing is asked.

use std::net::SocketAddr;
use std::sync::Arc;

use control::health::probe::{Aim, Aimed, ByEngine};
use engine::Engine;
use netio::survey;
use sched::{Dest, DestKey, Proto, ServiceKey};

pub(super) struct Aiming(pub(super) Arc<Engine>);

struct Held(engine::Aimed);

impl Aimed for Held {
    fn has_begun(&self) -> bool {
        self.0.has_begun()
    }
}

impl Aim for Aiming {
    fn aim(
        &self,
        flow: (Proto, SocketAddr, SocketAddr),
        service: ServiceKey,
        server: DestKey,
    ) -> Result<Box<dyn Aimed>, String> {
        let (proto, _, vip) = flow;
        let table = self.0.services();
        let found = table.lookup(None, proto, vip).filter(|found| found.key == service);
        let found = found.ok_or_else(|| {
            let (at, proto) = (vip, proto.number());
            format!("the service does not take protocol {proto} at {at}: what is asked `via = \"vip\"` has to be what clients ask")
        })?;
        if proto == Proto::Tcp && found.front(vip).is_some() {
            return Err(
                "TLS of clients ends here, and none reaches one given server: ask without `via`".into()
            );
        }
        let dest = found.everyone().find(|dest| dest.live.key == server);
        let dest = dest.ok_or("the service does not have this server any more")?;
        deaf_to(dest, vip).map_or(Ok(()), Err)?;
        let aimed = self.0.aim(flow, service, server);
        let aimed = aimed.ok_or("another question is under way from the same address and port")?;
        Ok(Box::new(Held(aimed)))
    }

    fn by_engine(&self, from: SocketAddr) -> Option<ByEngine> {
        let table = self.0.services();
        let is_there = |server: DestKey| {
            server.ip() == from.ip() && (server.port() == 0 || server.port() == from.port())
        };
        let mut servers = table.services().flat_map(|service| service.everyone());
        let dest = servers.find(|dest| dest.method.sees_replies() && is_there(dest.live.key))?;
        Some(ByEngine { device: dest.live.path().and_then(|path| survey::device(path.device)) })
    }
}

/// Why this host would not hear what the server answers.
fn deaf_to(dest: &Dest, vip: SocketAddr) -> Option<String> {
    // There is no such thing in IPv6.
    if dest.method.sees_replies() || vip.is_ipv6() {
        return None;
    }
    let device = survey::device(dest.live.path()?.device)?;
    let strict = |of: &str| survey::sysctl(&format!("net.ipv4.conf.{of}.rp_filter"));
    let of_device = strict(&device.replace('.', "/"))?.max(strict("all")?);
    (of_device == 1).then(|| {
        format!(
            "it would answer past us, from the VIP, which `rp_filter` 1 takes for forged: \
             sysctl -w net.ipv4.conf.{device}.rp_filter=2, or ask without `via`"
        )
    })
}
