//! `ulvs status`.

use std::fmt::Write;
use std::process::ExitCode;

use control::api::{Blocking, LocalPortsView, Status};
use sched::counted;

use super::{fail, say};

pub(super) fn main(json: bool) -> ExitCode {
    let status = match Blocking::connect().and_then(|mut client| client.status()) {
        Ok(status) => status,
        Err(error) => return fail(&error.to_string()),
    };
    if json {
        match serde_json::to_string_pretty(&status) {
            Ok(text) => say(&text),
            Err(error) => return fail(&error.to_string()),
        }
    } else {
        say(render(&status).trim_end());
    }
    ExitCode::SUCCESS
}

fn render(status: &Status) -> String {
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{name:<12} {text}");
    };
    line(
        "engine",
        format!("ulvs {}, pid {}, up {}", status.version, status.pid, duration(status.uptime_seconds)),
    );
    line("config", status.config.clone().unwrap_or_else(|| "none".to_owned()));
    if status.compat {
        line("compat", "ipvs".to_owned());
    }
    line("log", status.log.clone().unwrap_or_else(|| "standard error".to_owned()));
    let device = if status.device.is_empty() { "none" } else { &status.device };
    let workers = counted(status.workers, "worker");
    line("device", format!("{device}, {workers}, offload: {}", status.offload));
    if !status.port.is_empty() {
        line("port", status.port.clone());
        line("reason", status.port_reason.clone());
    }
    let fronts = match status.fronts {
        0 => String::new(),
        n => format!("; TLS ends at {n} of them, see `ulvs tls list`"),
    };
    line("services", format!("{} (generation {}){fronts}", status.services, status.generation));
    let down = match status.servers_down {
        0 => String::new(),
        n => format!(", {n} of them down, see `ulvs health`"),
    };
    line("servers", format!("{}{down}", status.servers));
    line("connections", format!("{} of at most {}", status.connections, status.max_connections));
    if status.memory > 0 {
        line("memory", format!("{:.1} MiB", status.memory as f64 / 1_048_576.0));
    }
    let pairs = |map: &std::collections::BTreeMap<String, u64>| {
        let shown: Vec<_> =
            map.iter().filter(|(_, n)| **n > 0).map(|(name, n)| format!("{name} {n}")).collect();
        if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
    };
    if let Some(ports) = local_ports(&status.local_ports) {
        line("local ports", ports);
    }
    line("frames", pairs(&status.counters));
    line("dropped", pairs(&status.drops));
    for notice in &status.notices {
        line("notice", notice.clone());
    }
    out
}

/// How many are taken in all, and where there are fewest left.
fn local_ports(all: &[LocalPortsView]) -> Option<String> {
    let busy = |ports: &LocalPortsView| ports.taken.saturating_sub(ports.resting);
    let in_use: u64 = all.iter().map(busy).sum();
    // The shares of two are compared without dividing.
    let fuller = |a: &&LocalPortsView, b: &&LocalPortsView| {
        (u128::from(busy(a)) * u128::from(b.all)).cmp(&(u128::from(busy(b)) * u128::from(a.all)))
    };
    let most = all.iter().max_by(fuller)?;
    let LocalPortsView { proto, lip, server, all: of, .. } = most;
    let (proto, most) = (proto.name(), busy(most));
    Some(format!("{in_use} in use; most from {lip} towards {server}: {most} of {of} ({proto})"))
}

/// A time as people read it.
pub(super) fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_pool_of_local_ports_is_named() {
        let ports = |server: &str, taken: u64, all| LocalPortsView {
            proto: sched::Proto::Tcp,
            lip: "10.0.0.5".parse().unwrap(),
            server: server.parse().unwrap(),
            taken: taken + 7,
            resting: 7,
            all,
            refused: 0,
        };
        let local_ports = vec![ports("10.0.0.6:80", 90, 1000), ports("10.0.0.7:80", 10, 100)];
        let text = render(&Status { local_ports, ..Status::default() });
        let expected = "local ports  100 in use; most from 10.0.0.5 towards 10.0.0.7:80: 10 of 100 (TCP)\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn fronts_are_counted_where_there_are_any() {
        let text = |fronts| render(&Status { services: 3, generation: 7, fronts, ..Status::default() });
        assert!(text(0).contains("services     3 (generation 7)\n"), "{}", text(0));
        assert!(text(1).contains("services     3 (generation 7); TLS ends at 1 of them, "), "{}", text(1));
    }

    #[test]
    fn servers_that_are_down_are_counted() {
        let text = |servers_down| render(&Status { servers: 5, servers_down, ..Status::default() });
        assert!(text(0).contains("servers      5\n"), "{}", text(0));
        assert!(text(2).contains("servers      5, 2 of them down, see `ulvs health`\n"), "{}", text(2));
    }

    #[test]
    fn counters_that_are_zero_are_not_shown() {
        let status = Status {
            uptime_seconds: 3723,
            drops: [("fragment".to_owned(), 2), ("truncated".to_owned(), 0)].into(),
            ..Status::default()
        };
        let text = render(&status);
        assert!(text.contains("up 1 h 2 min\n"), "{text}");
        assert!(text.ends_with("dropped      fragment 2\n"), "{text}");
    }
}
