//! A directory in which two tools work, and a server that shows what they have made.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lab::node::{Child, Node};
use lab::wait::wait_for;
use tempfile::TempDir;

use crate::support::{PATIENCE, binary, printed};

/// A directory with a program `ulvs` in front of its PATH.
pub struct Desk(TempDir);

impl Desk {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(binary(), dir.path().join("bin/ulvs")).unwrap();
        Self(dir)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs a line of a shell here.
    pub fn try_sh(&self, line: &str) -> Output {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).current_dir(self.0.path()).env("PATH", path).output().unwrap()
    }

    /// The same; it has to succeed. What it printed on both.
    pub fn sh(&self, line: &str) -> String {
        let output = self.try_sh(line);
        assert!(output.status.success(), "{line}: {}", printed(&output));
        printed(&output)
    }

    /// The same; it has to fail, and say this.
    pub fn refused(&self, line: &str, expected: &str) {
        let output = self.try_sh(line);
        assert!(!output.status.success(), "{line} was not refused");
        assert!(printed(&output).contains(expected), "{line}: {}", printed(&output));
    }
}

/// A web server of openssl on the VIP of the lecture.
pub struct Server {
    node: Node,
    _child: Child,
}

pub const VIP: &str = "172.16.0.99";

impl Server {
    pub fn start(desk: &Desk, cert: &str, key: &str, more: &[&str]) -> Self {
        let node = Node::new("server").unwrap();
        node.exec(&["ip", "addr", "add", VIP, "dev", "lo"]).unwrap();
        let mut command = node.command("openssl");
        command.args(["s_server", "-accept", &format!("{VIP}:443"), "-www", "-quiet", "-cert"]);
        command.arg(desk.path(cert)).arg("-key").arg(desk.path(key)).args(more).current_dir(desk.path("."));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = node.spawn(&mut command).unwrap();
        let server = Self { node, _child: child };
        let up = || server.node.run(|| TcpStream::connect((VIP, 443)).ok()).unwrap();
        wait_for("openssl s_server to listen", PATIENCE, up).unwrap();
        server
    }

    /// What curl says to https://NAME/ with this authority. Empty: it is content.
    pub fn curl(&self, name: &str, ca: &Path, more: &[&str]) -> String {
        let mut curl = self.node.command("curl");
        curl.args(["--silent", "--show-error", "--fail", "--output", "/dev/null", "--cacert"]).arg(ca);
        curl.args(["--resolve", &format!("{name}:443:{VIP}"), &format!("https://{name}/")]).args(more);
        let output = curl.output().unwrap();
        assert_eq!(output.status.success(), output.stderr.is_empty(), "{}", printed(&output));
        printed(&output)
    }
}
