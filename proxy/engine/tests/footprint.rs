//! What a connection costs in memory, all in: entry, index, timers, what it shares with others. And that packets of
//! connections that have begun allocate nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use engine::{Engine, Limits, Verdict, Worker};
use sched::{DestSpec, ForwardMethod, Op, Path, Proto, ServiceKey, ServiceSpec, Trash};
use wire::build::{tcp, udp};
use wire::frame::Frame;
use wire::packet::Packet;

struct Director {
    engine: Engine,
    worker: Worker,
    now: Instant,
    vip: SocketAddr,
}

impl Director {
    fn new(method: ForwardMethod, v6: bool) -> Self {
        let now = Instant::now();
        let (engine, mut workers) = Engine::new(3, Limits::default(), 1, now);
        let addr = |text: &str| text.parse::<SocketAddr>().expect("address");
        let (vip, servers, own) = if v6 {
            (addr("[2001:db8:ff::1]:80"), ["[2001:db8:2::11]:80", "[2001:db8:2::12]:80"], "2001:db8:2::1")
        } else {
            (addr("203.0.113.1:80"), ["10.9.0.11:80", "10.9.0.12:80"], "10.9.0.1")
        };
        let service = |proto| ServiceSpec {
            dests: servers.map(|server| DestSpec { method, ..DestSpec::new(addr(server)) }).to_vec(),
            ..ServiceSpec::new(ServiceKey::addr(proto, vip), "rr")
        };
        let ops = [Proto::Tcp, Proto::Udp].map(|proto| Op::AddService { service: service(proto) });
        let table = engine.services().apply(&mut Trash::default(), &ops).expect("legal edits");
        for dest in table.services().flat_map(|service| service.dests.iter()) {
            let source = own.parse().ok();
            dest.live.set_path(Some(Path { device: 2, next_hop: dest.live.key.ip(), source }));
        }
        engine.set_services(Arc::new(table));
        Self { engine, worker: workers.remove(0), now, vip }
    }

    fn put(&mut self, frame: &mut Frame) {
        let verdict = self.worker.process(frame, self.now);
        assert!(matches!(verdict, Verdict::Transmit(_)), "{verdict:?}");
    }

    /// Has time pass, as a worker does.
    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        while self.worker.poll_timeout().is_some_and(|due| due <= self.now) {
            self.worker.handle_timeout(self.now);
        }
    }
}

fn client(v6: bool, n: u32) -> SocketAddr {
    let port = 1024 + (n % 50_000) as u16;
    let ip = if v6 {
        IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8_0001 << 80 | u128::from(n / 50_000)))
    } else {
        IpAddr::V4(Ipv4Addr::from_bits(0x0a01_0001 + n / 50_000))
    };
    SocketAddr::new(ip, port)
}

/// Bytes of a connection by NAT where there are so many, begun over some seconds.
fn bytes_each(v6: bool, connections: u32) -> u64 {
    let mut director = Director::new(ForwardMethod::Masq, v6);
    // What no connection has costs nothing each.
    director.put(&mut udp(client(v6, connections), director.vip).frame());
    let vip = director.vip;
    let mut frames = udp(client(v6, 0), vip).frame();
    let measured = measure(|| {
        for n in 0..connections {
            let fresh = udp(client(v6, n), vip).bytes();
            frames.set_packet(&fresh);
            director.put(&mut frames);
            if n % 10_000 == 0 {
                director.wait(1);
            }
        }
    });
    assert_eq!(director.engine.connections_held(), connections as usize + 1);
    measured.bytes_current as u64 / u64::from(connections)
}

#[test]
fn a_connection_takes_at_most_128_bytes_and_by_ipv6_192() {
    // Just before and just after the index has grown, and in between.
    for connections in [50_000, 70_000, 100_000] {
        let [v4, v6] = [false, true].map(|v6| bytes_each(v6, connections));
        assert!(v4 <= 128 && v6 <= 192, "of {connections}: {v4} and {v6} bytes");
    }
}

#[test]
fn memory_is_given_back_to_connections_that_come_later() {
    let mut director = Director::new(ForwardMethod::Masq, false);
    let vip = director.vip;
    let round = |director: &mut Director| {
        for n in 0..20_000 {
            director.put(&mut udp(client(false, n), vip).frame());
        }
        director.wait(600);
        assert_eq!(director.engine.connections_held(), 0);
    };
    round(&mut director);
    let measured = measure(|| (0..3).for_each(|_| round(&mut director)));
    assert!(measured.bytes_current < 500_000, "{} bytes more after three rounds", measured.bytes_current);
}

#[test]
fn packets_of_a_connection_that_has_begun_allocate_nothing() {
    let methods = [ForwardMethod::Masq, ForwardMethod::FullNat, ForwardMethod::Route];
    for (method, v6) in methods.into_iter().flat_map(|method| [(method, false), (method, true)]) {
        let mut director = Director::new(method, v6);
        let (client, vip) = (client(v6, 7), director.vip);
        let mut frame = tcp(client, vip).syn().seq(100).frame();
        director.put(&mut frame);
        let sent = Packet::parse(frame.packet()).expect("a packet");
        let (from, to) = sent.ports().expect("ports");
        let (server, peer) = (SocketAddr::new(sent.dst, to), SocketAddr::new(sent.src, from));
        if method.sees_replies() {
            director.put(&mut tcp(server, peer).syn().seq(500).ack(101).frame());
        }
        director.put(&mut tcp(client, vip).seq(101).ack(501).frame());
        director.put(&mut udp(client, vip).frame());
        let mut frames = vec![
            tcp(client, vip).seq(101).ack(501).payload_len(100).frame(),
            tcp(client, vip).seq(201).ack(501).payload_len(60_000).gso(1400).frame(),
            tcp(client, vip).fin().seq(60_201).ack(501).frame(),
            udp(client, vip).payload_len(9).frame(),
        ];
        if method.sees_replies() {
            frames.push(tcp(server, peer).seq(501).ack(201).payload_len(100).frame());
        }
        let measured = measure(|| frames.iter_mut().for_each(|frame| director.put(frame)));
        assert_eq!(measured.count_total, 0, "{method:?}, IPv6: {v6}");
    }
}
