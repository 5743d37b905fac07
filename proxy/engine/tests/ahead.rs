//! Looking ahead: whoever is told which packets come does with them what another one does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use engine::{Coming, Connection, Counters, Engine, Limits, Part, Verdict, Worker};
use sched::{DestSpec, Op, Proto, ServiceKey, ServiceSpec, Trash};
use wire::build::{tcp, udp};
use wire::frame::Frame;
use wire::packet::head::AnyHead;

/// More than what is always near.
const SERVICES: u8 = 200;

struct Director {
    engine: Engine,
    worker: Worker,
    now: Instant,
}

impl Director {
    fn new(now: Instant) -> Self {
        let (engine, mut workers) = Engine::new(9, Limits::default(), 1, now);
        let service = |n| ServiceSpec {
            dests: vec![DestSpec::new(addr(2, n, 80))],
            ..ServiceSpec::new(ServiceKey::addr(Proto::Tcp, addr(1, n, 80)), "rr")
        };
        let ops: Vec<_> = (0..SERVICES).map(|n| Op::AddService { service: service(n) }).collect();
        let table = engine.services().apply(&mut Trash::default(), &ops).expect("legal edits");
        engine.set_services(Arc::new(table));
        Self { engine, worker: workers.remove(0), now }
    }

    fn process(&mut self, mut frames: Vec<Frame>, look_ahead: bool) -> Vec<(Verdict, Vec<u8>)> {
        let head = |frame: &Frame| look_ahead.then(|| AnyHead::of(frame.packet())).flatten();
        let mut coming: Vec<_> = frames.iter().map(|frame| head(frame).map(Coming::new)).collect();
        self.worker.look_ahead(coming.iter_mut().flatten());
        let verdicts: Vec<_> = coming
            .iter()
            .zip(&mut frames)
            .map(|(coming, frame)| match coming {
                Some(coming) => self.worker.process_coming(frame, coming, self.now),
                None => self.worker.process(frame, self.now),
            })
            .collect();
        verdicts.into_iter().zip(frames.iter().map(|frame| frame.packet().to_vec())).collect()
    }

    fn state(&self) -> (Counters, Vec<String>) {
        let mut all = Vec::new();
        self.engine
            .for_each_connection(self.now, Part::ALL, |conn: Connection| all.push(format!("{conn:?}")));
        all.sort();
        (self.engine.counters(), all)
    }
}

fn addr(net: u8, host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, net, 0, host)), port)
}

#[test]
fn who_looks_ahead_decides_as_who_does_not() {
    let now = Instant::now();
    let mut directors = [Director::new(now), Director::new(now)];
    let client = |n: u8| addr(0, 1, 1000 + u16::from(n));
    let syns = || (0..SERVICES).map(|n| tcp(client(n), addr(1, n, 80)).syn().frame()).collect();
    // Of connections, of none, of no service, of no transport that has ports, and more of them than are looked at.
    let mixed = || {
        let of = |n: u8| {
            [
                tcp(client(n), addr(1, n, 80)).ack(1).payload_len(9).frame(),
                tcp(addr(2, n, 80), client(n)).syn().ack(1).frame(),
                tcp(addr(0, 7, 7), addr(1, n, 80)).ack(1).frame(),
                tcp(addr(0, 8, 8), addr(1, n, 80)).syn().frame(),
                udp(client(n), addr(9, n, 80)).frame(),
                Frame::from_packet(&[0x45; 40]),
            ]
        };
        (0..SERVICES).flat_map(of).collect()
    };
    // Of connections that end, and others in their place, after they were looked ahead at.
    let ended = || {
        let of = |n: u8| {
            let of = || tcp(client(n), addr(1, n, 80));
            [
                of().ack(1).rst().frame(),
                of().syn().seq(9999).frame(),
                of().ack(1).seq(10_000).payload_len(9).frame(),
            ]
        };
        (0..SERVICES).flat_map(of).collect()
    };
    for frames in [&syns as &dyn Fn() -> Vec<Frame>, &mixed, &ended, &mixed] {
        let [plain, ahead] = &mut directors;
        assert_eq!(ahead.process(frames(), true), plain.process(frames(), false));
        assert_eq!(ahead.state(), plain.state());
    }
    let held = directors[0].engine.connections_held();
    assert_eq!(held, 2 * usize::from(SERVICES));
    let [plain, ahead] = &mut directors;
    for director in [plain, ahead] {
        director.worker.look_ahead([]);
        assert_eq!(director.engine.connections_held(), held);
    }
}
