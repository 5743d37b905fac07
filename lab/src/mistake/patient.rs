//! A laboratory that the doctor is called to.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::Setting;
use crate::addr::{Family, Pair};
use crate::node::{Child, Node};
use crate::serve::Http;
use crate::topo::{DirectLab, NatLab};

/// Clients that wait longer have noticed.
const PATIENCE: Duration = Duration::from_millis(700);
/// So many clients in a row are served, or it is no service: enough for each server to have its turn.
const CLIENTS: usize = 4;

/// What stands in it.
pub(super) enum Topology {
    Nat(NatLab),
    Direct(DirectLab),
}

/// Where the doctor is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Director,
    FirstServer,
}

pub(super) struct Patient {
    pub(super) topology: Topology,
    /// One for each server.
    pub(super) servers: Vec<Http>,
    /// Hosts that the topology has not, with their addresses.
    pub(super) more: Vec<(IpAddr, Node)>,
    /// Whoever runs until the end.
    pub(super) children: Vec<Child>,
    pub(super) at: Place,
    /// Of the VIP and the servers.
    pub(super) family: Family,
    /// Arguments of `ulvs doctor`.
    pub(super) arguments: Vec<String>,
    /// A script for `sh -e` with mounts that the doctor alone sees.
    pub(super) mounts: Option<&'static str>,
    /// The client is this one of `more`.
    pub(super) client: Option<usize>,
    /// Clients ask for this port of the VIP; none: there are no clients.
    pub(super) port: Option<u16>,
    /// The service does not outlive the mistake.
    pub(super) is_over: bool,
    ulvs: PathBuf,
    path: OsString,
}

impl Patient {
    /// With web servers, and no engine yet.
    pub(super) fn new(topology: Topology, setting: &Setting) -> anyhow::Result<Self> {
        let mut patient = Self {
            topology,
            servers: Vec::new(),
            more: Vec::new(),
            children: Vec::new(),
            at: Place::Director,
            family: Family::V4,
            arguments: Vec::new(),
            mounts: None,
            client: None,
            port: Some(80),
            is_over: false,
            ulvs: setting.ulvs.clone(),
            path: OsString::new(),
        };
        // Its file may have another name than what is typed.
        let bin = patient.directory().join("bin");
        std::fs::create_dir(&bin)?;
        std::os::unix::fs::symlink(&setting.ulvs, bin.join("ulvs"))?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        patient.path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path)))?;
        let servers = patient.server_nodes().iter().map(|node| Http::start(node, 80));
        patient.servers = servers.collect::<anyhow::Result<_>>()?;
        Ok(patient)
    }

    pub(super) fn director(&self) -> &Node {
        match &self.topology {
            Topology::Nat(lab) => &lab.director,
            Topology::Direct(lab) => &lab.director,
        }
    }

    pub(super) fn client_node(&self) -> &Node {
        match (self.client, &self.topology) {
            (Some(index), _) => &self.more[index].1,
            (None, Topology::Nat(lab)) => &lab.client,
            (None, Topology::Direct(lab)) => &lab.client,
        }
    }

    pub(super) fn server_nodes(&self) -> &[Node] {
        match &self.topology {
            Topology::Nat(lab) => &lab.servers,
            Topology::Direct(lab) => &lab.servers,
        }
    }

    pub(super) fn server(&self, index: usize) -> &Node {
        &self.server_nodes()[index]
    }

    /// Ends the web server of the first of them.
    pub(super) fn end_first_server(&mut self) {
        drop(self.servers.remove(0));
    }

    /// Starts it again.
    pub(super) fn start_first_server(&mut self) -> anyhow::Result<()> {
        let again = Http::start(self.server(0), 80)?;
        self.servers.insert(0, again);
        Ok(())
    }

    pub(super) fn server_addrs(&self) -> &[Pair] {
        match &self.topology {
            Topology::Nat(lab) => &lab.server_addrs,
            Topology::Direct(lab) => &lab.server_addrs,
        }
    }

    /// The VIP.
    pub(super) fn vip(&self) -> IpAddr {
        match &self.topology {
            Topology::Nat(lab) => lab.vip,
            Topology::Direct(lab) => lab.vip,
        }
        .of(self.family)
    }

    /// What joins the machines of the servers' network.
    pub(super) fn switch(&self) -> anyhow::Result<&Node> {
        match &self.topology {
            Topology::Nat(lab) => lab.switch().context("the servers are not on a switch"),
            Topology::Direct(lab) => lab.switches.first().context("there is no switch"),
        }
    }

    /// A directory of this laboratory.
    pub(super) fn directory(&self) -> &Path {
        match &self.topology {
            Topology::Nat(lab) => lab.state_dir(),
            Topology::Direct(lab) => lab.state_dir(),
        }
    }

    /// Where the doctor is, and what he prints is typed.
    pub(super) fn place(&self) -> &Node {
        match self.at {
            Place::Director => self.director(),
            Place::FirstServer => self.server(0),
        }
    }

    /// Who has an address.
    pub(super) fn host(&self, ip: IpAddr) -> anyhow::Result<&Node> {
        let has = |pair: &Pair| pair.of(if ip.is_ipv4() { Family::V4 } else { Family::V6 }) == ip;
        if let Some(index) = self.server_addrs().iter().position(has) {
            return Ok(self.server(index));
        }
        let more = self.more.iter().find(|(at, _)| *at == ip).map(|(_, node)| node);
        more.with_context(|| format!("nobody in this laboratory has {ip}"))
    }

    /// Runs a line of a shell on a node.
    pub(super) fn shell(&self, node: &Node, line: &str) -> anyhow::Result<Output> {
        let mut command = node.command("sh");
        command.args(["-c", line]).env("PATH", &self.path).env("ULVS_STATE_DIR", self.directory());
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run `{line}` on {node}"))
    }

    /// The same, which has to succeed.
    pub(super) fn on(&self, node: &Node, line: &str) -> anyhow::Result<()> {
        let output = self.shell(node, line)?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{line}` fails on {node}: {}", told.trim());
        Ok(())
    }

    /// Runs `ulvs ...` on the director.
    pub(super) fn ulvs(&self, arguments: &str) -> anyhow::Result<()> {
        self.on(self.director(), &format!("ulvs {arguments}"))
    }

    /// Starts an engine with a service for the port that clients ask for, and all servers behind it by this option of
    /// ipvsadm.
    pub(super) fn serve(self, method: &str) -> anyhow::Result<Self> {
        self.serve_by("", method)
    }

    /// The same with more arguments of `ulvs run`.
    pub(super) fn serve_by(self, run: &str, method: &str) -> anyhow::Result<Self> {
        let log = self.directory().join("ulvs.log");
        self.ulvs(&format!("run --detach --log {} {run}", log.display()))?;
        let l4_port = self.port.unwrap_or(80);
        let vip = SocketAddr::new(self.vip(), l4_port);
        self.ulvs(&format!("ipvsadm -A -t {vip} -s rr"))?;
        for server in self.server_addrs() {
            let server = server.port(self.family, l4_port);
            self.ulvs(&format!("ipvsadm -a -t {vip} -r {server} {method}"))?;
        }
        Ok(self)
    }

    /// Whether every client gets a connection.
    pub(super) fn is_served(&self) -> bool {
        let Some(port) = self.port else { return true };
        let target = SocketAddr::new(self.vip(), port);
        let one = || TcpStream::connect_timeout(&target, PATIENCE).is_ok();
        let all = self.client_node().run(|| (0..CLIENTS).all(|_| one()));
        all.unwrap_or(false)
    }

    /// Calls the doctor.
    pub(super) fn doctor(&self) -> anyhow::Result<Examined> {
        let script = format!("{}\nexec \"$@\"", self.mounts.unwrap_or(":"));
        let node = self.place();
        let mut command = node.command("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-ec", &script, "sh"]);
        command.arg(&self.ulvs).args(["doctor", "--json"]).args(&self.arguments);
        command.env("PATH", &self.path).env("ULVS_STATE_DIR", self.directory()).stdin(Stdio::null());
        let output = command.output().with_context(|| format!("cannot call the doctor to {node}"))?;
        let told = String::from_utf8_lossy(&output.stderr);
        if self.is_over && output.status.code() == Some(3) {
            // There is nothing left to be ill.
            return Ok(Examined { findings: Vec::new() });
        }
        let report: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("the doctor ended with {}: {}", output.status, told.trim()))?;
        let findings = report["findings"].as_array().cloned().context("a report without findings")?;
        let examined = Examined { findings };
        let code = output.status.code();
        ensure!(code == Some(examined.worst()), "exit code {code:?} for {:#}", examined.findings());
        Ok(examined)
    }
}

/// What he says.
pub(super) struct Examined {
    findings: Vec<Value>,
}

impl Examined {
    pub(super) fn findings(&self) -> Value {
        Value::Array(self.findings.clone())
    }

    /// What a check has found.
    pub(super) fn by<'a>(&'a self, check: &'a str) -> impl Iterator<Item = &'a Value> {
        self.findings.iter().filter(move |finding| finding["check"] == check)
    }

    /// What is more than a note.
    pub(super) fn serious(&self) -> impl Iterator<Item = &Value> {
        self.findings.iter().filter(|finding| Self::severity(finding) > 0)
    }

    /// The exit code that belongs to it: 1 for warnings, 2 for faults.
    pub(super) fn worst(&self) -> i32 {
        self.findings.iter().map(Self::severity).max().unwrap_or(0)
    }

    pub(super) fn worst_of(&self, check: &str) -> i32 {
        self.by(check).map(Self::severity).max().unwrap_or(0)
    }

    pub(super) fn severity(finding: &Value) -> i32 {
        match finding["severity"].as_str() {
            Some("fault") => 2,
            Some("warning") => 1,
            _ => 0,
        }
    }
}
