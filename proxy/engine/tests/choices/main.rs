//! All scenarios that were put to a kernel's IPVS, put to a worker packet by packet: handshakes, ends, timeouts. The same
//! servers get the connections, and count as many.

#![allow(clippy::unwrap_used)]

#[path = "../../../../sched/tests/choices/replay.rs"]
mod replay;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Egress, Engine, Knobs, Limits, Verdict, Worker};
use replay::Director;
use sched::marks::SetMark;
use sched::{DestKey, Flow, MarkRule, Op, ServiceKey, Trash};
use wire::build::{Build, tcp};
use wire::packet::{L4, Packet};

#[test]
fn frames_go_where_the_kernel_sent_them() {
    replay::replay_all::<Frames>();
}

/// A director with one worker, and both ends of its connections.
struct Frames {
    engine: Engine,
    worker: Worker,
    trash: Trash,
    knobs: Knobs,
    born: Instant,
    /// Time of the scenario.
    now: Duration,
    /// What timeouts have taken besides.
    waited: Duration,
    connections: u16,
    /// Oldest first.
    open: HashMap<DestKey, VecDeque<Ends>>,
}

/// A connection as its client sees it, and its server.
#[derive(Clone, Copy)]
struct Ends {
    client: SocketAddr,
    vip: SocketAddr,
    server: SocketAddr,
}

impl Default for Frames {
    fn default() -> Self {
        let born = Instant::now();
        let (engine, mut workers) = Engine::new(1, Limits { max_connections: 100_000 }, 1, born);
        engine.set_knobs(Knobs::ipvs());
        Self {
            engine,
            worker: workers.remove(0),
            trash: Trash::default(),
            knobs: Knobs::ipvs(),
            born,
            now: Duration::ZERO,
            waited: Duration::ZERO,
            connections: 0,
            open: HashMap::new(),
        }
    }
}

impl Director for Frames {
    fn edit(&mut self, op: &Op) {
        let mut ops = vec![op.clone()];
        if let Op::AddService { service } = op
            && let ServiceKey::Mark { mark, family } = service.key
        {
            let rule = MarkRule::new(family, SetMark::to(mark.0.get()));
            ops.push(Op::AddMark { rule, at: None, counts: Default::default() });
        }
        let table = self.engine.services().apply(&mut self.trash, &ops).unwrap();
        self.engine.set_services(Arc::new(table));
    }

    fn connect(&mut self, _key: &ServiceKey, flow: &Flow, keep: bool) -> Option<DestKey> {
        self.set(Knobs { sched: flow.knobs, ..self.knobs });
        self.pass(flow.now);
        let (client, vip) = (self.client(flow.client), flow.vip);
        let server = self.syn(client, vip)?;
        let ends = Ends { client, vip, server };
        self.send(&tcp(server, client).syn().ack(1));
        self.send(&tcp(client, vip).ack(1));
        if keep {
            self.open.entry(server).or_default().push_back(ends);
        } else {
            self.close(ends);
        }
        Some(server)
    }

    fn end(&mut self, server: DestKey, times_out: bool) {
        let ends = self.open.get_mut(&server).unwrap().pop_front().unwrap();
        if times_out {
            let usual = self.knobs;
            self.set(Knobs { tcp_timeout: Duration::from_secs(1), ..usual });
            self.send(&tcp(ends.client, ends.vip).ack(1));
            self.set(usual);
            self.waited += Duration::from_secs(2);
            self.pass(self.now);
        } else {
            self.close(ends);
        }
    }

    fn loads(&self, key: &ServiceKey) -> Vec<(DestKey, u64, u64)> {
        let table = self.engine.services();
        let dests = table.get(key).unwrap().dests.iter();
        dests.map(|d| (d.live.key, d.active(), d.inactive())).collect()
    }
}

impl Frames {
    fn set(&mut self, knobs: Knobs) {
        self.knobs = knobs;
        self.engine.set_knobs(knobs);
    }

    /// Lets the time of the scenario come, and what is due happen.
    fn pass(&mut self, now: Duration) {
        self.now = now;
        let now = self.clock();
        while let Some(due) = self.worker.poll_timeout().filter(|due| *due <= now) {
            self.worker.handle_timeout(due);
        }
    }

    fn clock(&self) -> Instant {
        self.born + self.now + self.waited
    }

    /// Where a scenario does not name a port, every connection has its own.
    fn client(&mut self, named: SocketAddr) -> SocketAddr {
        if named.port() != replay::SOME_PORT {
            return named;
        }
        self.connections += 1;
        SocketAddr::new(named.ip(), 10_000 + self.connections)
    }

    /// Who gets a client's SYN; nobody if it is refused.
    fn syn(&mut self, client: SocketAddr, vip: SocketAddr) -> Option<SocketAddr> {
        let mut frame = tcp(client, vip).syn().frame();
        match self.worker.process(&mut frame, self.clock()) {
            Verdict::Reply => None,
            Verdict::Transmit(_) => {
                let packet = Packet::parse(frame.packet()).unwrap();
                let L4::Tcp { dst_port, .. } = packet.l4 else { panic!("{packet}") };
                Some(SocketAddr::new(packet.dst, dst_port))
            }
            other => panic!("{client} {vip}: {other:?}"),
        }
    }

    /// Both ends say that they are done.
    fn close(&mut self, ends: Ends) {
        let Ends { client, vip, server } = ends;
        self.send(&tcp(client, vip).fin().ack(1));
        self.send(&tcp(server, client).fin().ack(1));
        self.send(&tcp(client, vip).ack(1));
    }

    /// A packet of a connection that is there.
    fn send(&mut self, packet: &Build) {
        let verdict = self.worker.process(&mut packet.frame(), self.clock());
        assert_eq!(verdict, Verdict::Transmit(Egress::Route));
    }
}
