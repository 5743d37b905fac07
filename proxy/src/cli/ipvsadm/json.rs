//! `--json`: listings for programs. The shape is a promise: members may come, none goes or changes its meaning.
//!
//! | listing | object |
//! |---|---|
//! | `-L` | `services`: list of `protocol`, `address`, `port` or `mark`, `family`; `scheduler`, `flags`, `one_packet`, `proxy_protocol` and `mss` or null, `toa`, `tls` (`port`, `server_port` or null, `stack`, `certificates`: list of files) or null, `persistent` (`timeout`, `netmask`, `engine`) or null, `stats`, `rate`, `servers` |
//! | its `servers` | list of `address`, `port`, `forward`, `tunnel` (`type`, `port`, `checksum`) or null, `weight`, `upper_threshold`, `lower_threshold`, `slow_start`, `active`, `inactive`, `persistent`, `stats`, `rate` |
//! | `-L -c` | `connections`: list of `protocol` (null for a mark's template), `template`, `expires`, `state`, `client`, `virtual`, `server` (each `address`, `port`), `engine`, `engine_data` |
//! | `-L --timeout` | `timeouts`: `tcp`, `tcp_fin`, `udp` |
//! | `-G` | `local_addresses`: list of `service` (`protocol`, `address`, `port` or `mark`, `family`) or null for all without their own, `address`, `connections`, `refused` |
//! | `-L --daemon` | `daemons`: a list, empty as yet |
//!
//! Times are in seconds, counts are numbers, addresses are never names.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use control::api::{ConnView, DestView, ServiceView, Timeouts};
use control::save;
use sched::{
    Counts, Family, ForwardMethod, Mss, PersistenceEngine, Proto, ProxyProtocol, Rates, ServiceKey, TlsFront,
    TlsStack, Tunnel, TunnelChecksum, TunnelKind,
};
use serde::Serialize;

use super::Failure;
use super::lips::Pool;

pub(super) fn services(services: &[ServiceView]) -> Result<String, Failure> {
    let (mut rows, mut out) = (Rows::of("services"), String::new());
    for service in services {
        rows.add(&mut out, &Service::from(service))?;
    }
    rows.end(&mut out);
    Ok(out)
}

pub(super) fn lips(pools: &[Pool]) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct Row {
        service: Option<Key>,
        address: IpAddr,
        connections: u64,
        refused: u64,
    }
    let (mut rows, mut out) = (Rows::of("local_addresses"), String::new());
    for pool in pools {
        for lip in &pool.lips {
            let (address, connections, refused) = (lip.addr, lip.connections, lip.refused);
            let service = pool.key.as_ref().map(Key::from);
            rows.add(&mut out, &Row { service, address, connections, refused })?;
        }
    }
    rows.end(&mut out);
    Ok(out)
}

pub(super) fn timeouts(timeouts: &Timeouts) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct All<'a> {
        timeouts: &'a Timeouts,
    }
    text(&All { timeouts })
}

pub(super) fn daemons() -> Result<String, Failure> {
    #[derive(Serialize)]
    struct All {
        daemons: [(); 0],
    }
    text(&All { daemons: [] })
}

/// A list with a line for each row, written as they come: there may be millions.
pub(super) struct Rows {
    name: &'static str,
    begun: bool,
}

impl Rows {
    pub(super) const CONNECTIONS: Self = Self::of("connections");

    const fn of(name: &'static str) -> Self {
        Self { name, begun: false }
    }

    pub(super) fn connection(&mut self, out: &mut String, conn: &ConnView) -> Result<(), Failure> {
        self.add(out, &Connection::from(conn))
    }

    fn add(&mut self, out: &mut String, row: &impl Serialize) -> Result<(), Failure> {
        self.begin(out);
        out.push_str(if self.begun { ",\n" } else { "\n" });
        self.begun = true;
        out.push_str(text(row)?.trim_end());
        Ok(())
    }

    pub(super) fn end(&self, out: &mut String) {
        self.begin(out);
        out.push_str("]}\n");
    }

    fn begin(&self, out: &mut String) {
        if !self.begun {
            out.push_str(&format!("{{\"{}\":[", self.name));
        }
    }
}

#[derive(Serialize)]
struct Service<'a> {
    #[serde(flatten)]
    key: Key,
    scheduler: &'a str,
    flags: Vec<&'static str>,
    one_packet: bool,
    proxy_protocol: Option<ProxyProtocol>,
    toa: bool,
    mss: Option<Mss>,
    tls: Option<Front<'a>>,
    persistent: Option<Persistent>,
    stats: Counts,
    rate: Rates,
    servers: Vec<Server>,
}

#[derive(Serialize)]
struct Front<'a> {
    port: u16,
    server_port: Option<u16>,
    stack: TlsStack,
    certificates: Vec<&'a Path>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Key {
    Addr { protocol: &'static str, address: IpAddr, port: u16 },
    Mark { mark: u32, family: Family },
}

#[derive(Serialize)]
struct Persistent {
    timeout: u32,
    netmask: String,
    engine: Option<&'static str>,
}

#[derive(Serialize)]
struct Server {
    address: IpAddr,
    port: u16,
    forward: &'static str,
    tunnel: Option<TunnelInfo>,
    /// In force.
    weight: u32,
    /// Where that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    configured_weight: Option<u32>,
    /// It is not in force, being dead or not needed: the other listings do not have it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    absent: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sorry: bool,
    /// Its health in words, where that is looked after.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    upper_threshold: u32,
    lower_threshold: u32,
    slow_start: u32,
    active: u64,
    inactive: u64,
    persistent: u64,
    stats: Counts,
    rate: Rates,
}

#[derive(Serialize)]
struct TunnelInfo {
    #[serde(rename = "type")]
    kind: TunnelKind,
    port: u16,
    checksum: TunnelChecksum,
}

#[derive(Serialize)]
struct Connection<'a> {
    protocol: Option<&'static str>,
    template: bool,
    expires: u32,
    state: &'a str,
    client: End,
    r#virtual: End,
    server: End,
    engine: Option<&'static str>,
    engine_data: Option<&'a str>,
}

#[derive(Serialize)]
struct End {
    address: IpAddr,
    port: u16,
}

impl From<&ServiceKey> for Key {
    fn from(key: &ServiceKey) -> Self {
        match *key {
            ServiceKey::Addr { proto, vip, l4_port } => {
                Self::Addr { protocol: proto.name(), address: vip, port: l4_port }
            }
            ServiceKey::Mark { mark, family } => Self::Mark { mark: mark.0.get(), family },
        }
    }
}

impl<'a> From<&'a ServiceView> for Service<'a> {
    fn from(service: &'a ServiceView) -> Self {
        Self {
            key: Key::from(&service.key),
            scheduler: &service.scheduler,
            flags: save::all_flag_names(&service.scheduler, service.flags),
            one_packet: service.one_packet,
            proxy_protocol: service.tcp.proxy_protocol,
            toa: service.tcp.toa,
            mss: service.tcp.mss,
            tls: service.tls.as_deref().map(Front::from),
            persistent: service.persistence.map(|p| Persistent {
                timeout: p.timeout,
                netmask: p.mask.to_string(),
                engine: service.pe.map(PersistenceEngine::name),
            }),
            stats: service.counts,
            rate: service.rates,
            servers: service.dests.iter().map(Server::from).collect(),
        }
    }
}

impl<'a> From<&'a TlsFront> for Front<'a> {
    fn from(front: &'a TlsFront) -> Self {
        Self {
            port: front.port,
            server_port: front.server_port,
            stack: front.stack,
            certificates: front.certs.iter().map(|pair| pair.cert.as_path()).collect(),
        }
    }
}

impl From<&DestView> for Server {
    fn from(dest: &DestView) -> Self {
        let spec = &dest.spec;
        Self {
            address: spec.addr.ip(),
            port: spec.addr.port(),
            forward: spec.method.name(),
            tunnel: match spec.method {
                ForwardMethod::Tunnel(Tunnel { kind, port, checksum }) => {
                    Some(TunnelInfo { kind, port, checksum })
                }
                ForwardMethod::Masq | ForwardMethod::FullNat | ForwardMethod::Route => None,
            },
            weight: if dest.absent { 0 } else { dest.weight().0 },
            configured_weight: (dest.absent || dest.effective.is_some()).then_some(spec.weight.0),
            absent: dest.absent,
            sorry: dest.sorry,
            state: Some(dest.state.clone()).filter(|state| !state.is_empty()),
            upper_threshold: spec.upper,
            lower_threshold: spec.lower,
            slow_start: spec.slow_start,
            active: dest.active,
            inactive: dest.inactive,
            persistent: dest.persistent,
            stats: dest.counts,
            rate: dest.rates,
        }
    }
}

impl<'a> From<&'a ConnView> for Connection<'a> {
    fn from(conn: &'a ConnView) -> Self {
        let end = |addr: SocketAddr| End { address: addr.ip(), port: addr.port() };
        Self {
            protocol: conn.proto.map(Proto::name),
            template: conn.template,
            expires: conn.expires,
            state: &conn.state,
            client: end(conn.client),
            r#virtual: end(conn.vip),
            server: end(conn.dest),
            engine: conn.pe.as_ref().map(|(engine, _)| engine.name()),
            engine_data: conn.pe.as_ref().map(|(_, data)| data.as_str()),
        }
    }
}

fn text(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(value);
    text.map(|text| text + "\n").map_err(|e| Failure::options(format!("cannot write JSON: {e}")))
}
