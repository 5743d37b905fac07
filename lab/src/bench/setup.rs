//! How the contenders are set up: each as its users would, for TCP on two ports and, where it can, UDP on the first.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;

use anyhow::Context as _;

use super::contender::{Column, Contender, Method, stream_module};
use super::stand::{Bench, IDLE_PORT, PORT, done};
use crate::addr::Family;
use crate::node::Child;
use crate::topo::NatLab;

/// FullNAT's pool: addresses of the servers' network that nobody has.
const LIPS: [&str; 4] = ["10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8"];
const PORTS: [u16; 2] = [PORT, IDLE_PORT];

/// Has it forward on the director: where clients go, and the process if it is one that stays.
pub(super) fn start(
    bench: &Bench,
    column: Column,
    lab: &NatLab,
) -> anyhow::Result<(SocketAddr, Option<Child>)> {
    let vip = lab.vip.port(Family::V4, PORT);
    let servers: Vec<IpAddr> = lab.server_addrs.iter().map(|addr| addr.v4).collect();
    let process = match column.contender {
        Contender::Route => return Ok((lab.server_port(0, Family::V4, PORT), None)),
        Contender::Nft => {
            run(bench, column, lab, [nft(vip.ip(), &servers)])?;
            None
        }
        Contender::Haproxy1 => Some(haproxy(bench, column, lab, 1, vip.ip(), &servers)?),
        Contender::Haproxy2 => Some(haproxy(bench, column, lab, 2, vip.ip(), &servers)?),
        Contender::Nginx => Some(nginx(bench, column, lab, vip.ip(), &servers)?),
        Contender::Ipvs => {
            for line in services(vip.ip(), &servers, Method::Nat) {
                run(bench, column, lab, line.split(' '))?;
            }
            None
        }
        Contender::UlvsTun | Contender::UlvsPacket => {
            let method = column.method.unwrap_or(Method::Nat);
            let port = if column.contender == Contender::UlvsPacket { " --port packet" } else { "" };
            run(bench, column, lab, format!("run --detach{port}").split(' '))?;
            for line in services(vip.ip(), &servers, method) {
                run(bench, column, lab, format!("ipvsadm {line}").split(' '))?;
            }
            for lip in LIPS.iter().filter(|_| method == Method::Fullnat) {
                run(bench, column, lab, ["ipvsadm", "-P", "-z", lip])?;
            }
            None
        }
    };
    Ok((vip, process))
}

/// Runs the contender's program on the director, to its end.
fn run<S: AsRef<OsStr>>(
    bench: &Bench,
    column: Column,
    lab: &NatLab,
    words: impl IntoIterator<Item = S>,
) -> anyhow::Result<()> {
    let program = column.contender.program(&bench.ulvs)?.context("it has no program")?;
    done(lab.director.command(program).args(words))
}

/// Lines of `ipvsadm`.
fn services(vip: IpAddr, servers: &[IpAddr], method: Method) -> Vec<String> {
    let mut lines = Vec::new();
    for (proto, port) in [("t", PORT), ("t", IDLE_PORT), ("u", PORT)] {
        lines.push(format!("-A -{proto} {vip}:{port} -s rr"));
        let option = method.option();
        lines.extend(
            servers.iter().map(|server| format!("-a -{proto} {vip}:{port} -r {server}:{port} {option}")),
        );
    }
    lines
}

fn nft(vip: IpAddr, servers: &[IpAddr]) -> String {
    let map: Vec<String> =
        servers.iter().enumerate().map(|(index, server)| format!("{index} : {server}")).collect();
    let to = format!("dnat to numgen inc mod {} map {{ {} }}", servers.len(), map.join(", "));
    format!(
        "add table ip lab; add chain ip lab nat {{ type nat hook prerouting priority dstnat; }}; \
         add rule ip lab nat ip daddr {vip} tcp dport {{ {PORT}, {IDLE_PORT} }} {to}; \
         add rule ip lab nat ip daddr {vip} udp dport {PORT} {to}"
    )
}

fn haproxy(
    bench: &Bench,
    column: Column,
    lab: &NatLab,
    threads: usize,
    vip: IpAddr,
    servers: &[IpAddr],
) -> anyhow::Result<Child> {
    let mut config = format!(
        "global\nnbthread {threads}\nmaxconn {}\ndefaults\nmode tcp\ntimeout connect 5s\ntimeout client 1h\n\
         timeout server 1h\n",
        bench.connections
    );
    for port in PORTS {
        // Writing to a string cannot fail.
        let _ = writeln!(config, "listen vip{port}\nbind {vip}:{port}\nbalance roundrobin");
        for (index, server) in servers.iter().enumerate() {
            let _ = writeln!(config, "server server{} {server}:{port}", index + 1);
        }
    }
    spawn(bench, column, lab, &config, &["-q", "-db", "-f"])
}

fn nginx(
    bench: &Bench,
    column: Column,
    lab: &NatLab,
    vip: IpAddr,
    servers: &[IpAddr],
) -> anyhow::Result<Child> {
    // Without `user root` the workers could not use the lab's directory.
    let mut config = format!(
        "{}daemon off; user root; error_log stderr crit; worker_processes 2; pid {}/nginx.pid;\nevents {{ worker_connections {}; }}\nstream {{\n",
        stream_module()?,
        lab.state_dir().display(),
        2 * bench.connections
    );
    for (port, udp) in [(PORT, false), (IDLE_PORT, false), (PORT, true)] {
        let (name, listen) = if udp { ("udp", "udp reuseport") } else { ("tcp", "backlog=4096") };
        let servers: String = servers.iter().map(|server| format!("server {server}:{port}; ")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            config,
            "upstream {name}{port} {{ {servers}}}\n\
             server {{ listen {vip}:{port} {listen}; proxy_pass {name}{port}; proxy_timeout 1h; }}"
        );
    }
    config.push_str("}\n");
    let dir = lab.state_dir().to_string_lossy().into_owned();
    spawn(bench, column, lab, &config, &["-e", "stderr", "-p", &dir, "-c"])
}

/// Starts the contender's program with a configuration; `options` end with the one that names the file.
fn spawn(
    bench: &Bench,
    column: Column,
    lab: &NatLab,
    config: &str,
    options: &[&str],
) -> anyhow::Result<Child> {
    let file = lab.state_dir().join("contender.conf");
    fs::write(&file, config).with_context(|| format!("cannot write {}", file.display()))?;
    let program = column.contender.program(&bench.ulvs)?.context("it has no program")?;
    let mut command = lab.director.command(program);
    command.args(options).arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
    lab.director.spawn(&mut command)
}
