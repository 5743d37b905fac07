//! Writes `ulvs.toml`: services, servers and their health, so that reading it again gives the same. What is at its default
//! is left out. Fronts and marks' rules are not written: nothing that is not written by hand has any.

mod check;
mod health;
mod table;

use sched::{
    DestSpec, Family, ForwardMethod, Netmask, Persistence, ServiceKey, ServiceSpec, Tunnel, TunnelChecksum,
    TunnelKind, algo,
};

use crate::save::all_flag_names;
use crate::settings::Timeouts;

use table::{Table, list, string};

/// The file's text.
pub fn write(services: &[ServiceSpec], timeouts: Timeouts) -> String {
    let mut text = String::new();
    if timeouts != Timeouts::default() {
        let mut table = Table::begin(&mut text, "[timeouts]");
        for ((name, seconds), (_, default)) in timeouts.named().into_iter().zip(Timeouts::default().named()) {
            table.unless(name, seconds, default);
        }
    }
    for spec in services {
        service(&mut text, spec);
    }
    text
}

/// One service, its servers included.
pub(crate) fn service(text: &mut String, spec: &ServiceSpec) {
    let mut table = Table::begin(text, "[[service]]");
    match spec.key {
        ServiceKey::Addr { proto, vip, l4_port } => {
            table.put("vip", string(&vip.to_string()));
            let port = format!("{}/{l4_port}", proto.name().to_ascii_lowercase());
            table.put("ports", list([string(&port)]));
        }
        ServiceKey::Mark { mark, family } => {
            table.put("mark", mark.0);
            table.when("family", string("ipv6"), family == Family::Ipv6);
        }
    }
    table.put("scheduler", string(&spec.scheduler));
    let known = algo::find(&spec.scheduler).map_or(&[][..], |a| a.flags);
    let flags = all_flag_names(&spec.scheduler, spec.flags);
    let flags: Vec<_> = flags.into_iter().filter(|flag| known.iter().any(|(name, _)| name == flag)).collect();
    table.when("scheduler_flags", list(flags.iter().map(|flag| string(flag))), !flags.is_empty());
    table.when("one_packet", true, spec.one_packet);
    if let Some(value) = spec.persistence.map(persistence) {
        table.put("persistence", value);
    }
    if let Some(pe) = spec.pe {
        table.put("pe", string(pe.name()));
    }
    if let Some(version) = spec.tcp.proxy_protocol {
        table.put("proxy_protocol", string(version.name()));
    }
    table.when("toa", true, spec.tcp.toa);
    if let Some(mss) = spec.tcp.mss {
        table.put("mss", string(&mss.to_string()));
    }
    table.when("lips", list(spec.lips.iter().map(|lip| string(&lip.to_string()))), !spec.lips.is_empty());
    if let Some(health) = &spec.health {
        health::of_service(text, spec, health);
    }
    for dest in &spec.dests {
        let mut table = Table::begin(text, "[[service.server]]");
        server(&mut table, dest);
        if let Some(health) = &spec.health {
            health::of_server(text, health, &dest.addr);
        }
    }
}

fn persistence(Persistence { timeout, mask }: Persistence) -> String {
    match mask {
        mask if mask.is_full() => timeout.to_string(),
        Netmask::V4(mask) => format!("{{ timeout = {timeout}, mask = {} }}", string(&mask.to_string())),
        Netmask::V6(length) => format!("{{ timeout = {timeout}, mask = {length} }}"),
    }
}

/// What a server has, the sorry one among them.
fn server(table: &mut Table<'_>, dest: &DestSpec) {
    let DestSpec { addr, method, weight, upper, lower, slow_start } = dest;
    let addr = if addr.port() == 0 { addr.ip().to_string() } else { addr.to_string() };
    table.put("address", string(&addr));
    table.unless("weight", weight.0, 1);
    match method {
        ForwardMethod::Masq => {}
        ForwardMethod::FullNat => table.put("method", string("fullnat")),
        ForwardMethod::Route => table.put("method", string("dr")),
        ForwardMethod::Tunnel(kind) => {
            table.put("method", string("tunnel"));
            table.when("tunnel", tunnel(*kind), *kind != Tunnel::default());
        }
    }
    table.unless("upper", *upper, 0);
    table.unless("lower", *lower, 0);
    table.unless("slow_start", *slow_start, 0);
}

fn tunnel(Tunnel { kind, port, checksum }: Tunnel) -> String {
    let kind = match kind {
        TunnelKind::Ipip => "ipip",
        TunnelKind::Gue => "gue",
        TunnelKind::Gre => "gre",
    };
    let mut parts = vec![format!("kind = {}", string(kind))];
    if port != 0 {
        parts.push(format!("port = {port}"));
    }
    match checksum {
        TunnelChecksum::None => {}
        TunnelChecksum::Full => parts.push(format!("checksum = {}", string("full"))),
        TunnelChecksum::Remote => parts.push(format!("checksum = {}", string("remote"))),
    }
    format!("{{ {} }}", parts.join(", "))
}

#[cfg(test)]
mod tests;
