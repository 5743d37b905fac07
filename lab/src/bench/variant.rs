//! The directors that are compared, each set up as its users would.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;

use super::find;
use crate::addr::Family;
use crate::client;
use crate::node::Child;
use crate::serve::Http;
use crate::topo::{NatLab, NatOptions, VipPlace};
use crate::wait::wait_for;

/// What stands between client and servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Variant {
    /// Plain routing to one server: no balancing, the bound of what is possible
    Route,
    /// DNAT by nftables
    Nft,
    /// HAProxy in TCP mode with two threads
    Haproxy,
    /// ulvs, its TUN with offloads
    Ulvs,
    /// ulvs without offloads
    UlvsPlain,
}

/// A lab whose director does its work.
pub(super) struct Director {
    pub(super) target: SocketAddr,
    // In the order in which they have to end.
    _process: Option<Child>,
    _servers: Vec<Http>,
    pub(super) lab: NatLab,
}

/// Longest wait for a director to forward its first request.
const PATIENCE: Duration = Duration::from_secs(10);

impl Variant {
    /// As tables and progress have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Nft => "nft",
            Self::Haproxy => "haproxy",
            Self::Ulvs => "ulvs",
            Self::UlvsPlain => "ulvs-plain",
        }
    }

    /// Checks that what it needs is installed.
    pub(super) fn check(self) -> anyhow::Result<()> {
        match self {
            Self::Nft => find("nft", "nftables").map(drop),
            Self::Haproxy => find("haproxy", "haproxy").map(drop),
            Self::Route | Self::Ulvs | Self::UlvsPlain => Ok(()),
        }
    }

    /// Builds a lab and starts the director in it.
    pub(super) fn set_up(self, ulvs: &Path, state_root: Option<PathBuf>) -> anyhow::Result<Director> {
        let vip = if self == Self::Haproxy { VipPlace::Loopback } else { VipPlace::Routed };
        let lab = NatLab::new(&NatOptions { vip, state_root, ..NatOptions::default() })?;
        // Nobody shall be slow for want of ports.
        for node in [&lab.client, &lab.director] {
            node.sysctl("net.ipv4.ip_local_port_range", "1024 65535")?;
            node.sysctl("net.ipv4.tcp_tw_reuse", "1")?;
        }
        let servers =
            lab.servers.iter().map(|server| Http::start(server, 80)).collect::<anyhow::Result<_>>()?;
        let vip = lab.vip.port(Family::V4, 80);
        let (target, mut process) = match self {
            Self::Route => (lab.server_port(0, Family::V4, 80), None),
            Self::Nft => (vip, nft(&lab, vip)?),
            Self::Haproxy => (vip, Some(haproxy(&lab, vip)?)),
            Self::Ulvs => (vip, start_ulvs(&lab, vip, ulvs, "auto")?),
            Self::UlvsPlain => (vip, start_ulvs(&lab, vip, ulvs, "off")?),
        };
        wait_for("the director to forward", PATIENCE, || {
            let ended = process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            ended.map(Err).or_else(|| client::get(&lab.client, target, "/").ok().map(Ok))
        })?
        .map_err(|status| anyhow::anyhow!("it ended with {status} instead of forwarding"))?;
        Ok(Director { target, _process: process, _servers: servers, lab })
    }
}

fn nft(lab: &NatLab, vip: SocketAddr) -> anyhow::Result<Option<Child>> {
    let servers: Vec<String> =
        (0..lab.servers.len()).map(|index| format!("{index} : {}", lab.server_addrs[index].v4)).collect();
    let rules = format!(
        "add table ip lab; add chain ip lab nat {{ type nat hook prerouting priority dstnat; }}; \
         add rule ip lab nat ip daddr {} tcp dport {} dnat to numgen inc mod {} map {{ {} }}",
        vip.ip(),
        vip.port(),
        servers.len(),
        servers.join(", ")
    );
    lab.director.exec(&[find("nft", "nftables")?.as_os_str(), rules.as_ref()])?;
    Ok(None)
}

fn haproxy(lab: &NatLab, vip: SocketAddr) -> anyhow::Result<Child> {
    let mut config = format!(
        "global\n nbthread 2\n maxconn 4000\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n \
         timeout server 60s\nlisten vip\n bind {vip}\n balance roundrobin\n"
    );
    for (index, server) in lab.servers.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(config, " server {server} {}", lab.server_port(index, Family::V4, 80));
    }
    let file = lab.state_dir().join("haproxy.cfg");
    std::fs::write(&file, config).with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = lab.director.command(find("haproxy", "haproxy")?);
    command.args(["-q", "-db", "-f"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
    lab.director.spawn(&mut command)
}

fn start_ulvs(lab: &NatLab, vip: SocketAddr, ulvs: &Path, offload: &str) -> anyhow::Result<Option<Child>> {
    let run = |arguments: &str| -> anyhow::Result<()> {
        let mut command = lab.director.command(ulvs);
        let output = command.args(arguments.split(' ')).stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ulvs {arguments} failed: {}", said.trim());
        Ok(())
    };
    run(&format!("run --detach --offload {offload}"))?;
    run(&format!("ipvsadm -A -t {vip} -s rr"))?;
    for index in 0..lab.servers.len() {
        run(&format!("ipvsadm -a -t {vip} -r {} -m", lab.server_port(index, Family::V4, 80)))?;
    }
    Ok(None)
}
