//! The packet port where rings are all there is: a container that has dropped every capability but `CAP_NET_RAW`, without
//! `/dev/net/tun`, with a read-only `/proc/sys`. Whatever passes, no kernel has a word to say about it.

mod edges;
mod methods;

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use lab::node::{Child, Node};
use lab::serve::{Http, UdpEcho};
use lab::snapshot::Snapshot;
use lab::topo::Confinement;
use lab::wait::wait_for;

use crate::support::complaints::Complaints;
use crate::support::{Engine, PATIENCE, binary};

/// Nothing but the right to have packet sockets.
fn confinement() -> Confinement {
    Confinement { capabilities: vec!["net_raw"], tun: false }
}

/// An engine as such a container's first process.
struct Alone<'a> {
    engine: Engine<'a>,
    child: Child,
    before: Snapshot,
}

impl<'a> Alone<'a> {
    fn start(node: &'a Node, dir: &Path, args: &[&str]) -> Self {
        // As docker has it.
        node.sysctl("net.ipv4.ip_unprivileged_port_start", "0").unwrap();
        let (before, log) = (Snapshot::take(node).unwrap(), dir.join("alone.log"));
        let mut command = confinement().command(node, dir, &binary());
        command.args(["run", "--port", "auto", "--workers", "2"]).args(args).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let child = node.spawn(&mut command).unwrap();
        let mut this = Self { engine: Engine::attach(node, log), child, before };
        let ready = wait_for("an engine without rights", PATIENCE, || {
            if let Some(status) = this.child.try_wait().unwrap() {
                panic!("it ended ({status}): {}", this.engine.log());
            }
            this.engine.try_ulvs("status").status.success().then_some(())
        });
        ready.unwrap();
        this
    }

    /// Services for TCP and UDP on this address, each with all of these servers.
    fn serve(&self, vip: SocketAddr, servers: &[SocketAddr], options: &str) {
        for proto in ["t", "u"] {
            self.engine.ulvs(&format!("ipvsadm -A -{proto} {vip} -s rr"));
            for server in servers {
                self.engine.ulvs(&format!("ipvsadm -a -{proto} {vip} -r {server} {options}"));
            }
        }
    }

    /// It has lost nothing, and leaves nothing behind.
    fn end(mut self, node: &Node) {
        let status = self.engine.status();
        assert_eq!((status.counter("unsent"), status.drops()), (0, [].into()));
        self.engine.ulvs("stop");
        let ended = wait_for("the container's end", PATIENCE, || self.child.try_wait().unwrap());
        assert!(ended.unwrap().success(), "{}", self.engine.log());
        assert_eq!(self.before.diff(&Snapshot::take(node).unwrap()), [""; 0]);
    }
}

/// Web and echo servers on port 80.
fn servers(nodes: &[Node]) -> Vec<(Http, UdpEcho)> {
    nodes.iter().map(|node| (Http::start(node, 80).unwrap(), UdpEcho::start(node, 80).unwrap())).collect()
}

fn silent(complaints: Complaints) {
    assert_eq!(complaints.end(), [""; 0]);
}
