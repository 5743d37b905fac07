//! A lab that stands: the machines of a topology, each with an `/etc` and a `/root` of its own, the tools of the lecture
//! on PATH, and names in `/etc/hosts`.
//!
//! All of a machine's files are in one directory of the lab, so that machines can copy to each other. Nothing of the
//! real machine is written to.

mod capture;
mod etc;

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use netio::netns::{Bind, Room};
use tempfile::TempDir;

use crate::node::Node;
use crate::topo::Topology;

pub(crate) use self::capture::Captures;

/// How a lab is made, beside its topology.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The program under test.
    pub(crate) ulvs: PathBuf,
    /// Where its files go.
    pub(crate) root: Option<PathBuf>,
    /// Whether web servers are nginx.
    pub(crate) real: bool,
}

/// A topology whose machines can be worked on.
pub(crate) struct Standing {
    topology: Box<dyn Topology>,
    // After the machines, which it is mounted in.
    dir: TempDir,
}

/// Names under which our program is another one.
const PERSONALITIES: [&str; 9] = [
    "ipvsadm",
    "ipvsadm-save",
    "ipvsadm-restore",
    "iptables",
    "iptables-save",
    "iptables-restore",
    "ip6tables",
    "ip6tables-save",
    "ip6tables-restore",
];

const SCRIPTS: [(&str, &str); 3] = [
    ("scp", include_str!("tools/scp")),
    ("systemctl", include_str!("tools/systemctl")),
    ("httpd", include_str!("tools/httpd")),
];

/// Where it is missing.
const IFCONFIG: &str = include_str!("tools/ifconfig");

impl Standing {
    /// Furnishes the machines of a topology.
    ///
    /// # Errors
    /// When the kernel refuses mounts, or files cannot be written.
    pub(crate) fn new(mut topology: Box<dyn Topology>, terms: &Terms) -> anyhow::Result<Self> {
        check_outside()?;
        let dir = match &terms.root {
            Some(root) => TempDir::with_prefix_in("lab-", root),
            None => TempDir::with_prefix("ulvs-lab-"),
        }
        .context("cannot make a directory for the lab")?;
        let bin = tools(dir.path(), &terms.ulvs)?;
        let of_machine = etc::preserve(dir.path())?;
        let names = topology.names();
        let hosts = hosts(&names);
        for node in topology.machines() {
            let own = dir.path().join(node.name());
            fs::create_dir_all(own.join("root"))?;
            fs::create_dir_all(own.join("state"))?;
            etc::furnish(&of_machine, &own.join("etc"), node.name(), &hosts)?;
            write(&own.join("root/.bashrc"), "PS1='[\\u@\\h \\W]# '\n")?;
            for (addr, name) in names.iter().filter(|(_, name)| name == node.name()) {
                symlink(name, dir.path().join(addr.to_string()))?;
            }
        }
        for (machine, path, text) in topology.files() {
            write(&dir.path().join(machine).join(path), text)?;
        }
        for node in topology.machines_mut() {
            furnish(node, dir.path(), &bin, terms.real)?;
        }
        Ok(Self { topology, dir })
    }

    pub(crate) fn topology(&self) -> &dyn Topology {
        &*self.topology
    }

    /// Where its files are.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A machine by its name.
    ///
    /// # Errors
    /// There is none; the error names those that there are.
    pub(crate) fn machine(&self, name: &str) -> anyhow::Result<&Node> {
        let machines = self.topology.machines();
        match machines.iter().find(|node| node.name() == name) {
            Some(node) => Ok(node),
            None => {
                let names: Vec<_> = machines.iter().map(|node| node.name()).collect();
                bail!("this lab has no machine {name:?}; it has {}", names.join(", "))
            }
        }
    }

    /// A line for a shell of a machine, both outputs in one.
    pub(crate) fn shell(&self, machine: &str, line: &str) -> anyhow::Result<Command> {
        let mut command = self.machine(machine)?.command("bash");
        command.args(["-c", &format!("exec 2>&1\n{line}")]);
        Ok(command)
    }
}

/// Refuses to build a lab in a lab, whose machines have no right to what a lab is made of.
pub(crate) fn check_outside() -> anyhow::Result<()> {
    let inside = std::env::var_os("LAB_DIR").is_some();
    ensure!(!inside, "this is a machine of a lab; labs are put up from outside: `exit` leads there");
    Ok(())
}

/// The lab's programs, in a directory for PATH.
fn tools(dir: &Path, ulvs: &Path) -> anyhow::Result<PathBuf> {
    let bin = dir.join("bin");
    fs::create_dir(&bin)?;
    // Where it is may be out of the machines' sight: below /root, say.
    let here = bin.join("ulvs");
    fs::write(&here, "")?;
    Bind { from: ulvs.to_owned(), to: here }
        .mount()
        .context("cannot give the lab's machines this program")?;
    for name in PERSONALITIES {
        symlink("ulvs", bin.join(name))?;
    }
    let ifconfig = (!on_path("ifconfig")).then_some(("ifconfig", IFCONFIG));
    for (name, text) in SCRIPTS.into_iter().chain(ifconfig) {
        write(&bin.join(name), text)?;
    }
    Ok(bin)
}

/// Whether this machine has a program.
pub(crate) fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).any(|dir| dir.join(name).is_file())
}

fn hosts(names: &[(IpAddr, String)]) -> String {
    let own = "127.0.0.1 localhost\n::1 localhost\n".to_owned();
    names.iter().fold(own, |text, (addr, name)| text + &format!("{addr} {name}\n"))
}

fn furnish(node: &mut Node, dir: &Path, bin: &Path, real: bool) -> anyhow::Result<()> {
    let own = dir.join(node.name());
    let binds = ["etc", "root"].map(|name| Bind { from: own.join(name), to: Path::new("/").join(name) });
    let room = Room::new(node.name(), &binds, Path::new("/root"));
    node.set_room(room.with_context(|| format!("cannot give {node} files of its own"))?);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let path = std::iter::once(bin.to_owned()).chain(std::env::split_paths(&path)).chain(system);
    node.set_env("PATH", std::env::join_paths(path)?);
    node.set_env("HOME", "/root");
    node.set_env("PS1", format!("{}# ", node.name()));
    // What programs print is compared.
    node.set_env("LC_ALL", "C.UTF-8");
    node.set_env("LAB_DIR", dir);
    node.set_env("LAB_SERVER", if real { "nginx" } else { "embedded" });
    node.set_env("ULVS_STATE_DIR", own.join("state"));
    if own.join("etc/pki/tls/openssl.cnf").exists() {
        node.set_env("OPENSSL_CONF", "/etc/pki/tls/openssl.cnf");
    }
    Ok(())
}

/// Scripts can be run.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(path, text)?;
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
