//! What each option says: a value into the request, or why it makes no sense.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use sched::{Family, Mark, Mss, Persistence, Proto, ProxyProtocol, ServiceKey, TunnelKind, Weight};

use super::Failure;
use super::address::{self, number};
use super::request::{Method, Request, Server};
use super::resolve::Resolve;

type Done = Result<(), Failure>;

/// It is enough that it was said.
pub(super) fn said(_: &mut Request, _: Option<&str>, _: &dyn Resolve) -> Done {
    Ok(())
}

pub(super) fn tcp(request: &mut Request, value: Option<&str>, names: &dyn Resolve) -> Done {
    service(request, Proto::Tcp, value, names)
}

pub(super) fn udp(request: &mut Request, value: Option<&str>, names: &dyn Resolve) -> Done {
    service(request, Proto::Udp, value, names)
}

pub(super) fn sctp(request: &mut Request, value: Option<&str>, names: &dyn Resolve) -> Done {
    service(request, Proto::Sctp, value, names)
}

fn service(request: &mut Request, proto: Proto, value: Option<&str>, names: &dyn Resolve) -> Done {
    let (ip, port) = address::parse(value.unwrap_or_default(), proto, names)
        .ok_or_else(|| Failure::options("illegal virtual server address[:port] specified"))?;
    request.service = Some(ServiceKey::addr(proto, SocketAddr::new(ip, port.unwrap_or(0))));
    Ok(())
}

pub(super) fn mark(request: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    let value = value.unwrap_or_default();
    let mark = number(value).and_then(|n| u32::try_from(n).ok()).and_then(std::num::NonZeroU32::new);
    let mark = mark.ok_or_else(|| Failure::options(format!("invalid fwmark value `{value}' specified")))?;
    request.service = Some(ServiceKey::Mark { mark: Mark(mark), family: Family::Ipv4 });
    Ok(())
}

pub(super) fn ipv6(request: &mut Request) -> Done {
    match &mut request.service {
        Some(ServiceKey::Mark { family, .. }) => {
            *family = Family::Ipv6;
            Ok(())
        }
        _ => Err(Failure::options("-6 used before -f\n")),
    }
}

pub(super) fn scheduler(request: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    request.scheduler = value.filter(|name| !name.is_empty()).map(str::to_owned);
    Ok(())
}

pub(super) fn sched_flags(request: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    request.flag_names = value.unwrap_or_default().to_owned();
    Ok(())
}

pub(super) fn engine(request: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    request.engine = value.unwrap_or_default().to_owned();
    Ok(())
}

pub(super) fn persistent(request: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    request.persistence = match value {
        Some(value) => seconds(value, 1)?,
        None => Persistence::DEFAULT_TIMEOUT,
    };
    Ok(())
}

/// A number of seconds up to what ipvsadm takes: 31 days.
pub(super) fn seconds(value: &str, least: u32) -> Result<u32, Failure> {
    within(value, least..=Persistence::MAX_TIMEOUT)
        .ok_or_else(|| Failure::options(format!("invalid timeout value `{value}' specified")))
}

/// Looked at again when the family is known for certain.
pub(super) fn netmask(request: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    request.netmask = value.unwrap_or_default().to_owned();
    request.service.map_or(Ok(()), |key| address::netmask(&request.netmask, key.family()).map(drop))
}

pub(super) fn server(request: &mut Request, value: Option<&str>, names: &dyn Resolve) -> Done {
    // A port's name may depend on the protocol. Before the service is known, TCP is the best guess.
    let proto = request.service.and_then(|key| key.proto()).unwrap_or(Proto::Tcp);
    let (ip, port) = address::parse(value.unwrap_or_default(), proto, names)
        .ok_or_else(|| Failure::options("illegal real server address[:port] specified"))?;
    request.server = Some(Server { ip, port });
    Ok(())
}

pub(super) fn gatewaying(request: &mut Request, _: Option<&str>, _: &dyn Resolve) -> Done {
    request.method = Method::Gatewaying;
    Ok(())
}

pub(super) fn tunnel(request: &mut Request, _: Option<&str>, _: &dyn Resolve) -> Done {
    request.method = Method::Tunnel;
    Ok(())
}

pub(super) fn masquerading(request: &mut Request, _: Option<&str>, _: &dyn Resolve) -> Done {
    request.method = Method::Masquerading;
    Ok(())
}

pub(super) fn fullnat(request: &mut Request, _: Option<&str>, _: &dyn Resolve) -> Done {
    request.method = Method::FullNat;
    Ok(())
}

pub(super) fn tun_type(request: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    request.tunnel = match value {
        Some("ipip") => TunnelKind::Ipip,
        Some("gue") => TunnelKind::Gue,
        Some("gre") => TunnelKind::Gre,
        _ => return Err(Failure::options("illegal tunnel type specified")),
    };
    Ok(())
}

pub(super) fn tun_port(request: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    let port = legal(value, 1..=65_535, "tunnel port")?;
    request.tunnel_port = u16::try_from(port).unwrap_or(u16::MAX);
    Ok(())
}

pub(super) fn weight(request: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    request.weight = Weight(legal(value, 0..=Weight::MAX.0, "weight")?);
    Ok(())
}

pub(super) fn upper(request: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    request.upper = legal(value, INT, "u_threshold")?;
    Ok(())
}

pub(super) fn lower(request: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    request.lower = legal(value, INT, "l_threshold")?;
    Ok(())
}

pub(super) fn slow_start(request: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    request.slow_start = legal(value, INT, "slow-start")?;
    Ok(())
}

pub(super) fn proxy_protocol(request: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    let version = value.unwrap_or_default();
    request.tcp.proxy_protocol = match ProxyProtocol::ALL.into_iter().find(|v| v.name() == version) {
        None if version != "disable" => {
            return Err(Failure::options("illegal proxy-protocol specified: v1, v2 or disable"));
        }
        found => found,
    };
    Ok(())
}

pub(super) fn toa(request: &mut Request, _: Option<&str>, _: &dyn Resolve) -> Done {
    request.tcp.toa = true;
    Ok(())
}

pub(super) fn mss(request: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    let mss = value.unwrap_or_default().parse();
    let bad = |_| format!("illegal mss specified: auto, or a number from {} to {}", Mss::MIN, Mss::MAX);
    request.tcp.mss = Some(mss.map_err(bad).map_err(Failure::options)?);
    Ok(())
}

pub(super) fn local_address(request: &mut Request, value: Option<&str>, names: &dyn Resolve) -> Done {
    let parsed = address::parse(value.unwrap_or_default(), Proto::Tcp, names);
    let lip = parsed.filter(|(_, port)| port.is_none()).map(|(ip, _)| ip);
    request.lip = Some(lip.ok_or_else(|| Failure::options("illegal local address specified"))?);
    Ok(())
}

// What follows is about the sync daemon, which does not exist yet: values are looked at, and that is all.

pub(super) fn syncid(_: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    legal(value, 0..=255, "syncid").map(drop)
}

pub(super) fn sync_maxlen(_: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    legal(value, 1..=65_507, "sync-maxlen").map(drop)
}

pub(super) fn mcast_interface(_: &mut Request, _: Option<&str>, _: &dyn Resolve) -> Done {
    Ok(())
}

pub(super) fn mcast_group(_: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    let value = value.unwrap_or_default();
    let (version, group) = if value.contains(':') {
        ("IPv6", value.parse::<Ipv6Addr>().ok().map(IpAddr::V6))
    } else {
        ("IPv4", value.parse::<Ipv4Addr>().ok().map(IpAddr::V4))
    };
    match group {
        Some(group) if group.is_multicast() => Ok(()),
        _ => Err(Failure::options(format!("invalid {version} mcast-group `{value}'"))),
    }
}

pub(super) fn mcast_port(_: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    legal(value, 1..=65_535, "mcast-port").map(drop)
}

pub(super) fn mcast_ttl(_: &mut Request, value: Option<&str>, _: &dyn Resolve) -> Done {
    legal(value, 1..=255, "mcast-ttl").map(drop)
}

/// What a C `int` holds of the numbers from 0.
const INT: RangeInclusive<u32> = 0..=i32::MAX as u32;

fn legal(value: Option<&str>, range: RangeInclusive<u32>, what: &str) -> Result<u32, Failure> {
    within(value.unwrap_or_default(), range)
        .ok_or_else(|| Failure::options(format!("illegal {what} specified")))
}

fn within(value: &str, range: RangeInclusive<u32>) -> Option<u32> {
    number(value).and_then(|n| u32::try_from(n).ok()).filter(|n| range.contains(n))
}
