//! What the engine tells the schedulers of a server: how many connections it has, as its thresholds see them, and how
//! long it takes to answer.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Egress, Engine, Limits, Verdict, Worker};
use sched::{DestLive, DestSpec, Op, Proto, ServiceKey, ServiceSpec, Trash};
use wire::build::tcp;
use wire::packet::Packet;

#[test]
fn at_the_upper_threshold_connections_go_elsewhere_until_enough_have_ended() {
    let mut director = Director::new(&[(3, 2), (0, 0)]);
    let got: Vec<_> = (0..8).map(|n| director.syn(n)).collect();
    // The list is newest first, and the third connection of the first server fills it.
    assert_eq!(got, [2, 1, 2, 1, 2, 1, 2, 2]);
    assert!(director.servers[0].is_overloaded());
    // Reset by the server: still counted, until the ten seconds of CLOSE are over.
    for n in [1, 3] {
        director.server_says(1, tcp(server(1), client(n)).rst());
    }
    assert_eq!([director.syn(8), director.syn(9)], [2, 2]);
    director.wait(11);
    assert!(!director.servers[0].is_overloaded());
    assert_eq!([director.syn(10), director.syn(11)], [1, 2]);
}

#[test]
fn the_time_from_the_first_syn_to_its_answer_is_measured_once() {
    let mut director = Director::new(&[(0, 0)]);
    let measured = |director: &Director| director.servers[0].handshake_us().map(NonZeroU32::get);
    director.syn(0);
    director.now += Duration::from_micros(1000);
    director.syn(0);
    assert_eq!(measured(&director), None);
    director.now += Duration::from_micros(600);
    director.server_says(1, tcp(server(1), client(0)).syn().ack(1));
    assert_eq!(measured(&director), Some(1600));
    director.now += Duration::from_micros(5000);
    director.server_says(1, tcp(server(1), client(0)).syn().ack(1));
    director.server_says(1, tcp(server(1), client(0)).rst());
    assert_eq!(measured(&director), Some(1600), "answered before");
}

#[test]
fn a_refusal_counts_as_a_slow_answer() {
    let mut director = Director::new(&[(0, 0)]);
    director.syn(0);
    director.now += Duration::from_micros(10);
    director.server_says(1, tcp(server(1), client(0)).rst());
    assert_eq!(director.servers[0].handshake_us().map(NonZeroU32::get), Some(1_000_000));
}

/// A director with one service, whose servers have these thresholds, and the packets that pass it.
struct Director {
    worker: Worker,
    servers: Vec<Arc<DestLive>>,
    now: Instant,
    _engine: Engine,
}

impl Director {
    fn new(thresholds: &[(u32, u32)]) -> Self {
        let now = Instant::now();
        let (engine, mut workers) = Engine::new(5, Limits { max_connections: 50 }, 1, now);
        let dests = (1..).zip(thresholds);
        let dests = dests.map(|(n, &(upper, lower))| DestSpec { upper, lower, ..DestSpec::new(server(n)) });
        let service = ServiceSpec {
            dests: dests.collect(),
            ..ServiceSpec::new(ServiceKey::addr(Proto::Tcp, vip()), "rr")
        };
        let ops = [Op::AddService { service }];
        let table = engine.services().apply(&mut Trash::default(), &ops).expect("legal edits");
        let services = table.services().flat_map(|s| s.dests.iter().rev());
        let servers = services.map(|d| Arc::clone(&d.live)).collect();
        engine.set_services(Arc::new(table));
        Self { worker: workers.remove(0), servers, now, _engine: engine }
    }

    /// Which server a client's SYN goes to.
    fn syn(&mut self, n: u16) -> u8 {
        let mut frame = tcp(client(n), vip()).syn().frame();
        assert_eq!(self.worker.process(&mut frame, self.now), Verdict::Transmit(Egress::Route));
        match Packet::parse(frame.packet()).expect("a packet").dst {
            IpAddr::V4(addr) => addr.octets()[3],
            IpAddr::V6(_) => unreachable!("see server()"),
        }
    }

    fn server_says(&mut self, n: usize, reply: wire::build::Build) {
        let before = self.servers[n - 1].stats.read().out_packets;
        assert_eq!(self.worker.process(&mut reply.frame(), self.now), Verdict::Transmit(Egress::Route));
        assert_eq!(self.servers[n - 1].stats.read().out_packets, before + 1);
    }

    fn wait(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        while let Some(due) = self.worker.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.worker.handle_timeout(self.now);
        }
        self.now = until;
    }
}

fn client(n: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1)), 5000 + n)
}

fn vip() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1)), 80)
}

fn server(n: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 3, 0, n)), 8000)
}
