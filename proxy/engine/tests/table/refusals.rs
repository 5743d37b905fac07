use super::case::{Case, Move::*, Step, bytes, case, frame, reset, then};
use super::net::{Net, spec};
use super::tcp::{closed, established};
use engine::{DropReason, Knobs};
use sched::Op;
use wire::build::{self, raw, tcp, udp};

/// A packet to a port of the VIP that no service has.
fn closed_port(n: &Net) -> (std::net::SocketAddr, std::net::SocketAddr) {
    (n.client(), n.vip_port(81))
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case(
            "with nat_icmp_send a server hears that its connection is unknown, but not about a reset",
            |n| {
                let (c, s) = (n.client(), n.s1());
                let segment = || tcp(s, c).ack(7).payload_len(30);
                let error = build::unreachable_port(c.ip(), s.ip(), &segment().bytes());
                let error = if n.family == sched::Family::Ipv4 { error.class(0xc0) } else { error };
                vec![
                    frame(segment()).gets(error, &[]),
                    frame(tcp(s, c).rst()).passes_as(tcp(s, c).rst().ttl(65)),
                    frame(tcp(n.stranger(), c).ack(7)).passes_as(tcp(n.stranger(), c).ack(7).ttl(65)),
                ]
            },
        )
        .knobs(Knobs { nat_icmp_send: true, ..Knobs::default() }),
        case("with drop_packet some attempts come to nothing", |n| {
            let (v, one, two) = (n.web(), n.w1(), n.w2());
            let syn = |port| tcp(n.client_port(port), v).syn();
            let through = |port, leg: super::case::Leg| {
                frame(syn(port)).leaves_as(
                    tcp(n.client_port(port), leg.1).syn().ttl(65),
                    &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())],
                )
            };
            let dropped = |port| frame(syn(port)).drops(DropReason::Defence, &[]);
            vec![dropped(1), through(1, one), through(2, two), dropped(3), through(3, one)]
        })
        .knobs(Knobs { drop_packet: engine::Defence::Always, am_droprate: 3, ..Knobs::default() }),
        case("what belongs to nobody known is passed", |n| {
            let (a, b) = (n.stranger(), n.client());
            vec![
                frame(tcp(a, b).syn()).passes_as(tcp(a, b).syn().ttl(65)),
                frame(udp(a, b)).passes_as(udp(a, b).ttl(65)),
                frame(raw(a.ip(), b.ip(), 47)).passes_as(raw(a.ip(), b.ip(), 47).ttl(65)),
            ]
        }),
        case("a host that is no router does not become one", |n| {
            let (a, b) = (n.stranger(), n.client());
            vec![
                Step::Closed(vec![]),
                frame(tcp(a, b).syn()).drops(DropReason::NotForwarded, &[]),
                frame(udp(n.d1(), b)).drops(DropReason::NotForwarded, &[]),
                frame(raw(a.ip(), b.ip(), 47)).drops(DropReason::NotForwarded, &[]),
                Step::Closed(vec![a.ip()]),
                frame(udp(a, b)).passes(),
                frame(udp(b, a)).passes(),
            ]
        }),
        case("everything but the services is the host's where it has the VIP", |n| {
            let (c, v) = closed_port(n);
            vec![
                Step::Host(vec![n.vip()]),
                frame(tcp(c, v).syn()).passes(),
                frame(udp(c, v).payload_len(4)).passes(),
                frame(raw(c.ip(), v.ip(), 47).payload_len(20)).passes(),
                frame(tcp(c, n.web()).seq(5).ack(6)).passes(),
            ]
        }),
        case("TCP to a closed port of nobody's VIP is reset", |n| {
            let (c, v) = closed_port(n);
            vec![
                frame(tcp(c, v).syn().seq(77)).gets_bytes(&reset(tcp(v, c).rst().ack(78)), &[]),
                frame(tcp(c, v).seq(5).ack(6).payload_len(10))
                    .gets_bytes(&reset(tcp(v, c).rst().seq(6)), &[]),
                frame(tcp(c, v).rst().seq(5)).drops(DropReason::Unanswerable, &[]),
            ]
        }),
        case("a segment of a connection that we do not know is reset", |n| {
            let (c, v) = (n.client(), n.web());
            vec![
                frame(tcp(c, v).seq(5).ack(6)).gets_bytes(&reset(tcp(v, c).rst().seq(6)), &[]),
                frame(tcp(c, v).fin().seq(5).ack(6)).gets_bytes(&reset(tcp(v, c).rst().seq(6)), &[]),
                frame(tcp(c, v).syn().seq(5).ack(6)).gets_bytes(&reset(tcp(v, c).rst().seq(6)), &[]),
                frame(tcp(c, v).syn().rst().seq(5)).drops(DropReason::Unanswerable, &[]),
                frame(tcp(c, v).seq(5).ack(6).payload_len(9_000).gso(1000))
                    .gets_bytes(&reset(tcp(v, c).rst().seq(6)), &[Super]),
            ]
        }),
        case("UDP to a closed port of nobody's VIP is unreachable", |n| {
            let (c, v) = closed_port(n);
            let datagram = udp(c, v).payload_len(40);
            let answer = n.unreachable(&datagram.bytes());
            vec![
                frame(datagram.clone()).gets(answer.clone(), &[]),
                frame(datagram.partial()).gets(answer, &[]),
            ]
        }),
        case("with nobody to serve the port is unreachable, for TCP as well", |n| {
            let drain = |service, server| Op::EditDest { key: n.key(service), dest: spec(server, 0) };
            let (syn, datagram) = (tcp(n.client(), n.web()).syn(), udp(n.client(), n.dns()).payload_len(4));
            vec![
                Step::Edit(vec![
                    drain(n.web(), n.s1()),
                    drain(n.web(), n.s2()),
                    Op::DelDest { key: n.key(n.dns()), addr: n.d1() },
                    Op::DelDest { key: n.key(n.dns()), addr: n.d2() },
                ]),
                frame(syn.clone()).gets(n.unreachable(&syn.bytes()), &[]),
                frame(datagram.clone()).gets(n.unreachable(&datagram.bytes()), &[]),
                // Even where the VIP is the host's.
                Step::Host(vec![n.vip()]),
                frame(syn.clone()).gets(n.unreachable(&syn.bytes()), &[]),
            ]
        }),
        case("a transport that no service can have is dropped at nobody's VIP", |n| {
            vec![
                frame(raw(n.client().ip(), n.vip(), 47).payload_len(20))
                    .drops(DropReason::UnknownProtocol, &[]),
            ]
        }),
        case("fragments for others are passed", |n| {
            let pieces = udp(n.stranger(), n.client()).payload_len(3_000).fragments(1400);
            let bigger = udp(n.stranger(), n.client()).payload_len(3_000).ttl(65).fragments(1400);
            let both = pieces.iter().zip(&bigger);
            both.map(|(piece, after)| bytes(piece).passes_as_bytes(after)).collect()
        }),
        case("what is no packet is dropped", |n| {
            let packet = tcp(n.client(), n.web()).syn().bytes();
            let drop = |piece: &[u8]| bytes(piece).drops(DropReason::Truncated, &[]);
            let mut version = packet.clone();
            version[0] = 0x55;
            let version = bytes(&version).drops(DropReason::BadVersion, &[]);
            vec![drop(&[]), drop(&packet[..10]), drop(&packet[..packet.len() - 1]), version]
        }),
        case("a full table refuses new flows and leaves the others alone", |n| {
            let (c, d, v, s, leg, next) =
                (n.client(), n.client_port(40_001), n.web(), n.s1(), n.w1(), n.w2());
            then(
                established(n),
                vec![
                    frame(tcp(d, v).syn()).drops(DropReason::TableFull, &[]),
                    frame(tcp(c, v).seq(101).ack(901))
                        .leaves_as(tcp(c, s).seq(101).ack(901).ttl(65), &[In(leg, 1, n.tcp())]),
                    // Its own place is free once it is over.
                    frame(tcp(c, v).rst().seq(101)).leaves_as(
                        tcp(c, s).rst().seq(101).ttl(65),
                        &[In(leg, 1, n.tcp()), Active(leg, -1), Inactive(leg, 1)],
                    ),
                    frame(tcp(d, v).syn()).drops(DropReason::TableFull, &[]),
                    // The scheduler has been asked for the refused ones as well, as in the kernel.
                    frame(tcp(c, v).syn()).leaves_as(
                        tcp(c, n.s2()).syn().ttl(65),
                        &[Gone(1), Inactive(leg, -1), New(next), Active(next, 1), In(next, 1, n.tcp())],
                    ),
                ],
            )
        })
        .max_connections(1),
        case("a reply tuple that is taken sends the flow to another server", |n| {
            let (c, w, s2, leg) = (n.client(), n.web2(), n.s2(), n.x2());
            let second = frame(tcp(c, w).syn())
                .leaves_as(tcp(c, s2).syn().ttl(65), &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())]);
            then(established(n), vec![second])
        }),
        case("with no other server the flow is dropped", |n| {
            let (c, w) = (n.client(), n.web2());
            let drained = Op::EditDest { key: n.key(w), dest: spec(n.s2(), 0) };
            then(
                established(n),
                vec![
                    Step::Edit(vec![drained]),
                    frame(tcp(c, w).syn()).drops(DropReason::ReplyTupleTaken, &[]),
                ],
            )
        }),
        case("a reply tuple of a connection that is over is free", |n| {
            let (c, w, s, old, new) = (n.client(), n.web2(), n.s1(), n.w1(), n.x1());
            let second = frame(tcp(c, w).syn()).leaves_as(
                tcp(c, s).syn().ttl(65),
                &[Gone(1), Inactive(old, -1), New(new), Active(new, 1), In(new, 1, n.tcp())],
            );
            then(closed(n), vec![second])
        }),
        case("a packet from an address and port to the same begins nothing, whoever is the server", |n| {
            let v = n.web();
            let own = |addr| spec(addr, 1);
            vec![
                Step::Edit(vec![
                    Op::DelDest { key: n.key(v), addr: n.s1() },
                    Op::DelDest { key: n.key(v), addr: n.s2() },
                    Op::AddDest { key: n.key(v), dest: own(v) },
                ]),
                frame(tcp(v, v).syn()).drops(DropReason::Land, &[]),
                Step::Idle,
            ]
        }),
    ]
}
