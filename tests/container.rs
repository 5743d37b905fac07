//! An engine in a container with one address: its VIP and the address that the servers see are the container's own. A
//! container here has dropped every capability that is not named, a read-only `/proc/sys`, mounts and processes of its
//! own, and `/dev/net/tun` only if it was given.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use lab::client;
use lab::node::Child;
use lab::serve::Http;
use lab::snapshot::Snapshot;
use lab::topo::{Confinement, ContainerLab};
use lab::wait::wait_for;

use crate::scene::{FAMILIES, refused};
use crate::support::{Engine, PATIENCE, binary, printed};

/// Root of a user namespace of its own.
const UNSHARE: [&str; 5] = ["--user", "--map-root-user", "--net", "--mount", "--"];
/// Set for this program when it is to do the test itself.
const INSIDE: &str = "ULVS_TEST_INSIDE";
const PORT: u16 = 80;
const SERVER_PORT: u16 = 8080;

/// An engine as the container's first process, with a service of every family.
struct Running<'a> {
    engine: Engine<'a>,
    child: Child,
}

impl<'a> Running<'a> {
    fn start(lab: &'a ContainerLab, confinement: &Confinement) -> Self {
        let config = lab.state_dir().join("ulvs.toml");
        let service = |family| {
            let server = |index| {
                format!(
                    "[[service.server]]\naddress = \"{}\"\nmethod = \"fullnat\"\n",
                    lab.server_port(index, family, SERVER_PORT)
                )
            };
            let vip = lab.container_addr.of(family);
            format!(
                "[[service]]\nvip = \"{vip}\"\nports = [\"tcp/{PORT}\"]\nscheduler = \"rr\"\n{}{}",
                server(0),
                server(1)
            )
        };
        std::fs::write(&config, FAMILIES.map(service).concat()).unwrap();
        let log = lab.state_dir().join("container.log");
        let mut command = lab.confined(confinement, &binary());
        command.args(["run", "--config"]).arg(&config).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let child = lab.container.spawn(&mut command).unwrap();
        let mut this = Self { engine: Engine::attach(&lab.container, log), child };
        let ready = wait_for("an engine in a container", PATIENCE, || {
            if let Some(status) = this.child.try_wait().unwrap() {
                panic!("it ended ({status}): {}", this.engine.log());
            }
            this.engine.try_ulvs("status").status.success().then_some(())
        });
        ready.unwrap();
        this
    }

    /// Ends it as a container is ended.
    fn end(mut self) {
        self.engine.ulvs("stop");
        let ended = wait_for("the container's end", PATIENCE, || self.child.try_wait().unwrap());
        assert!(ended.unwrap().success(), "{}", self.engine.log());
    }
}

/// The least that an engine needs: one capability, and with the packet port the one that docker gives without being asked.
fn least() -> Confinement {
    let mut least = Confinement::default();
    if std::env::var("ULVS_PORT").is_ok_and(|port| port == "packet") {
        least.capabilities.push("net_raw");
    }
    least
}

/// Everything that a container with one address is for, and everything that it did before.
fn serves(confinement: &Confinement) {
    let lab = ContainerLab::new(None).unwrap();
    let servers: Vec<_> =
        lab.servers.iter().map(|server| Http::start(server, SERVER_PORT).unwrap()).collect();
    // What the container does beside: a server of its own, on another port.
    let own = Http::start(&lab.container, 8000).unwrap();
    let before = Snapshot::take(&lab.container).unwrap();
    let running = Running::start(&lab, confinement);
    for family in FAMILIES {
        let address = lab.container_addr.of(family);
        let vip = SocketAddr::new(address, PORT);
        let answers = [0, 1].map(|_| client::get(&lab.client, vip, "/").unwrap().body);
        assert_ne!(answers[0], answers[1], "both servers take part");
        let seen = client::get(&lab.client, vip, "/whoami").unwrap().body;
        let seen: SocketAddr = seen.trim().parse().unwrap();
        assert_eq!(seen.ip(), address, "a server sees the container");
        client::download(&lab.client, vip, 20_000_000, |_| ()).unwrap();
        client::upload(&lab.client, vip, 20_000_000, |_| ()).unwrap();

        // The same address goes on serving and using whatever else there is, the servers themselves included.
        assert_eq!(
            client::get(&lab.client, SocketAddr::new(address, 8000), "/").unwrap().body,
            "container\n"
        );
        client::ping(&lab.client, address, 56, PATIENCE).unwrap();
        for index in [0, 1] {
            let server = lab.server_port(index, family, SERVER_PORT);
            let reply = client::get(&lab.container, server, "/").unwrap();
            assert_eq!(reply.body, format!("server{}\n", index + 1));
            client::download(&lab.container, server, 2_000_000, |_| ()).unwrap();
        }
        client::ping(&lab.container, lab.server_addrs[0].of(family), 56, PATIENCE).unwrap();
        assert!(client::get(&lab.container, vip, "/").unwrap().body.starts_with("server"), "its own client");
    }
    running.end();
    let changed = before.diff(&Snapshot::take(&lab.container).unwrap());
    assert!(changed.is_empty(), "after it the container is another:\n{}", changed.join("\n"));
    drop((servers, own));
}

#[test]
fn one_address_and_one_capability_are_enough() {
    serves(&least());
}

#[test]
fn the_same_without_root() {
    if std::env::var_os(INSIDE).is_none() {
        let mut command = Command::new("unshare");
        let test = "container::the_same_without_root";
        command.args(UNSHARE).arg(std::env::current_exe().unwrap()).args(["--exact", test]).env(INSIDE, "1");
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = printed(&output);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    serves(&least());
}

#[test]
fn what_is_missing_is_named() {
    let lab = ContainerLab::new(None).unwrap();
    for (confinement, words) in [
        (
            Confinement { tun: false, ..Confinement::default() },
            ["/dev/net/tun is missing", "--device /dev/net/tun"],
        ),
        (
            Confinement { capabilities: vec![], ..Confinement::default() },
            ["CAP_NET_ADMIN", "--cap-add NET_ADMIN"],
        ),
    ] {
        let mut command = lab.confined(&confinement, &binary());
        command.arg("run");
        let line = refused(command);
        for word in words {
            assert!(line.contains(word), "{confinement:?}: no {word:?} in: {line}");
        }
    }
}
