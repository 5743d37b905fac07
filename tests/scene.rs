//! A laboratory with web servers, an engine in the foreground, and what the director was like before.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use lab::addr::Family;
use lab::client;
use lab::node::{Child, Node};
use lab::serve::Http;
use lab::snapshot::Snapshot;
use lab::topo::{NatLab, NatOptions};
use lab::wait::wait_for;

use crate::support::{Engine, PATIENCE, binary, printed};

pub const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// A laboratory whose servers have HTTP on port 80.
pub struct Scene {
    pub lab: NatLab,
    _servers: Vec<Http>,
}

impl Scene {
    pub fn new(options: &NatOptions) -> Self {
        let lab = NatLab::new(options).unwrap();
        let servers = lab.servers.iter().map(|server| Http::start(server, 80).unwrap());
        Self { _servers: servers.collect(), lab }
    }

    pub fn director(&self) -> &Node {
        &self.lab.director
    }

    /// A file with a service for port 80 of the VIP in both families.
    pub fn config(&self) -> String {
        self.config_of(&FAMILIES)
    }

    /// The same for some families.
    pub fn config_of(&self, families: &[Family]) -> String {
        let services = families.iter().map(|&family| self.service_text(family, self.lab.servers.len()));
        self.write("ulvs.toml", &services.collect::<String>())
    }

    /// The text of a service for port 80 of the VIP with the first so many servers.
    pub fn service_text(&self, family: Family, servers: usize) -> String {
        let vip = self.lab.vip.of(family);
        let servers = (0..servers).map(|index| {
            let server = self.lab.server_port(index, family, 80);
            format!("[[service.server]]\naddress = \"{server}\"\n")
        });
        let servers: String = servers.collect();
        format!("[[service]]\nvip = \"{vip}\"\nports = [\"tcp/80\"]\nscheduler = \"rr\"\n{servers}")
    }

    /// Writes a file of this laboratory and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.lab.state_dir().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The client gets a page through the VIP, in both families.
    pub fn works(&self) {
        for family in FAMILIES {
            self.works_over(family);
        }
    }

    /// The same in one family.
    pub fn works_over(&self, family: Family) {
        let reply = client::get(&self.lab.client, self.lab.vip.port(family, 80), "/").unwrap();
        assert!(reply.body.starts_with("server"), "{reply:?}");
    }

    /// Everything about the director that has to be put back.
    pub fn snapshot(&self) -> Before {
        let rules = self.director().exec(&["nft", "--stateless", "list", "ruleset"]).unwrap();
        Before { facts: Snapshot::take(self.director()).unwrap(), rules }
    }

    /// The director is as it was then, and no note about it is left.
    pub fn assert_as(&self, before: &Before, after: &str) {
        let now = self.snapshot();
        let diff = before.facts.diff(&now.facts);
        assert!(diff.is_empty(), "after {after} the director is another:\n{}", diff.join("\n"));
        assert_eq!(before.rules, now.rules, "after {after} the nftables rules are others");
        let notes = std::fs::read_dir(self.lab.state_dir()).unwrap().map(|entry| entry.unwrap().file_name());
        let notes: Vec<_> = notes.filter(|name| name.to_string_lossy().starts_with("netns-")).collect();
        assert!(notes.is_empty(), "after {after} there still is {notes:?}");
    }
}

/// What a director was like.
pub struct Before {
    facts: Snapshot,
    rules: String,
}

impl Before {
    /// What has changed since then.
    pub fn facts_since(&self, before: &Self) -> Vec<String> {
        before.facts.diff(&self.facts)
    }
}

/// An engine in the foreground, as a shell or a service manager starts it.
pub struct Foreground<'a> {
    pub engine: Engine<'a>,
    child: Child,
}

impl<'a> Foreground<'a> {
    /// `ulvs run` and these arguments on the director.
    pub fn start(scene: &'a Scene, args: &[&str]) -> Self {
        let mut command = scene.director().command(binary());
        command.arg("run").args(args);
        Self::start_as(scene, command)
    }

    /// The same as a command that ends up as `ulvs run`.
    pub fn start_as(scene: &'a Scene, mut command: Command) -> Self {
        let log = scene.lab.state_dir().join("foreground.log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let child = scene.director().spawn(&mut command).unwrap();
        let mut this = Self { engine: Engine::attach(scene.director(), log), child };
        // Its socket exists from the start, and answers when it is ready.
        let ready = wait_for("an engine in the foreground", PATIENCE, || {
            if let Some(status) = this.child.try_wait().unwrap() {
                panic!("it ended ({status}): {}", this.engine.log());
            }
            this.engine.try_ulvs("status").status.success().then_some(())
        });
        ready.unwrap();
        this
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, such as `INT`, and waits for its end.
    pub fn end(mut self, signal: &str) -> ExitStatus {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the engine's end", PATIENCE, || self.child.try_wait().unwrap()).unwrap()
    }
}

/// A command on the director with private mounts, which `script` (for `sh -e`) changes beforehand.
pub fn with_mounts(node: &Node, script: &str, argv: &[&str]) -> Command {
    let mut command = node.command("unshare");
    let script = format!("{script}\nexec \"$@\"");
    command.args(["--mount", "--propagation", "private", "sh", "-ec", &script, "sh"]).args(argv);
    command
}

/// A copy of the program under test that every user may run, in a directory of its own.
pub fn for_everybody() -> (tempfile::TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let path = dir.path().join("ulvs");
    install(&binary(), &path);
    (dir, path)
}

/// A UDP socket of the node. A socket that was just closed may still be open in a child that another test is starting:
/// its address is free a little later.
pub fn bind_udp(node: &Node, at: SocketAddr) -> UdpSocket {
    let bind = || match node.run(|| UdpSocket::bind(at)).unwrap() {
        Err(error) if error.kind() == ErrorKind::AddrInUse => None,
        result => Some(result.unwrap_or_else(|error| panic!("{node} cannot use {at}: {error}"))),
    };
    wait_for(&format!("{at} to be free on {node}"), PATIENCE, bind).unwrap()
}

/// Copies a file to where it can be run. Done by a process of its own: a file that this one has open for writing may be
/// open in a child of another test too, and cannot be run then.
pub fn install(from: &Path, to: &Path) {
    let status = Command::new("install").args(["-m", "755"]).args([from, to]).status().unwrap();
    assert!(status.success(), "install {} {}", from.display(), to.display());
}

/// The command fails as it should: exit code 1, nothing on standard output, and on standard error one line that starts
/// with `ulvs: `. Returns the rest of the line.
pub fn refused(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(1), "{command:?}: {text}");
    assert!(output.stdout.is_empty(), "{command:?}: {text}");
    let lines: Vec<_> = text.lines().collect();
    match lines[..] {
        [line] if line.starts_with("ulvs: ") => line["ulvs: ".len()..].to_owned(),
        _ => panic!("{command:?} should print one line that starts with \"ulvs: \", not:\n{text}"),
    }
}
