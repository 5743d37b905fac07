//! A lab whose director is a contender at work.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::contender::Column;
use super::setup;
use super::usage;
use super::workload::{CROWD, IDLE};
use crate::addr::{Cidr, Family};
use crate::client;
use crate::load;
use crate::node::{Child, Node};
use crate::serve::{Http, Leaver, UdpEcho};
use crate::topo::{NatLab, NatOptions};
use crate::wait::wait_for;

/// What all measurements of a run have in common.
#[derive(Clone, Debug)]
pub(super) struct Bench {
    /// The program under test.
    pub(super) ulvs: PathBuf,
    /// Where temporary files go, if not where the system has them.
    pub(super) state_root: Option<PathBuf>,
    /// Connections that a proxy can have, for want of open files.
    pub(super) connections: usize,
}

/// The lab. Fields are in the order in which they have to end.
pub(super) struct Stand {
    bench: Bench,
    column: Column,
    pub(super) target: SocketAddr,
    process: Option<Child>,
    leavers: Vec<Leaver>,
    _servers: Vec<(Http, UdpEcho)>,
    pub(super) lab: NatLab,
}

/// What was used so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) own: f64,
    pub(super) machine: f64,
}

/// Where servers answer, and where they let connections be idle.
pub(super) const PORT: u16 = 80;
pub(super) const IDLE_PORT: u16 = 81;
/// Longest wait for a contender to forward its first request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Addresses of the client's that idle connections are from.
const IDLE_FROM: std::ops::Range<u8> = 100..110;
/// Room that connection tracking has to have beside the idle ones.
const TRACKED: usize = 60_000;

impl Moment {
    /// Of a director with these processes. Whoever makes the load asks, and must not be kept from it: so they are not
    /// looked for now.
    pub(super) fn now(pids: &[u32]) -> anyhow::Result<Self> {
        Ok(Self { own: usage::cpu_of(pids), machine: usage::machine()? })
    }
}

impl Stand {
    /// Builds the lab and has the contender forward in it.
    pub(super) fn new(bench: &Bench, column: Column) -> anyhow::Result<Self> {
        let vip = column.contender.vip_place();
        let lab =
            NatLab::new(&NatOptions { vip, state_root: bench.state_root.clone(), ..NatOptions::default() })?;
        // Nobody shall be slow for want of ports, or of room for a burst of connections.
        for node in [&lab.client, &lab.director].into_iter().chain(&lab.servers) {
            node.sysctl("net.ipv4.ip_local_port_range", "1024 65535")?;
            node.sysctl("net.ipv4.tcp_tw_reuse", "1")?;
            node.sysctl("net.ipv4.tcp_max_syn_backlog", "65536")?;
        }
        if let Some(switch) = lab.switch() {
            // A switch is no firewall. Where the kernel has no firewall for bridges there is nothing to turn off.
            let _ = switch.sysctl("net.bridge.bridge-nf-call-iptables", "0");
        }
        let vip = lab.vip.port(Family::V4, PORT);
        if let Some(real) = column.method.and_then(super::contender::Method::real) {
            lab.shortcut()?;
            for server in &lab.servers {
                let state = lab.state_dir().join(server.name());
                std::fs::create_dir_all(&state)
                    .with_context(|| format!("cannot make {}", state.display()))?;
                let mut command = server.command(&bench.ulvs);
                command.args(["real", "start", "--method", real, "--vip", &vip.ip().to_string()]);
                done(command.env("ULVS_STATE_DIR", state))?;
            }
        }
        // Whoever is asked at the VIP answers from there.
        let echo = |server: &Node| match column.method.and_then(super::contender::Method::real) {
            None => UdpEcho::start(server, PORT),
            Some(_) => UdpEcho::start_at(server, vip),
        };
        let start = |server| anyhow::Ok((Http::start(server, PORT)?, echo(server)?));
        let servers = lab.servers.iter().map(start).collect::<anyhow::Result<_>>()?;
        let leavers = lab.servers.iter().map(|server| Leaver::start(server, IDLE_PORT));
        let leavers = leavers.collect::<anyhow::Result<_>>()?;
        let (target, process) = setup::start(bench, column, &lab)?;
        let mut stand =
            Self { bench: bench.clone(), column, target, process, leavers, _servers: servers, lab };
        stand.wait()?;
        Ok(stand)
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        wait_for("the contender to forward", PATIENCE, || {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            ended.map(Err).or_else(|| client::get(&self.lab.client, self.target, "/").ok().map(Ok))
        })?
        .map_err(|status| anyhow::anyhow!("it ended with {status} instead of forwarding"))
        .map(drop)
    }

    /// Leaves idle connections, as many as there can be, and says how many.
    pub(super) fn leave_idle(&self) -> anyhow::Result<usize> {
        let room = if self.column.contender.is_proxy() {
            self.bench.connections.saturating_sub(2 * CROWD)
        } else {
            self.tracking().map_or(IDLE, |(_, most)| most.saturating_sub(TRACKED))
        };
        let wanted = IDLE.min(room);
        let from: Vec<IpAddr> = IDLE_FROM.map(|host| IpAddr::from([198, 51, 100, host])).collect();
        for &addr in &from {
            self.lab.client.addr_add("eth0", Cidr { addr, prefix: 24 })?;
        }
        let target = SocketAddr::new(self.target.ip(), IDLE_PORT);
        let taken = || self.leavers.iter().map(|leaver| leaver.counters().connections()).sum();
        let left = load::leave_idle(&self.lab.client, target, &from, wanted, taken)?;
        Ok(usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// Connections that the director's kernel tracks, and the most that it can; `None` where it tracks none.
    fn tracking(&self) -> Option<(usize, usize)> {
        let read = |name: &str| {
            let value = self.lab.director.sysctl_read(&format!("net.netfilter.nf_conntrack_{name}")).ok()?;
            value.parse::<usize>().ok()
        };
        let (count, most) = (read("count")?, read("max")?);
        (count > 0).then_some((count, most))
    }

    /// What makes the measurement worth less.
    pub(super) fn remark(&self) -> Option<String> {
        let (count, most) = self.tracking()?;
        (count >= most - most / 20).then(|| format!("its connection table was full ({count} of {most})"))
    }
}

/// Runs a command that has to succeed.
pub(super) fn done(command: &mut std::process::Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {:?}", command.get_program()))?;
    let said = [output.stdout, output.stderr].concat();
    let (said, words) = (String::from_utf8_lossy(&said), command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    ensure!(output.status.success(), "`{}` failed: {}", words.join(" "), said.trim());
    Ok(())
}
