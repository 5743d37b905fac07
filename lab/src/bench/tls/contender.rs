//! What ends TLS at the director, each set up as its users would.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;

use super::config::{self, Task};
use super::site::Site;
use crate::addr::Family;
use crate::bench::programs::find;
use crate::node::Child;
use crate::topo::{NatLab, VipPlace};

/// A TLS server that has plain HTTP servers behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Contender {
    /// HAProxy in TCP mode
    Haproxy,
    /// HAProxy in HTTP mode
    HaproxyHttp,
    /// nginx as an HTTP proxy that keeps connections to the servers
    Nginx,
    /// ulvs on the kernel's TCP
    UlvsKernel,
    /// ulvs on its own TCP
    UlvsUserspace,
}

impl Contender {
    /// As tables and the command line have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::HaproxyHttp => "haproxy-http",
            Self::Nginx => "nginx",
            Self::UlvsKernel => "ulvs-kernel",
            Self::UlvsUserspace => "ulvs-userspace",
        }
    }

    /// Whether the kernel's TCP serves the clients, and with that its congestion control.
    pub(super) fn is_on_kernel_tcp(self) -> bool {
        self != Self::UlvsUserspace
    }

    /// Where the VIP has to be.
    pub(super) fn vip_place(self) -> VipPlace {
        match self {
            Self::Haproxy | Self::HaproxyHttp | Self::Nginx => VipPlace::Loopback,
            Self::UlvsKernel | Self::UlvsUserspace => VipPlace::Routed,
        }
    }

    /// The program, where it is installed.
    pub(super) fn program(self, ulvs: &Path) -> anyhow::Result<PathBuf> {
        match self {
            Self::Haproxy | Self::HaproxyHttp => find("haproxy", "haproxy"),
            Self::Nginx => find("nginx", "nginx"),
            Self::UlvsKernel | Self::UlvsUserspace => Ok(ulvs.to_owned()),
        }
    }

    /// The option that has the program print its version.
    pub(super) fn version_option(self) -> &'static str {
        match self {
            Self::Haproxy | Self::HaproxyHttp | Self::Nginx => "-v",
            Self::UlvsKernel | Self::UlvsUserspace => "--version",
        }
    }

    /// Starts it on the director; ulvs detaches itself.
    pub(super) fn start(
        self,
        lab: &NatLab,
        site: &Site,
        task: Task,
        ulvs: &Path,
    ) -> anyhow::Result<Option<Child>> {
        let servers: Vec<SocketAddr> =
            (0..lab.servers.len()).map(|index| lab.server_port(index, Family::V4, 80)).collect();
        let vip = lab.vip.port(Family::V4, 443);
        let text = match self {
            Self::Haproxy => config::haproxy("tcp", vip, &servers, site, task),
            Self::HaproxyHttp => config::haproxy("http", vip, &servers, site, task),
            Self::Nginx => config::nginx(vip, &servers, site, task, lab.state_dir()),
            Self::UlvsKernel => config::ulvs("kernel", vip, &servers, site, task),
            Self::UlvsUserspace => config::ulvs("userspace", vip, &servers, site, task),
        };
        let file = lab.state_dir().join("contender.conf");
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        let mut command = lab.director.command(self.program(ulvs)?);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        match self {
            Self::Haproxy | Self::HaproxyHttp => {
                command.args(["-q", "-db", "-f"]).arg(&file);
            }
            Self::Nginx => {
                command.args(["-e", "stderr", "-p"]).arg(lab.state_dir()).arg("-c").arg(&file);
            }
            Self::UlvsKernel | Self::UlvsUserspace => {
                command
                    .args(["run", "--detach", "--workers", &task.threads.to_string(), "--config"])
                    .arg(&file);
                let output = command.output().with_context(|| format!("cannot run {}", ulvs.display()))?;
                let said = String::from_utf8_lossy(&output.stderr);
                ensure!(output.status.success(), "ulvs run failed: {}", said.trim());
                return Ok(None);
            }
        }
        lab.director.spawn(&mut command).map(Some)
    }
}
