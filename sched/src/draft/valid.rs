//! What an op has to fulfil, whatever the table holds.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use crate::model::{
    DestSpec, Family, ForwardMethod, Health, Mss, Persistence, ServiceKey, ServiceSpec, TlsFront, Weight,
    is_host,
};
use crate::op::OpError;

/// A front that makes sense ([`TlsFront::flaws`]).
pub(super) fn tls(key: &ServiceKey, tls: Option<&Arc<TlsFront>>) -> Result<(), OpError> {
    if tls.is_some_and(|tls| !tls.flaws(key).is_empty()) { Err(OpError::InvalidTls) } else { Ok(()) }
}

/// Health that makes sense ([`Health::is_sound`]). A sorry server is one that might be a server, and is none.
pub(super) fn health(key: &ServiceKey, health: Option<&Health>, dests: &[DestSpec]) -> Result<(), OpError> {
    if health.is_some_and(|health| !health.is_sound()) {
        return Err(OpError::InvalidHealth);
    }
    let Some(sorry) = health.and_then(|health| health.sorry.as_ref()) else { return Ok(()) };
    dest(key, sorry)?;
    if dests.iter().any(|dest| dest.addr == sorry.addr) { Err(OpError::DestExists) } else { Ok(()) }
}

pub(super) fn service(spec: &ServiceSpec) -> Result<(), OpError> {
    if spec.key.vip().is_some_and(|vip| !is_host(vip)) {
        return Err(OpError::Invalid);
    }
    // The kernel takes it and serves nobody; only ipvsadm refuses.
    if spec.key.l4_port() == Some(0) && spec.persistence.is_none() {
        return Err(OpError::PortZero);
    }
    tls(&spec.key, spec.tls.as_ref())?;
    if matches!(spec.tcp.mss, Some(Mss::Bytes(bytes)) if !(Mss::MIN..=Mss::MAX).contains(&bytes)) {
        return Err(OpError::Invalid);
    }
    match spec.persistence {
        Some(Persistence { timeout, mask })
            if mask.family() != spec.key.family() || !(1..=Persistence::MAX_TIMEOUT).contains(&timeout) =>
        {
            Err(OpError::Invalid)
        }
        _ => Ok(()),
    }
}

/// What a new server has to fulfil.
pub(super) fn dest(key: &ServiceKey, spec: &DestSpec) -> Result<(), OpError> {
    settings(key, spec)?;
    let unreachable = |addr: Ipv6Addr| addr.is_unicast_link_local() || addr.to_ipv4_mapped().is_some();
    let unreachable = matches!(spec.addr.ip(), IpAddr::V6(addr) if unreachable(addr));
    if !is_host(spec.addr.ip()) || unreachable {
        return Err(OpError::Invalid);
    }
    Ok(())
}

/// What an edited one has to fulfil too: the kernel looks at these first.
pub(super) fn settings(key: &ServiceKey, spec: &DestSpec) -> Result<(), OpError> {
    // A tunnel's outer header has a family of its own.
    let tunnel = matches!(spec.method, ForwardMethod::Tunnel(_));
    if Family::from(spec.addr.ip()) != key.family() && !tunnel {
        return Err(OpError::FamilyMismatch);
    }
    if spec.weight > Weight::MAX || spec.lower > spec.upper {
        return Err(OpError::OutOfRange);
    }
    if spec.upper > i32::MAX as u32 {
        return Err(OpError::Invalid);
    }
    Ok(())
}

pub(super) fn lip(key: Option<&ServiceKey>, lip: IpAddr) -> Result<(), OpError> {
    // Nobody else could answer to these.
    let unreachable = lip.is_loopback() || matches!(lip, IpAddr::V6(lip) if lip.is_unicast_link_local());
    if !is_host(lip) || unreachable {
        return Err(OpError::Invalid);
    }
    match key {
        Some(key) if key.family() != lip.into() => Err(OpError::LipFamilyMismatch),
        _ => Ok(()),
    }
}
