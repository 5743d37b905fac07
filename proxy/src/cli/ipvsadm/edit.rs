//! The commands that change something.

use std::net::{IpAddr, SocketAddr};

use control::api::Timeouts;
use sched::{
    DestSpec, ForwardMethod, Netmask, Op, Persistence, PersistenceEngine, ServiceKey, ServiceSpec, Tunnel,
    TunnelChecksum, algo,
};

use super::request::{Method, Request};
use super::rules::{Command, Kind};
use super::{Failure, address};

/// What a command changes.
pub(super) enum Change {
    /// The table.
    Table(Op),
    /// Timeouts; those that are 0 stay.
    Timeouts(Timeouts),
}

/// What a request changes. `-E` and `-e` set everything anew: what is not given goes back to its default.
pub(super) fn change(request: &Request) -> Result<Change, Failure> {
    let op = match request.command {
        Command::Set => return Ok(Change::Timeouts(request.timeouts)),
        Command::Add => Op::AddService { service: service(request)? },
        Command::Edit => Op::EditService { service: service(request)? },
        Command::Delete => Op::DelService { key: key(request)? },
        Command::AddServer => Op::AddDest { key: key(request)?, dest: dest(request)? },
        Command::EditServer => Op::EditDest { key: key(request)?, dest: dest(request)? },
        Command::DeleteServer => Op::DelDest { key: key(request)?, addr: addr(request)? },
        Command::AddLip => Op::AddLip { key: request.service, lip: lip(request)? },
        Command::DelLip => Op::DelLip { key: request.service, lip: lip(request)? },
        Command::Flush => Op::Flush,
        Command::Zero => Op::Zero { key: request.service },
        Command::StartDaemon | Command::StopDaemon => {
            return Err(Failure::refused(
                "ulvs cannot synchronise connections with another director yet: there is no sync daemon to start or stop",
            ));
        }
        Command::List
        | Command::ListLips
        | Command::Save
        | Command::Restore
        | Command::Help
        | Command::Version => {
            let name = request.command.name();
            return Err(Failure::options(format!("the '{name}' command changes nothing")));
        }
    };
    Ok(Change::Table(op))
}

/// A mask that would be taken and is hardly what was meant: the original reads a number without dots as the last byte
/// of an address.
pub(super) fn doubt(request: &Request) -> Option<Failure> {
    let number: u32 = request.netmask.parse().ok()?;
    let service = request.service.filter(|key| key.family() == sched::Family::Ipv4)?;
    let mask = Netmask::V4(std::net::Ipv4Addr::from_bits(number));
    let meant = u32::MAX.checked_shl(32_u32.checked_sub(number)?)?;
    let (Netmask::V4(mask), meant) = (mask, std::net::Ipv4Addr::from_bits(meant)) else { return None };
    (number > 0).then(|| {
        Failure::options(format!(
            "illegal virtual server persistent mask specified: -M {number} would be the mask {mask}; say -M {meant} for {number} bits of {service}'s clients"
        ))
    })
}

fn key(request: &Request) -> Result<ServiceKey, Failure> {
    request.service.ok_or_else(|| Failure::options("no service-address option specified"))
}

fn lip(request: &Request) -> Result<IpAddr, Failure> {
    request.lip.ok_or_else(|| Failure::options("no local-address option specified"))
}

fn service(request: &Request) -> Result<ServiceSpec, Failure> {
    let key = key(request)?;
    let mask = match request.has(Kind::Netmask) {
        true => address::netmask(&request.netmask, key.family())?,
        false => Netmask::full(key.family()),
    };
    let pe = match request.engine.as_str() {
        "" => None,
        "sip" => Some(PersistenceEngine::Sip),
        _ => return Err(Failure::refused("Scheduler or persistence engine not found")),
    };
    Ok(ServiceSpec {
        flags: request.flags,
        one_packet: request.has(Kind::Ops),
        persistence: request
            .has(Kind::Persistent)
            .then_some(Persistence { timeout: request.persistence, mask }),
        pe,
        tcp: request.tcp,
        ..ServiceSpec::new(key, request.scheduler.as_deref().unwrap_or(algo::DEFAULT))
    })
}

/// Direct routing and tunnels leave the port as it is, so there the server's is the service's. A mark has none.
fn addr(request: &Request) -> Result<SocketAddr, Failure> {
    let server = request.server.ok_or_else(|| Failure::options("no real-server option specified"))?;
    let port = match key(request)? {
        ServiceKey::Mark { .. } => server.port.unwrap_or(0),
        ServiceKey::Addr { l4_port, .. } => {
            let kept = request.command != Command::DeleteServer && !request.method.changes_port();
            server.port.filter(|_| !kept).unwrap_or(l4_port)
        }
    };
    Ok(SocketAddr::new(server.ip, port))
}

fn dest(request: &Request) -> Result<DestSpec, Failure> {
    let checksum = if request.has(Kind::TunRemcsum) {
        TunnelChecksum::Remote
    } else if request.has(Kind::TunCsum) {
        TunnelChecksum::Full
    } else {
        TunnelChecksum::None
    };
    let method = match request.method {
        Method::Gatewaying => ForwardMethod::Route,
        Method::Masquerading => ForwardMethod::Masq,
        Method::FullNat => ForwardMethod::FullNat,
        Method::Tunnel => {
            ForwardMethod::Tunnel(Tunnel { kind: request.tunnel, port: request.tunnel_port, checksum })
        }
    };
    Ok(DestSpec {
        addr: addr(request)?,
        method,
        weight: request.weight,
        upper: request.upper,
        lower: request.lower,
        slow_start: request.slow_start,
    })
}
