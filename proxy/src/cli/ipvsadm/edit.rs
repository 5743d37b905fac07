//! The commands that change something.

use std::net::SocketAddr;

use sched::{DestSpec, Family, Op, ServiceKey, ServiceSpec, algo};

use super::Failure;
use super::opts::{Command, Kind};
use super::request::Request;

/// The edit that a request stands for. `-E` and `-e` set everything anew: what is not given goes back to its default.
pub(super) fn op(request: &Request) -> Result<Op, Failure> {
    match request.command {
        Command::Add => Ok(Op::AddService { service: service(request)? }),
        Command::Edit => Ok(Op::EditService { service: service(request)? }),
        Command::Delete => Ok(Op::DelService { key: key(request)? }),
        Command::AddServer => Ok(Op::AddDest { key: key(request)?, dest: dest(request)? }),
        Command::EditServer => Ok(Op::EditDest { key: key(request)?, dest: dest(request)? }),
        Command::DeleteServer => Ok(Op::DelDest { key: key(request)?, addr: addr(request)? }),
        Command::Flush => Ok(Op::Flush),
        Command::Zero => Ok(Op::Zero { key: request.key() }),
        Command::List | Command::Save | Command::Restore | Command::Help | Command::Version => {
            Err(Failure::options(format!("the '{}' command changes nothing", request.command.name())))
        }
    }
}

fn key(request: &Request) -> Result<ServiceKey, Failure> {
    request.key().ok_or_else(|| Failure::options("no service-address option specified"))
}

fn service(request: &Request) -> Result<ServiceSpec, Failure> {
    let key = key(request)?;
    if request.service.is_some_and(|(.., port)| port == 0) {
        return Err(Failure::options("Zero port specified for non-persistent service"));
    }
    let scheduler = request.scheduler.clone().unwrap_or_else(|| algo::DEFAULT.to_owned());
    Ok(ServiceSpec::new(key, &scheduler))
}

fn addr(request: &Request) -> Result<SocketAddr, Failure> {
    let (Some((.., vip_port)), Some(server)) = (request.service, request.server) else {
        return Err(Failure::options("no real-server option specified"));
    };
    Ok(SocketAddr::new(server.ip, server.port.unwrap_or(vip_port)))
}

fn dest(request: &Request) -> Result<DestSpec, Failure> {
    let addr = addr(request)?;
    if !request.has(Kind::ForwardingMethod) {
        return Err(Failure::options(
            "without -m a server gets direct routing (-g), which this version of ulvs does not have: add -m for NAT",
        ));
    }
    if request.key().is_some_and(|key| key.family() != Family::from(addr.ip())) {
        return Err(Failure::options("Different address family is allowed only for tunneling servers"));
    }
    Ok(DestSpec { weight: request.weight, ..DestSpec::new(addr) })
}
