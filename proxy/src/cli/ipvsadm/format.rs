//! The output, byte for byte. Pure: views in, text out.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use control::api::{ConnView, DestView, ServiceView, Timeouts};
use control::save::{self, Names};
use sched::{
    Counts, DestSpec, ForwardMethod, Persistence, Proto, Rates, ServiceKey, Tunnel, TunnelChecksum,
    TunnelKind,
};

/// First line of a whole table. Size is the kernel's default, which scripts have seen all their life.
pub(super) const VERSION_LINE: &str = "IP Virtual Server version 1.2.1 (size=4096)\n";

/// Which columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// Scheduler, method, weight, connections.
    Plain,
    /// The same with the kind of tunnel.
    Tunnels,
    /// Counters: cut to eight digits, or in full.
    Stats { exact: bool },
    /// Counts per second.
    Rates { exact: bool },
    /// Connection thresholds.
    Thresholds,
    /// Clients who come back.
    Persistence,
}

/// The two lines above the services.
pub(super) const fn header(columns: Columns) -> &'static str {
    match columns {
        Columns::Plain => {
            "Prot LocalAddress:Port Scheduler Flags\n  \
             -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
        }
        Columns::Tunnels => {
            "Prot LocalAddress:Port Scheduler Flags\n  \
             -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n"
        }
        Columns::Stats { .. } => {
            "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n  \
             -> RemoteAddress:Port\n"
        }
        Columns::Rates { .. } => {
            "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n  \
             -> RemoteAddress:Port\n"
        }
        Columns::Thresholds => {
            "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n  \
             -> RemoteAddress:Port\n"
        }
        Columns::Persistence => {
            "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n  \
             -> RemoteAddress:Port\n"
        }
    }
}

/// A service and its servers.
pub(super) fn service(
    out: &mut impl Write,
    service: &ServiceView,
    columns: Columns,
    names: &dyn Names,
) -> fmt::Result {
    let (title, proto) = match service.key {
        ServiceKey::Addr { proto, vip, l4_port } => {
            (format!("{:<4} {}", proto.name(), cell(proto, SocketAddr::new(vip, l4_port), names)), proto)
        }
        ServiceKey::Mark { .. } => (service.key.to_string().replacen(' ', "  ", 1), Proto::Tcp),
    };
    match columns {
        Columns::Stats { exact } => numbers(out, &title, counts(&service.counts), exact)?,
        Columns::Rates { exact } => numbers(out, &title, rates(&service.rates), exact)?,
        _ => settings(out, &title, service)?,
    }
    for dest in service.in_force() {
        let title = format!("  -> {}", cell(proto, dest.spec.addr, names));
        let DestView { spec, active, inactive, persistent, .. } = dest;
        let DestSpec { method, upper, lower, .. } = spec;
        let weight = dest.weight();
        match columns {
            Columns::Stats { exact } => numbers(out, &title, counts(&dest.counts), exact)?,
            Columns::Rates { exact } => numbers(out, &title, rates(&dest.rates), exact)?,
            Columns::Plain => {
                let method = method.name();
                writeln!(out, "{title:<33} {method:<7} {:<6} {active:<10} {inactive:<10}", weight.0)?;
            }
            Columns::Tunnels => {
                let (method, tunnel) = (method.name(), tunnel(*method));
                let weight = weight.0;
                writeln!(
                    out,
                    "{title:<33} {method:<7} {tunnel:<13} {weight:<6} {active:<10} {inactive:<10}"
                )?;
            }
            Columns::Thresholds => {
                writeln!(out, "{title:<33} {upper:<10} {lower:<10} {active:<10} {inactive:<10}")?;
            }
            Columns::Persistence => {
                writeln!(out, "{title:<33} {:<9} {persistent:<11} {active:<10} {inactive:<10}", weight.0)?;
            }
        }
    }
    Ok(())
}

/// Scheduler with its switches, persistence, one-packet scheduling, and what is ours alone.
fn settings(out: &mut impl Write, title: &str, service: &ServiceView) -> fmt::Result {
    write!(out, "{title} {}", service.scheduler)?;
    if !service.flags.is_empty() {
        write!(out, " ({})", save::flag_names(&service.scheduler, service.flags).join(","))?;
    }
    if let Some(Persistence { timeout, mask }) = service.persistence {
        write!(out, " persistent {timeout}")?;
        if !mask.is_full() {
            write!(out, " mask {mask}")?;
        }
        if let Some(pe) = service.pe {
            write!(out, " pe {}", pe.name())?;
        }
    }
    if service.one_packet {
        write!(out, " ops")?;
    }
    if let Some(version) = service.tcp.proxy_protocol {
        write!(out, " proxy-{}", version.name())?;
    }
    if service.tcp.toa {
        write!(out, " toa")?;
    }
    if let Some(mss) = service.tcp.mss {
        write!(out, " mss {mss}")?;
    }
    writeln!(out)
}

fn tunnel(method: ForwardMethod) -> String {
    let ForwardMethod::Tunnel(Tunnel { kind, port, checksum }) = method else { return "n/a".to_owned() };
    let checksum = match checksum {
        TunnelChecksum::None => "-c",
        TunnelChecksum::Full => "+c",
        TunnelChecksum::Remote => "r+c",
    };
    match kind {
        TunnelKind::Ipip => "ipip".to_owned(),
        TunnelKind::Gue => format!("gue:{port}:{checksum}"),
        TunnelKind::Gre => format!("gre:{checksum}"),
    }
}

/// An address in a table. IPv4 is cut at the width of its column, IPv6 is not.
fn cell(proto: Proto, addr: SocketAddr, names: &dyn Names) -> String {
    let mut text = names.addr(proto, addr);
    if addr.is_ipv4()
        && let Some((end, _)) = text.char_indices().nth(28)
    {
        text.truncate(end);
    }
    text
}

const fn counts(counts: &Counts) -> [u64; 5] {
    [counts.conns, counts.in_packets, counts.out_packets, counts.in_bytes, counts.out_bytes]
}

const fn rates(rates: &Rates) -> [u64; 5] {
    [rates.cps, rates.in_pps, rates.out_pps, rates.in_bps, rates.out_bps]
}

fn numbers(out: &mut impl Write, title: &str, numbers: [u64; 5], exact: bool) -> fmt::Result {
    write!(out, "{title:<33}")?;
    for n in numbers {
        write!(out, " {:>8}", if exact { n.to_string() } else { cut(n) })?;
    }
    writeln!(out)
}

/// At most eight digits, then decimal K, M, G, T, cut and not rounded.
fn cut(n: u64) -> String {
    match n {
        0..=99_999_999 => n.to_string(),
        100_000_000..=999_999_999 => format!("{}K", n / 1_000),
        1_000_000_000..=99_999_999_999 => format!("{}M", n / 1_000_000),
        100_000_000_000..=99_999_999_999_999 => format!("{}G", n / 1_000_000_000),
        _ => format!("{}T", n / 1_000_000_000_000),
    }
}

/// The two lines above the connections; with a column for persistence engines and their data.
pub(super) const fn connection_header(engines: bool) -> &'static str {
    if engines {
        "IPVS connection entries\n\
         pro expire state       source             virtual            destination        pe name          pe_data\n"
    } else {
        "IPVS connection entries\n\
         pro expire state       source             virtual            destination\n"
    }
}

/// A connection. Minutes have no upper bound. A template has no port where it stands for all of them, and for a service by
/// mark its virtual address is the mark.
pub(super) fn connection(
    out: &mut impl Write,
    conn: &ConnView,
    engines: bool,
    names: &dyn Names,
) -> fmt::Result {
    let addr = |addr| names.addr(conn.proto.unwrap_or(Proto::Tcp), addr);
    write!(
        out,
        "{:<3} {:02}:{:02}  {:<11} {:<18} {:<18} ",
        conn.proto.map_or("IP", Proto::name),
        conn.expires / 60,
        conn.expires % 60,
        conn.state,
        addr(conn.client),
        addr(conn.vip)
    )?;
    let dest = addr(conn.dest);
    match conn.pe.as_ref().filter(|_| engines) {
        Some((engine, data)) => writeln!(out, "{dest:<16} {:<18} {data}", engine.name()),
        None => writeln!(out, "{dest}"),
    }
}

/// The answer to `--timeout`.
pub(super) fn timeouts(timeouts: &Timeouts) -> String {
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    format!("Timeout (tcp tcpfin udp): {tcp} {tcp_fin} {udp}\n")
}

#[cfg(test)]
mod tests;
