//! A director with a service of FTP.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use engine::{Connection, Egress, Engine, Limits, Part, Verdict, Worker};
use sched::{DestSpec, ForwardMethod, Op, Path, Proto, ServiceKey, ServiceSpec, Trash};
use wire::build::Build;
use wire::checksum;
use wire::frame::Frame;
use wire::packet::Packet;

use crate::foreseen::foresee;

pub(crate) const SENT: Verdict = Verdict::Transmit(Egress::Route);

pub(crate) const METHODS: [ForwardMethod; 2] = [ForwardMethod::Masq, ForwardMethod::FullNat];

/// Who takes part, in one family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Net {
    pub(crate) client: SocketAddr,
    pub(crate) vip: SocketAddr,
    pub(crate) servers: [SocketAddr; 2],
    pub(crate) lip: IpAddr,
}

pub(crate) fn nets() -> [Net; 2] {
    let net = |[client, vip, one, other]: [&str; 4], lip: &str| Net {
        client: client.parse().unwrap(),
        vip: vip.parse().unwrap(),
        servers: [one, other].map(|server| server.parse().unwrap()),
        lip: lip.parse().unwrap(),
    };
    [
        net(["198.51.100.10:4000", "203.0.113.1:21", "10.0.0.11:21", "10.0.0.12:21"], "10.0.0.1"),
        net(
            ["[2001:db8:1::10]:4000", "[2001:db8:ff::1]:21", "[2001:db8:2::11]:21", "[2001:db8:2::12]:21"],
            "2001:db8:2::1",
        ),
    ]
}

pub(crate) fn with_port(addr: SocketAddr, port: u16) -> SocketAddr {
    SocketAddr::new(addr.ip(), port)
}

pub(crate) struct Director {
    pub(crate) engine: Engine,
    pub(crate) worker: Worker,
    pub(crate) now: Instant,
}

impl Director {
    /// With both servers, in turn.
    pub(crate) fn new(net: &Net, method: ForwardMethod) -> Self {
        Self::with(net, method, Limits::default())
    }

    pub(crate) fn with(net: &Net, method: ForwardMethod, limits: Limits) -> Self {
        let now = Instant::now();
        let (engine, mut workers) = Engine::new(5, limits, 1, now);
        let dests = net.servers.map(|server| DestSpec { method, ..DestSpec::new(server) }).into();
        let service = ServiceSpec { dests, ..ServiceSpec::new(ServiceKey::addr(Proto::Tcp, net.vip), "rr") };
        let mut director = Self { engine, worker: workers.remove(0), now };
        director.edit(&[Op::AddService { service }]);
        for service in director.engine.services().services() {
            for dest in service.dests.iter() {
                let path = Path { device: 1, next_hop: dest.live.key.ip(), source: Some(net.lip) };
                dest.live.set_path(Some(path));
            }
        }
        director
    }

    pub(crate) fn edit(&mut self, ops: &[Op]) {
        let table = self.engine.services().apply(&mut Trash::default(), ops).expect("legal edits");
        self.engine.set_services(Arc::new(table));
    }

    /// What becomes of a frame, whose checksums have to be right afterwards.
    pub(crate) fn process(&mut self, build: &Build) -> (Verdict, Frame) {
        let mut frame = build.frame();
        let foreseen = foresee(&self.engine, &self.worker, &frame, self.now, 24);
        let verdict = self.worker.process(&mut frame, self.now);
        foreseen.comes_true(verdict, &frame, &[]);
        if !matches!(verdict, Verdict::Drop(_)) {
            assert_eq!(checksum::verify_frame(&frame), Ok(()), "{verdict:?}");
        }
        (verdict, frame)
    }

    pub(crate) fn gives(&mut self, input: &Build, output: &Build) {
        let (verdict, frame) = self.process(input);
        assert_eq!(verdict, SENT);
        let said = |bytes: &[u8]| Packet::parse(bytes).unwrap().to_string();
        assert_eq!(said(frame.packet()), said(&output.bytes()));
        assert_eq!(frame.packet(), output.frame().packet());
    }

    /// Between whom a frame has left.
    pub(crate) fn sends(&mut self, input: &Build) -> [SocketAddr; 2] {
        let (verdict, frame) = self.process(input);
        assert_eq!(verdict, SENT);
        let packet = Packet::parse(frame.packet()).unwrap();
        let (from, to) = packet.ports().unwrap();
        [SocketAddr::new(packet.src, from), SocketAddr::new(packet.dst, to)]
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        let until = self.now + std::time::Duration::from_secs(seconds);
        while let Some(due) = self.worker.poll_timeout().filter(|due| *due <= until) {
            self.now = due.max(self.now);
            self.worker.handle_timeout(self.now);
        }
        self.now = until;
    }

    /// What is listed: state, seconds left, client, VIP, server; sorted.
    pub(crate) fn listed(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.engine.for_each_connection(self.now, Part::ALL, |conn| all.push(shown(&conn)));
        all.sort();
        all
    }
}

fn shown(conn: &Connection) -> String {
    let Connection { client, vip, dest, .. } = conn;
    format!("{} {} {client} {vip} {dest}", conn.state_name(), conn.expires_in.as_secs())
}
