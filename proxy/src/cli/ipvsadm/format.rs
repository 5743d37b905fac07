//! The output, byte for byte. Pure: views in, text out.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use control::api::{ConnView, ServiceView, Timeouts};
use control::save::Names;
use sched::{Counts, Proto, ServiceKey};

/// First line of a whole table. Size is the kernel's default, which scripts have seen all their life.
pub(super) const VERSION_LINE: &str = "IP Virtual Server version 1.2.1 (size=4096)\n";

/// Which columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// Scheduler, method, weight, connections.
    Plain,
    /// Counters: cut to eight digits, or in full.
    Stats { exact: bool },
}

/// The two lines above the services.
pub(super) const fn header(columns: Columns) -> &'static str {
    match columns {
        Columns::Plain => {
            "Prot LocalAddress:Port Scheduler Flags\n  \
             -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
        }
        Columns::Stats { .. } => {
            "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n  \
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
        Columns::Plain => writeln!(out, "{title} {}", service.scheduler)?,
        Columns::Stats { exact } => stats(out, &title, &service.counts, exact)?,
    }
    for dest in &service.dests {
        let title = format!("  -> {}", cell(proto, dest.spec.addr, names));
        match columns {
            Columns::Plain => {
                let (method, weight) = (dest.spec.method.name(), dest.spec.weight.0);
                writeln!(
                    out,
                    "{title:<33} {method:<7} {weight:<6} {:<10} {:<10}",
                    dest.active, dest.inactive
                )?;
            }
            Columns::Stats { exact } => stats(out, &title, &dest.counts, exact)?,
        }
    }
    Ok(())
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

fn stats(out: &mut impl Write, title: &str, counts: &Counts, exact: bool) -> fmt::Result {
    write!(out, "{title:<33}")?;
    let Counts { conns, in_packets, out_packets, in_bytes, out_bytes } = *counts;
    for n in [conns, in_packets, out_packets, in_bytes, out_bytes] {
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

/// The two lines above the connections.
pub(super) const CONNECTION_HEADER: &str = "IPVS connection entries\n\
    pro expire state       source             virtual            destination\n";

/// A connection. Minutes have no upper bound.
pub(super) fn connection(out: &mut impl Write, conn: &ConnView, names: &dyn Names) -> fmt::Result {
    let addr = |addr| names.addr(conn.proto.unwrap_or(Proto::Tcp), addr);
    writeln!(
        out,
        "{:<3} {:02}:{:02}  {:<11} {:<18} {:<18} {}",
        conn.proto.map_or("IP", Proto::name),
        conn.expires / 60,
        conn.expires % 60,
        conn.state,
        addr(conn.client),
        addr(conn.vip),
        addr(conn.dest)
    )
}

/// The answer to `--timeout`.
pub(super) fn timeouts(timeouts: &Timeouts) -> String {
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    format!("Timeout (tcp tcpfin udp): {tcp} {tcp_fin} {udp}\n")
}

#[cfg(test)]
mod tests;
