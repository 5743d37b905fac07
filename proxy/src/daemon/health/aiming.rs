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
use sched::{Dest, DestKey, Proto, ServiceKey, ServiceTable};

pub(super) struct Aiming {
    pub(super) engine: Arc<Engine>,
    /// What servers say is steered to the engine. Where rings are all there is, the kernel gets all that is for this host.
    pub(super) steered: bool,
}

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
        let table = self.engine.services();
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
        let aimed = self.engine.aim(flow, service, server);
        let aimed = aimed.ok_or("another question is under way from the same address and port")?;
        Ok(Box::new(Held(aimed)))
    }

    fn by_engine(&self, proto: Proto, from: SocketAddr) -> Option<ByEngine> {
        self.steered.then(|| by_engine(&self.engine.services(), proto, from)).flatten()
    }
}

/// As the table has it steered.
fn by_engine(table: &ServiceTable, proto: Proto, from: SocketAddr) -> Option<ByEngine> {
    if !table.is_server(proto, from) {
        return None;
    }
    let servers = table.services().flat_map(|service| service.everyone());
    let mut paths =
        servers.filter(|dest| dest.live.key.ip() == from.ip()).filter_map(|dest| dest.live.path());
    Some(ByEngine { device: paths.next().and_then(|path| survey::device(path.device)) })
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

#[cfg(test)]
mod tests {
    use sched::{DestSpec, Op, ServiceSpec, Trash};

    use super::*;

    #[test]
    fn by_the_engine_come_the_answers_that_are_steered_to_it() {
        let services = ["tcp/10.0.0.1:53", "fwm/3"].iter().zip(["10.1.0.1:53", "10.1.0.2:8080"]);
        let ops = services.map(|(key, server)| {
            let dests = vec![DestSpec::new(server.parse().unwrap())];
            Op::AddService { service: ServiceSpec { dests, ..ServiceSpec::new(key.parse().unwrap(), "rr") } }
        });
        let ops: Vec<_> = ops.collect();
        let table = ServiceTable::default().apply(&mut Trash::default(), &ops).unwrap();
        for (proto, from, expected) in [
            (Proto::Tcp, "10.1.0.1:53", true),
            (Proto::Tcp, "10.1.0.1:54", false),
            (Proto::Udp, "10.1.0.1:53", false),
            (Proto::Tcp, "10.1.0.2:9000", true),
            (Proto::Udp, "10.1.0.2:8080", true),
            (Proto::Tcp, "10.1.0.3:53", false),
        ] {
            let found = by_engine(&table, proto, from.parse().unwrap());
            assert_eq!(found.is_some(), expected, "{proto:?} {from}");
        }
    }
}
