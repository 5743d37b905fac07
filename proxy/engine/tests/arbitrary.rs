//! Anything may come in: arbitrary bytes, and packets of live connections with bytes changed, under any offload
//! metadata. The engine does not panic, counts each frame once, lets nothing leave with a wrong checksum that came
//! with a right one, and forgets everything in the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Egress, Engine, HostView, Limits, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;
use sched::{
    DestSpec, Netmask, Op, Persistence, PersistenceEngine, Proto, ServiceKey, ServiceSpec, Trash, Weight,
};
use wire::build::{self, Build, ping, raw, tcp, udp};
use wire::checksum;
use wire::frame::{Checksum, Frame, GsoKind, Offload};
use wire::packet::Packet;

/// Client, TCP service, UDP service, their servers; once per family.
const NETS: [[&str; 5]; 2] = [
    ["198.51.100.7:4000", "192.0.2.80:80", "192.0.2.80:53", "10.0.0.1:8000", "10.0.0.1:5300"],
    ["[2001:db8::7]:4000", "[2001:db8::80]:80", "[2001:db8::80]:53", "[fd00::1]:8000", "[fd00::1]:5300"],
];

fn parsed(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Packets of which most belong to a connection.
fn packets() -> Vec<Build> {
    let of_net = |[client, web, dns, server, resolver]: [&str; 5]| {
        let [client, web, dns, server, resolver] = [client, web, dns, server, resolver].map(parsed);
        let (request, reply) =
            (tcp(client, server).ack(1).payload_len(40), tcp(web, client).ack(1).payload_len(40));
        let mut packets = vec![
            tcp(client, web).syn(),
            tcp(client, web).ack(1).payload_len(300),
            tcp(client, web).fin().ack(1),
            tcp(client, web).ack(1).payload_len(3000).gso(1000),
            tcp(client, SocketAddr::new(web.ip(), 81)).syn().tcp_options(&[2, 4, 5, 180]),
            tcp(server, client).syn().ack(1),
            tcp(server, client).ack(1).payload_len(3000).gso(1000),
            tcp(server, client).rst(),
            udp(client, dns).payload_len(30),
            udp(client, dns).payload_len(3000).gso(1000),
            udp(resolver, client).payload_len(90).partial(),
            udp(client, SocketAddr::new(dns.ip(), 54)).payload_len(900),
            udp(client, SocketAddr::new(dns.ip(), 5060)).payload(b"INVITE sip:a\r\nCall-ID: 7@a\r\n\r\n"),
            ping(client.ip(), web.ip(), 1, 1),
            raw(client.ip(), web.ip(), 47).payload_len(40),
            build::unreachable_port(server.ip(), client.ip(), &request.bytes()),
            build::too_big(server.ip(), client.ip(), 1280, &request.bytes()),
            build::time_exceeded(client.ip(), web.ip(), &reply.bytes()),
            build::too_big(client.ip(), web.ip(), 1280, &reply.bytes()),
        ];
        if client.is_ipv6() {
            packets.push(
                tcp(client, web).ack(1).extension(0, &[1, 4, 0, 0, 0, 0]).extension(60, &[1, 4, 0, 0, 0, 0]),
            );
            packets.push(tcp(client, web).ack(1).extension(43, &[0, 0, 0, 0, 0, 0]));
        } else {
            packets.push(tcp(client, web).ack(1).ipv4_options(&[7, 7, 4, 0, 0, 0, 0]));
            packets.push(udp(client, dns).payload_len(20).no_checksum());
        }
        packets
    };
    NETS.into_iter().flat_map(of_net).collect()
}

fn director() -> (Engine, engine::Worker, Instant) {
    let now = Instant::now();
    let (engine, mut workers) = Engine::new(5, Limits { max_connections: 50 }, 1, now);
    let service = |proto, vip: &str, server: &str| Op::AddService {
        service: ServiceSpec {
            dests: vec![DestSpec { weight: Weight(1), ..DestSpec::new(parsed(server)) }],
            ..ServiceSpec::new(ServiceKey::addr(proto, parsed(vip)), "rr")
        },
    };
    let sip = |net: [&str; 5]| {
        let vip = SocketAddr::new(parsed(net[2]).ip(), 5060);
        let key = ServiceKey::addr(Proto::Udp, vip);
        let mask = Netmask::full(key.family());
        let service = ServiceSpec {
            persistence: Some(Persistence { timeout: 300, mask }),
            pe: Some(PersistenceEngine::Sip),
            dests: vec![DestSpec::new(parsed(net[4]))],
            ..ServiceSpec::new(key, "rr")
        };
        Op::AddService { service }
    };
    let of_net =
        |net: [&str; 5]| [service(Proto::Tcp, net[1], net[3]), service(Proto::Udp, net[2], net[4]), sip(net)];
    let ops: Vec<_> = NETS.into_iter().flat_map(of_net).collect();
    let table = engine.services().apply(&mut Trash::default(), &ops).expect("legal edits");
    for service in table.services() {
        service.dests[0].live.mtu.store(1400, std::sync::atomic::Ordering::Relaxed);
    }
    engine.set_services(Arc::new(table));
    let mut worker = workers.pop().expect("one worker");
    for net in NETS {
        let _ = worker.process(&mut tcp(parsed(net[0]), parsed(net[1])).syn().frame(), now);
        let _ = worker.process(&mut udp(parsed(net[0]), parsed(net[2])).frame(), now);
    }
    assert_eq!(engine.connections_held(), 4);
    (engine, worker, now)
}

fn offload() -> impl Strategy<Value = Offload> {
    let checksum = prop_oneof![
        2 => Just(Checksum::Complete),
        1 => (any::<u16>(), any::<u16>()).prop_map(|(start, offset)| Checksum::Partial { start, offset }),
        2 => (prop::sample::select(vec![20_u16, 24, 40, 48]), prop::sample::select(vec![2_u16, 6, 16]))
            .prop_map(|(start, offset)| Checksum::Partial { start, offset }),
    ];
    let gso = prop::sample::select(vec![GsoKind::None, GsoKind::TcpV4, GsoKind::TcpV6, GsoKind::Udp]);
    let size = prop_oneof![0_u16..3, 500_u16..1500, any::<u16>()];
    (checksum, gso, size, any::<u16>(), any::<bool>())
        .prop_map(|(checksum, gso, gso_size, hdr_len, ecn)| Offload { checksum, gso, gso_size, hdr_len, ecn })
}

/// A frame out of nothing, or one of [`packets`] with a few bytes changed, cut or lengthened.
fn frame() -> impl Strategy<Value = (Vec<u8>, Offload)> {
    let bytes = vec(any::<u8>(), 0..300).prop_map(|bytes| (bytes, Offload::default()));
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let cut = prop_oneof![3 => Just(0_isize), 1 => -60_isize..60];
    let changed = (prop::sample::select(packets()), changes, cut).prop_map(|(build, changes, cut)| {
        let (mut bytes, offload) = (build.bytes(), build.frame().offload);
        for (index, byte) in changes {
            // Headers and quotes rather than payload.
            let len = bytes.len().min(100);
            bytes[index.index(len)] = byte;
        }
        let len = bytes.len().saturating_add_signed(cut);
        bytes.resize(len, 0);
        (bytes, offload)
    });
    let any = prop_oneof![1 => bytes, 6 => changed];
    (any, prop::option::weighted(0.4, offload()))
        .prop_map(|((bytes, own), other)| (bytes, other.unwrap_or(own)))
}

proptest! {
    #[test]
    fn nothing_panics_and_everything_is_counted_once(
        frames in vec((frame(), 0_u64..20_000), 1..40),
        local in any::<bool>(),
    ) {
        let (engine, mut worker, mut now) = director();
        if local {
            engine.set_host(HostView::new(NETS.map(|net| parsed(net[1]).ip())));
        }
        for ((bytes, offload), millis) in frames {
            let mut frame = Frame::from_packet(&bytes);
            frame.offload = offload;
            now += Duration::from_millis(millis);
            let (before, right) = (engine.counters(), checksum::verify_frame(&frame).is_ok());
            let verdict = worker.process(&mut frame, now);

            let mut after = before;
            after.received += 1;
            after.super_packets += u64::from(offload.gso != GsoKind::None);
            match verdict {
                Verdict::Transmit(_) => after.transmitted += 1,
                Verdict::Reply => after.replied += 1,
                Verdict::Pass => after.passed += 1,
                Verdict::Drop(reason) => after.dropped[reason as usize] += 1,
            }
            let counters = engine.counters();
            after.created = counters.created;
            after.expired = counters.expired;
            prop_assert_eq!(counters, after);
            prop_assert_eq!(engine.connections_held() as u64, counters.created - counters.expired);
            if !matches!(verdict, Verdict::Drop(_)) {
                let packet = Packet::parse(frame.packet());
                prop_assert!(packet.is_ok(), "{verdict:?} of what is no packet");
                // A ping is echoed with its error, all other answers are made anew.
                let anew = verdict == Verdict::Reply && Packet::parse(&bytes).is_ok_and(|p| p.ports().is_some());
                if right || anew {
                    prop_assert_eq!(checksum::verify_frame(&frame), Ok(()), "{:?} of it", verdict);
                }
            }
        }
        let end = now + Duration::from_secs(2000);
        while worker.poll_timeout().is_some_and(|due| due <= end) {
            worker.handle_timeout(end);
        }
        prop_assert_eq!(engine.connections_held(), 0);
        prop_assert_eq!(worker.poll_timeout(), None);
        for service in engine.services().services() {
            let live = &service.dests[0].live;
            let loads = [&live.active, &live.inactive].map(|load| load.load(std::sync::atomic::Ordering::Relaxed));
            prop_assert_eq!(loads, [0, 0]);
        }
    }
}

#[test]
fn the_packets_to_be_changed_are_known_to_the_engine() {
    let (_, mut worker, now) = director();
    let transmitted = packets()
        .iter()
        .filter(|build| worker.process(&mut build.frame(), now) == Verdict::Transmit(Egress::Route))
        .count();
    assert!(transmitted > packets().len() / 2, "{transmitted}");
}
