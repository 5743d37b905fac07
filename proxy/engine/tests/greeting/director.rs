//! An engine with one service and one server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use engine::{Egress, Engine, HostView, Knobs, Limits, Verdict, Worker};
use sched::{DestSpec, ForwardMethod, Op, Path, Proto, ServiceKey, ServiceSpec, TcpOptions, Trash};
use wire::build::Build;
use wire::checksum;
use wire::frame::Frame;
use wire::packet::Packet;

use crate::foreseen::foresee;

pub(crate) const SENT: Verdict = Verdict::Transmit(Egress::Route);

/// Who takes part, in one family.
#[derive(Clone, Copy)]
pub(crate) struct Net {
    pub(crate) client: SocketAddr,
    pub(crate) vip: SocketAddr,
    pub(crate) server: SocketAddr,
    pub(crate) lip: IpAddr,
}

pub(crate) fn nets() -> [Net; 2] {
    let net = |[client, vip, server]: [&str; 3], lip: &str| Net {
        client: client.parse().expect("an address and a port"),
        vip: vip.parse().expect("an address and a port"),
        server: server.parse().expect("an address and a port"),
        lip: lip.parse().expect("an address"),
    };
    [
        net(["198.51.100.10:4000", "203.0.113.1:80", "10.0.0.11:8080"], "10.0.0.1"),
        net(["[2001:db8:1::10]:4000", "[2001:db8:ff::1]:80", "[2001:db8:2::11]:8080"], "2001:db8:2::1"),
    ]
}

pub(crate) struct Director {
    pub(crate) net: Net,
    pub(crate) engine: Engine,
    pub(crate) now: Instant,
    worker: Worker,
    /// Who the server answers: known once it has heard something.
    pub(crate) peer: SocketAddr,
}

impl Director {
    pub(crate) fn new(net: Net, method: ForwardMethod, tcp: TcpOptions) -> Self {
        let now = Instant::now();
        let (engine, mut workers) = Engine::new(5, Limits::default(), 1, now);
        let dest = DestSpec { method, ..DestSpec::new(net.server) };
        let key = ServiceKey::addr(Proto::Tcp, net.vip);
        let service = ServiceSpec { dests: vec![dest], tcp, ..ServiceSpec::new(key, "rr") };
        let table = engine.services().apply(&mut Trash::default(), &[Op::AddService { service }]);
        let table = table.expect("a legal edit");
        for service in table.services() {
            let path = Path { device: 1, next_hop: net.server.ip(), source: Some(net.lip) };
            service.dests[0].live.set_path(Some(path));
        }
        engine.set_services(Arc::new(table));
        engine.set_host(HostView::new([net.lip]));
        Self { net, engine, worker: workers.remove(0), now, peer: net.client }
    }

    pub(crate) fn set_mtu(&self, mtu: u32) {
        for service in self.engine.services().services() {
            service.dests[0].live.mtu.store(mtu, Relaxed);
        }
    }

    pub(crate) fn set_knobs(&self, knobs: Knobs) {
        self.engine.set_knobs(knobs);
    }

    /// Everything that leaves when a frame comes in, in its order, with all checksums right.
    pub(crate) fn frame(&mut self, mut frame: Frame) -> (Verdict, Vec<Frame>) {
        let foreseen = foresee(&self.engine, &self.worker, &frame, self.now, 12);
        let verdict = self.worker.process(&mut frame, self.now);
        let mut sent = self.own();
        foreseen.comes_true(verdict, &frame, &sent);
        if let Verdict::Transmit(_) | Verdict::Reply = verdict {
            sent.push(frame);
        }
        for frame in &sent {
            assert_eq!(checksum::verify_frame(frame), Ok(()), "{verdict:?}");
        }
        (verdict, sent)
    }

    /// The same of a segment that goes on.
    pub(crate) fn pass(&mut self, build: &Build) -> Vec<Frame> {
        let (verdict, sent) = self.frame(build.frame());
        assert_eq!(verdict, SENT);
        if let Some(packet) = sent.last().and_then(|frame| Packet::parse(frame.packet()).ok())
            && packet.dst == self.net.server.ip()
        {
            self.peer = SocketAddr::new(packet.src, packet.ports().map_or(0, |(port, _)| port));
        }
        sent
    }

    /// And one frame for one.
    pub(crate) fn one(&mut self, build: &Build) -> (Frame, Packet) {
        let mut sent = self.pass(build);
        assert_eq!(sent.len(), 1, "frames");
        let frame = sent.remove(0);
        let packet = Packet::parse(frame.packet()).expect("a packet");
        (frame, packet)
    }

    /// Time goes by, and what leaves for no other reason.
    pub(crate) fn wait(&mut self, time: Duration) -> Vec<Frame> {
        self.now += time;
        let mut sent = Vec::new();
        while self.worker.poll_timeout().is_some_and(|due| due <= self.now) {
            self.worker.handle_timeout(self.now);
            sent.extend(self.own());
        }
        sent
    }

    fn own(&mut self) -> Vec<Frame> {
        let (mut sent, mut frame) = (Vec::new(), Frame::new());
        while let Some(egress) = self.worker.next_own(&mut frame) {
            assert_eq!(egress, Egress::Route);
            sent.push(frame.clone());
        }
        sent
    }
}
