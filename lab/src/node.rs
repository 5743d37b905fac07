//! A node: a namespace with a name for people, and everything that can be done in it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::ops::{Deref, DerefMut};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, ensure};
use netio::netns::{self, Netns, Room};

/// A machine of the lab. When it is dropped, on a panic too, every process that runs in it is killed (daemons that
/// detached themselves included), and with that its namespace, links and addresses are gone.
#[derive(Debug)]
pub struct Node {
    name: String,
    netns: Netns,
    room: Option<Room>,
    env: BTreeMap<OsString, OsString>,
}

impl Node {
    /// A machine with nothing but a loopback.
    ///
    /// # Errors
    /// Without the privilege to make a namespace.
    pub fn new(name: impl Into<String>) -> anyhow::Result<Self> {
        let name = name.into();
        let netns = Netns::new().with_context(|| format!("cannot make the node {name}"))?;
        let node = Self { name, netns, room: None, env: BTreeMap::new() };
        // Link-local addresses would be tentative for a second. Where /proc/sys is read-only that second is lost,
        // nothing else.
        let _ = node.sysctl("net.ipv6.conf.default.accept_dad", "0");
        node.link_up("lo")?;
        Ok(node)
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Gives it mounts and a host name of its own, for every command from now on.
    pub fn set_room(&mut self, room: Room) {
        self.room = Some(room);
    }

    /// The mounts and the host name, if it has its own.
    pub fn room(&self) -> Option<&Room> {
        self.room.as_ref()
    }

    /// The environment variables that its commands have beside the program's own.
    pub fn env(&self) -> &BTreeMap<OsString, OsString> {
        &self.env
    }

    /// Sets an environment variable of every command of this node from now on.
    pub fn set_env(&mut self, key: impl Into<OsString>, value: impl Into<OsString>) {
        self.env.insert(key.into(), value.into());
    }

    /// A command that will run here.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.netns.command(program);
        command.envs(&self.env);
        if let Some(room) = &self.room {
            room.furnish(&mut command);
        }
        command
    }

    /// Starts a command of this node. It is killed when the guard is dropped, and when the thread that spawned it
    /// ends.
    pub fn spawn(&self, command: &mut Command) -> anyhow::Result<Child> {
        netns::die_with_parent(command);
        let child = command.spawn();
        let child = child.with_context(|| format!("cannot start {:?} in {self}", command.get_program()))?;
        Ok(Child(child))
    }

    /// Runs a program to its end and returns what it printed and how it ended. Its standard input is empty.
    pub fn output<S: AsRef<OsStr>>(&self, argv: &[S]) -> anyhow::Result<Output> {
        let [program, args @ ..] = argv else { anyhow::bail!("no program to run in {self}") };
        let mut command = self.command(program);
        command.args(args).stdin(Stdio::null());
        command.output().with_context(|| format!("cannot run {} in {self}", shown(argv)))
    }

    /// Runs a program to its end and returns its standard output.
    ///
    /// # Errors
    /// When it cannot be started or fails; the error holds what it printed on standard error.
    pub fn exec<S: AsRef<OsStr>>(&self, argv: &[S]) -> anyhow::Result<String> {
        let output = self.output(argv)?;
        ensure!(
            output.status.success(),
            "{} failed in {self} ({}): {}",
            shown(argv),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs `work` on a fresh thread inside the node.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        self.netns.run(work).with_context(|| format!("cannot enter {self}"))
    }

    /// Sets a sysctl by its dotted name, such as `net.ipv4.ip_forward`. A dot inside an interface's name is written
    /// as a slash.
    pub fn sysctl(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let path = sysctl_path(name);
        self.run(|| fs::write(&path, value))?
            .with_context(|| format!("cannot set {path} to {value} in {self}"))
    }

    /// Reads a sysctl, without the line's end.
    pub fn sysctl_read(&self, name: &str) -> anyhow::Result<String> {
        let path = sysctl_path(name);
        let value = self
            .run(|| fs::read_to_string(&path))?
            .with_context(|| format!("cannot read {path} in {self}"))?;
        Ok(value.trim_end().to_owned())
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.netns.kill_all();
    }
}

/// A running command; killed and reaped when dropped.
#[derive(Debug)]
pub struct Child(std::process::Child);

impl Deref for Child {
    type Target = std::process::Child;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Child {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let reap = |child: &mut std::process::Child| -> io::Result<()> {
            child.kill()?;
            child.wait()?;
            Ok(())
        };
        // It fails only for a child that has been waited for: then there is nothing to do.
        let _ = reap(&mut self.0);
    }
}

fn sysctl_path(name: &str) -> String {
    let path: String = name
        .chars()
        .map(|c| match c {
            '.' => '/',
            '/' => '.',
            c => c,
        })
        .collect();
    format!("/proc/sys/{path}")
}

fn shown<S: AsRef<OsStr>>(argv: &[S]) -> String {
    argv.iter().map(|word| word.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_command_runs_in_the_node_with_its_environment() {
        let mut node = Node::new("n").unwrap();
        node.set_env("ULVS_STATE_DIR", "/somewhere");
        assert_eq!(node.exec(&["sh", "-c", "echo $ULVS_STATE_DIR"]).unwrap(), "/somewhere\n");
        let error = node.exec(&["sh", "-c", "echo it broke >&2; exit 3"]).unwrap_err().to_string();
        assert!(error.contains("it broke") && error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn sysctls_are_the_nodes_own() {
        let (a, b) = (Node::new("a").unwrap(), Node::new("b").unwrap());
        a.sysctl("net.ipv4.ip_forward", "1").unwrap();
        b.sysctl("net.ipv4.ip_forward", "0").unwrap();
        assert_eq!(a.sysctl_read("net.ipv4.ip_forward").unwrap(), "1");
        assert_eq!(b.sysctl_read("net.ipv4.ip_forward").unwrap(), "0");
        assert_eq!(sysctl_path("net.ipv4.conf.eth0/5.rp_filter"), "/proc/sys/net/ipv4/conf/eth0.5/rp_filter");
    }

    #[test]
    fn a_dropped_node_leaves_no_process() {
        let pid = {
            let node = Node::new("n").unwrap();
            node.exec(&["sh", "-c", "setsid sleep 60 >/dev/null 2>&1 & echo $!"]).unwrap()
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        let status = format!("/proc/{}/status", pid.trim());
        // Where nobody reaps orphans it stays as a zombie.
        while fs::read_to_string(&status).is_ok_and(|text| !text.contains("State:\tZ")) {
            assert!(Instant::now() < deadline, "the detached process is still there");
        }
    }
}
