//! `-G`: the local addresses of FullNAT, in the shape that DPVS has given it. A service `*` stands for all that have none
//! of their own.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use control::api::{LocalPortsView, ServiceView};
use control::save::Names;
use sched::{ForwardMethod, ServiceKey};

use super::request::Request;
use super::resolve::names;
use super::rules::Kind;
use super::{Failure, World, json};

/// The pool of a service, or the one that is everybody's.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) key: Option<ServiceKey>,
    pub(super) lips: Vec<Lip>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Lip {
    pub(super) addr: IpAddr,
    /// How often all ports towards a server were taken when another one was needed.
    pub(super) refused: u64,
    /// Ports taken: connections.
    pub(super) connections: u64,
}

pub(super) fn list(world: &mut World<'_>, request: &Request) -> Result<(), Failure> {
    let mut engine = (world.connect)()?;
    let (all, ports) = (engine.services()?, engine.status()?.local_ports);
    let own = all.services.iter().filter(|s| request.service.is_none_or(|key| s.key == key));
    let mut pools: Vec<_> = own.filter_map(|service| pool_of(service, &ports)).collect();
    match request.service {
        Some(key) if all.services.iter().all(|s| s.key != key) => {
            return Err(Failure { message: "No such service".to_owned(), code: Failure::NOT_LISTED });
        }
        None if !all.lips.is_empty() => pools.push(pool(None, &all.lips, &ports, |_| true)),
        _ => {}
    }
    let text = if request.has(Kind::Json) {
        json::lips(&pools)?
    } else {
        table(&pools, names(request.numeric(), world.names).as_ref())
    };
    Ok(world.out.write_all(text.as_bytes())?)
}

fn pool_of(service: &ServiceView, ports: &[LocalPortsView]) -> Option<Pool> {
    let of_server = |server: SocketAddr| {
        let mut dests = service.dests.iter().filter(|dest| dest.spec.method == ForwardMethod::FullNat);
        dests.any(|dest| dest.spec.addr == server || dest.spec.addr == SocketAddr::new(server.ip(), 0))
    };
    let mine = |ports: &LocalPortsView| {
        service.key.proto().is_none_or(|proto| proto == ports.proto) && of_server(ports.server)
    };
    (!service.lips.is_empty()).then(|| pool(Some(service.key), &service.lips, ports, mine))
}

fn pool(
    key: Option<ServiceKey>,
    lips: &[IpAddr],
    ports: &[LocalPortsView],
    mine: impl Fn(&LocalPortsView) -> bool,
) -> Pool {
    let lip = |addr: &IpAddr| {
        let of_lip = || ports.iter().filter(|ports| ports.lip == *addr && mine(ports));
        let refused = of_lip().map(|ports| ports.refused).sum();
        Lip { addr: *addr, refused, connections: of_lip().map(|ports| ports.taken).sum() }
    };
    Pool { key, lips: lips.iter().map(lip).collect() }
}

fn table(pools: &[Pool], names: &dyn Names) -> String {
    let mut text =
        format!("{:<20} {:<8} {:<20} {:<10} {:<10}\n", "VIP:VPORT", "TOTAL", "SNAT_IP", "CONFLICTS", "CONNS");
    for Pool { key, lips } in pools {
        let title = match key {
            None => "*".to_owned(),
            Some(ServiceKey::Addr { proto, vip, l4_port }) => {
                names.addr(*proto, SocketAddr::new(*vip, *l4_port))
            }
            Some(mark) => mark.to_string(),
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{title:<20} {:<8} ", lips.len());
        for Lip { addr, refused, connections } in lips {
            let addr = addr.to_string();
            let _ = writeln!(text, "{:30}{addr:<20} {refused:<10} {connections:<10}", "");
        }
    }
    text
}
