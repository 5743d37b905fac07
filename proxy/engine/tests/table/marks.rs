use std::net::SocketAddr;

use engine::Knobs;
use sched::marks::{MarkCounts, Match, Prefix, SetMark};
use sched::{Mark, MarkRule, Op, Proto, ServiceKey, ServiceSpec};
use wire::build::{tcp, udp};

use super::case::{Case, Leg, Move, Move::*, Step, case, frame, reset, then};
use super::ledger::as_address;
use super::net::{Net, spec};
use super::persistence::timeout;

const MARK: u32 = 0x1_0007;

fn mark(n: &Net) -> SocketAddr {
    as_address(MARK, n.family)
}

/// All that goes to the VIP, or to somebody else's address, has the mark; the servers listen on this port.
fn marked(n: &Net, seconds: Option<u32>, port: u16) -> Step {
    let key = ServiceKey::Mark { mark: Mark(MARK.try_into().expect("not 0")), family: n.family };
    let rule = |to: SocketAddr| Op::AddMark {
        rule: MarkRule {
            dest: Some(Match::is(Prefix::new(to.ip(), if to.is_ipv4() { 32 } else { 128 }).expect("a host"))),
            ..MarkRule::new(n.family, SetMark::to(MARK))
        },
        at: None,
        counts: MarkCounts::default(),
    };
    Step::Edit(vec![
        rule(n.web()),
        rule(n.stranger()),
        Op::AddService { service: service(n, key, seconds, port) },
    ])
}

/// All ports of the VIP.
fn all_ports(n: &Net) -> Step {
    let key = ServiceKey::addr(Proto::Tcp, n.vip_port(0));
    Step::Edit(vec![Op::AddService { service: service(n, key, Some(50), 0) }])
}

fn service(n: &Net, key: ServiceKey, seconds: Option<u32>, port: u16) -> ServiceSpec {
    let dests = [n.s2(), n.s1()].map(|server| spec(SocketAddr::new(server.ip(), port), 1)).to_vec();
    ServiceSpec { persistence: seconds.and_then(|s| timeout(n, s)), dests, ..ServiceSpec::new(key, "rr") }
}

fn ftp(n: &Net, seconds: Option<u32>, port: u16) -> Step {
    let key = ServiceKey::addr(Proto::Tcp, n.vip_port(21));
    Step::Edit(vec![Op::AddService { service: service(n, key, seconds, port) }])
}

fn on(server: SocketAddr, port: u16) -> SocketAddr {
    SocketAddr::new(server.ip(), port)
}

/// A client's SYN to `to` arrives at `at` by way of `leg`.
fn syn(n: &Net, from: u16, to: SocketAddr, leg: Leg, at: SocketAddr, more: &[Move]) -> Step {
    let client = n.client_port(from);
    let moves = [&[New(leg), Active(leg, 1), In(leg, 1, n.tcp())], more].concat();
    frame(tcp(client, to).syn()).leaves_as(tcp(client, at).syn().ttl(65), &moves)
}

/// A SYN that a host without a listener would refuse.
fn refused(n: &Net, from: u16, to: SocketAddr) -> Step {
    let client = n.client_port(from);
    frame(tcp(client, to).syn().seq(77)).gets_bytes(&reset(tcp(to, client).rst().ack(78)), &[])
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("a mark takes every port and protocol, before any other service", |n| {
            let legs = [n.s1(), n.s2()].map(|server| Leg(mark(n), on(server, 0)));
            let (c, bytes) = (n.client(), n.ip() + 8);
            vec![
                marked(n, None, 0),
                syn(n, 1, n.web(), legs[0], on(n.s1(), 80), &[]),
                syn(n, 1, n.vip_port(9), legs[1], on(n.s2(), 9), &[]),
                syn(n, 1, n.stranger(), legs[0], on(n.s1(), n.stranger().port()), &[]),
                frame(udp(c, n.dns())).leaves_as(
                    udp(c, on(n.s2(), 53)).ttl(65),
                    &[New(legs[1]), Inactive(legs[1], 1), In(legs[1], 1, bytes)],
                ),
                frame(udp(on(n.s2(), 53), c)).leaves_as(udp(n.dns(), c).ttl(65), &[Out(legs[1], 1, bytes)]),
            ]
        }),
        case("a mark's server on a port of its own gets everything there", |n| {
            let legs = [n.s1(), n.s2()].map(|server| Leg(mark(n), on(server, 7)));
            vec![
                marked(n, None, 7),
                syn(n, 1, n.web(), legs[0], on(n.s1(), 7), &[]),
                syn(n, 1, n.vip_port(9), legs[1], on(n.s2(), 7), &[]),
            ]
        }),
        case("a persistent mark keeps a client's ports together, and their numbers", |n| {
            let leg = Leg(mark(n), on(n.s1(), 7));
            let (c, bytes) = (n.client(), n.ip() + 8);
            vec![
                marked(n, Some(50), 7),
                syn(n, 1, n.web(), leg, on(n.s1(), 80), &[Template(leg, 1)]),
                syn(n, 1, n.vip_port(9), leg, on(n.s1(), 9), &[]),
                frame(udp(c, n.dns())).leaves_as(
                    udp(c, on(n.s1(), 53)).ttl(65),
                    &[New(leg), Inactive(leg, 1), In(leg, 1, bytes)],
                ),
                Step::Templates(vec![(None, "NONE", 50, n.client_port(0), mark(n), on(n.s1(), 0), None)]),
            ]
        }),
        case("what has no mark is not the mark's", |n| {
            let elsewhere = SocketAddr::new(n.router(), 80);
            vec![
                marked(n, None, 0),
                frame(tcp(n.client(), elsewhere).syn()).passes_as(tcp(n.client(), elsewhere).syn().ttl(65)),
            ]
        }),
        case("the service of all ports takes what no other does, on the port that was asked for", |n| {
            let leg = Leg(n.vip_port(0), on(n.s1(), 0));
            let shown =
                vec![(Some(Proto::Tcp), "NONE", 50, n.client_port(0), n.vip_port(0), on(n.s1(), 0), None)];
            vec![
                all_ports(n),
                syn(n, 1, n.vip_port(81), leg, on(n.s1(), 81), &[Template(leg, 1)]),
                syn(n, 1, n.vip_port(5000), leg, on(n.s1(), 5000), &[]),
                syn(n, 2, n.web(), n.w1(), n.s1(), &[]),
                Step::Templates(shown),
                frame(tcp(on(n.s1(), 5000), n.client_port(1)).syn().ack(1)).leaves_as(
                    tcp(n.vip_port(5000), n.client_port(1)).syn().ack(1).ttl(65),
                    &[Out(leg, 1, n.tcp())],
                ),
            ]
        }),
        case("data of FTP follows its control connection", |n| {
            let leg = Leg(n.vip_port(21), on(n.s1(), 2121));
            let shown =
                vec![(Some(Proto::Tcp), "NONE", 50, n.client_port(0), n.vip_port(0), on(n.s1(), 0), None)];
            vec![
                ftp(n, Some(50), 2121),
                syn(n, 1, n.vip_port(21), leg, on(n.s1(), 2121), &[Template(leg, 1)]),
                // Passive.
                syn(n, 2, n.vip_port(3000), leg, on(n.s1(), 3000), &[]),
                refused(n, 3, n.vip_port(1023)),
                Step::Templates(shown),
                // Active, past us on the way to the client: its answer to port 20.
                frame(tcp(n.client_port(4), n.vip_port(20)).syn().ack(1)).leaves_as(
                    tcp(n.client_port(4), on(n.s1(), 20)).syn().ack(1).ttl(65),
                    &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())],
                ),
            ]
        }),
        case("without persistence FTP has its control port only", |n| {
            let leg = Leg(n.vip_port(21), on(n.s1(), 21));
            vec![
                ftp(n, None, 21),
                syn(n, 1, n.vip_port(21), leg, on(n.s1(), 21), &[]),
                refused(n, 2, n.vip_port(3000)),
                // It comes before the service of all ports, and is passed.
                all_ports(n),
                refused(n, 3, n.vip_port(3000)),
                Step::Host(vec![n.vip()]),
                frame(tcp(n.client_port(4), n.vip_port(3000)).syn()).passes(),
            ]
        }),
        case("FTP and all ports share a template", |n| {
            let (control, rest) = (Leg(n.vip_port(21), on(n.s1(), 21)), Leg(n.vip_port(0), on(n.s1(), 0)));
            // The connection is the one service's, the server's as the other has it.
            let syn = frame(tcp(n.client_port(2), n.vip_port(81)).syn()).leaves_as(
                tcp(n.client_port(2), on(n.s1(), 81)).syn().ttl(65),
                &[NewAs(rest, control), Active(control, 1), InAs(rest, control, 1, n.tcp())],
            );
            vec![
                ftp(n, Some(50), 21),
                all_ports(n),
                self::syn(n, 1, n.vip_port(21), control, on(n.s1(), 21), &[Template(control, 1)]),
                syn,
            ]
        }),
        case("nothing begins at the data port of FTP", |n| {
            let (c, bytes) = (n.client_port(20), n.ip() + 8);
            vec![
                refused(n, 20, n.web()),
                frame(udp(c, n.dns())).gets(n.unreachable(&udp(c, n.dns()).bytes()), &[]),
                Step::Host(vec![n.vip()]),
                frame(tcp(c, n.web()).syn()).passes(),
                frame(udp(n.client(), n.dns())).leaves_as(
                    udp(n.client(), n.d1()).ttl(65),
                    &[New(n.u1()), Inactive(n.u1(), 1), In(n.u1(), 1, bytes)],
                ),
            ]
        })
        .knobs(Knobs::default()),
        case("a server without a port of its own gets the port that was asked for", |n| {
            let edit = Step::Edit(vec![
                Op::DelDest { key: n.key(n.web()), addr: n.s1() },
                Op::DelDest { key: n.key(n.web()), addr: n.s2() },
                Op::AddDest { key: n.key(n.web()), dest: spec(on(n.s1(), 0), 1) },
            ]);
            let leg = Leg(n.web(), on(n.s1(), 0));
            then(vec![edit], vec![syn(n, 1, n.web(), leg, on(n.s1(), 80), &[])])
        }),
    ]
}
