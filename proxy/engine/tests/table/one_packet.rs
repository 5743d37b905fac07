use std::net::SocketAddr;

use engine::Knobs;
use sched::{Op, Proto, ServiceSpec};
use wire::build::{Build, udp};

use super::case::{Case, Leg, Move, Move::*, Step, case, frame, wait};
use super::net::{Net, spec};
use super::persistence::timeout;

pub(super) fn single(n: &Net, seconds: Option<u32>) -> Step {
    let persistence = seconds.and_then(|s| timeout(n, s));
    let service = ServiceSpec { one_packet: true, persistence, ..n.services().swap_remove(2) };
    Step::Edit(vec![Op::EditService { service }])
}

fn size(n: &Net) -> u64 {
    n.ip() + 8
}

/// A datagram of the usual client to this server.
fn goes_to(n: &Net, server: SocketAddr, more: &[Move]) -> Step {
    let leg = Leg(n.dns(), server);
    let moves = [&[Once(leg), In(leg, 1, size(n))], more].concat();
    frame(udp(n.client(), n.dns())).leaves_as(udp(n.client(), server).ttl(65), &moves)
}

fn answer(n: &Net, server: SocketAddr) -> Build {
    udp(server, n.client())
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("each datagram gets the next server, and nothing remembers it", |n| {
            vec![goes_to(n, n.d1(), &[]), goes_to(n, n.d2(), &[]), goes_to(n, n.d1(), &[]), Step::Idle]
        }),
        case("answers come from the VIP", |n| {
            let from = |server| {
                let moves = [Out(Leg(n.dns(), server), 1, size(n))];
                frame(answer(n, server)).leaves_as(udp(n.dns(), n.client()).ttl(65), &moves)
            };
            let other = SocketAddr::new(n.d1().ip(), 1);
            let unknown = frame(answer(n, other)).passes_as(answer(n, other).ttl(65));
            vec![goes_to(n, n.d1(), &[]), from(n.d2()), from(n.d1()), unknown, Step::Idle]
        }),
        case("in IPVS they come as they are", |n| {
            vec![frame(answer(n, n.d1())).passes_as(answer(n, n.d1()).ttl(65))]
        })
        .knobs(Knobs::ipvs()),
        case("with persistence a template decides", |n| {
            let t = Template(n.u1(), 1);
            let shown = |seconds| {
                Step::Templates(vec![(
                    Some(Proto::Udp),
                    "NONE",
                    seconds,
                    n.client_port(0),
                    n.dns(),
                    n.d1(),
                    None,
                )])
            };
            vec![
                single(n, Some(50)),
                goes_to(n, n.d1(), &[t]),
                goes_to(n, n.d1(), &[]),
                wait(20, &[]),
                shown(30),
                goes_to(n, n.d1(), &[]),
                shown(50),
                wait(52, &[Template(n.u1(), -1)]),
                Step::Templates(vec![]),
                goes_to(n, n.d2(), &[Template(n.u2(), 1)]),
            ]
        }),
        case("with nobody to serve it is refused", |n| {
            let drain = |server| Op::EditDest { key: n.key(n.dns()), dest: spec(server, 0) };
            let first = udp(n.client(), n.dns());
            vec![
                Step::Edit(vec![drain(n.d1()), drain(n.d2())]),
                frame(first.clone()).gets(n.unreachable(&first.bytes()), &[]),
            ]
        }),
        case("what does not fit the path is refused", |n| {
            let long = udp(n.client(), n.dns()).payload_len(1300);
            let quote = if n.family == sched::Family::Ipv4 { 548 } else { 1232 };
            let answer = n.too_big(1280, &long.bytes()[..quote]);
            vec![Step::Mtu(n.u1(), 1280), frame(long).gets(answer, &[]), goes_to(n, n.d2(), &[])]
        }),
    ]
    .into_iter()
    .map(|case| case.before(|n| single(n, None)))
    .collect()
}
