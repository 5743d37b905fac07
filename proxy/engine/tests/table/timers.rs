use std::time::Duration;

use super::case::{Case, Move::*, Step, case, frame, then, wait, wait_millis};
use super::net::Net;
use super::tcp::{closed, established};
use engine::{Defence, Knobs, State};
use wire::build::{Build, tcp, udp};

/// The connection is in `state` now, ends in `seconds` and no earlier, and leaves nothing behind.
fn ends(n: &Net, state: State, seconds: u64, gone: [super::case::Move; 2]) -> Vec<Step> {
    vec![
        Step::Shows(n.client(), state, seconds),
        wait_millis(seconds * 1000 - 1, &[]),
        wait_millis(1001, &gone),
        // Stale entries may wait for their second.
        wait(128, &[]),
        Step::Idle,
    ]
}

fn up(n: &Net, packet: fn(Build) -> Build, moves: &[super::case::Move]) -> Step {
    let moves = [&[In(n.w1(), 1, n.tcp())], moves].concat();
    frame(packet(tcp(n.client(), n.web()))).leaves_as(packet(tcp(n.client(), n.s1())).ttl(65), &moves)
}

fn down(n: &Net, packet: fn(Build) -> Build, moves: &[super::case::Move]) -> Step {
    let moves = [&[Out(n.w1(), 1, n.tcp())], moves].concat();
    frame(packet(tcp(n.s1(), n.client()))).leaves_as(packet(tcp(n.web(), n.client())).ttl(65), &moves)
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("nothing to wait for, no timer", |_| vec![Step::Idle]),
        case("SYN_RECV", |n| {
            let leg = n.w1();
            let syn = up(n, Build::syn, &[New(leg), Active(leg, 1)]);
            then(vec![syn], ends(n, State::SynRecv, 60, [Gone(1), Active(leg, -1)]))
        }),
        case("ESTABLISHED", |n| {
            then(established(n), ends(n, State::Established, 900, [Gone(1), Active(n.w1(), -1)]))
        }),
        case("CLOSE_WAIT", |n| {
            let leg = n.w1();
            let fin = up(n, Build::fin, &[Active(leg, -1), Inactive(leg, 1)]);
            let ends = ends(n, State::CloseWait, 60, [Gone(1), Inactive(leg, -1)]);
            then(then(established(n), vec![fin]), ends)
        }),
        case("FIN_WAIT", |n| {
            let leg = n.w1();
            let fin = down(n, Build::fin, &[Active(leg, -1), Inactive(leg, 1)]);
            let ends = ends(n, State::FinWait, 120, [Gone(1), Inactive(leg, -1)]);
            then(then(established(n), vec![fin]), ends)
        }),
        case("TIME_WAIT, and SYN_SENT out of it", |n| {
            let leg = n.w1();
            let fins = vec![
                up(n, Build::fin, &[Active(leg, -1), Inactive(leg, 1)]),
                down(n, Build::fin, &[]),
                Step::Shows(n.client(), State::TimeWait, 120),
                wait(100, &[]),
                down(n, Build::syn, &[Active(leg, 1), Inactive(leg, -1)]),
            ];
            let ends = ends(n, State::SynSent, 120, [Gone(1), Active(leg, -1)]);
            then(then(established(n), fins), ends)
        }),
        case("CLOSE, at once after the handshake", |n| {
            then(closed(n), ends(n, State::Close, 10, [Gone(1), Inactive(n.w1(), -1)]))
        }),
        case("CLOSE, after a timer of 900 s has been running for long", |n| {
            let leg = n.w1();
            let reset = up(n, Build::rst, &[Active(leg, -1), Inactive(leg, 1)]);
            let ends = ends(n, State::Close, 10, [Gone(1), Inactive(leg, -1)]);
            then(then(established(n), vec![wait_millis(50_500, &[]), reset]), ends)
        }),
        case("UDP", |n| {
            let (c, v, s, leg) = (n.client(), n.dns(), n.d1(), n.u1());
            let first = frame(udp(c, v))
                .leaves_as(udp(c, s).ttl(65), &[New(leg), Inactive(leg, 1), In(leg, 1, n.ip() + 8)]);
            then(vec![first], ends(n, State::Udp, 300, [Gone(1), Inactive(leg, -1)]))
        }),
        case("timeouts that an operator sets count from the next packet on", |n| {
            let set = |tcp, fin, udp| {
                let [tcp_timeout, tcp_fin_timeout, udp_timeout] = [tcp, fin, udp].map(Duration::from_secs);
                Step::Knobs(Knobs { tcp_timeout, tcp_fin_timeout, udp_timeout, ..Knobs::ipvs() })
            };
            let (c, leg) = (n.client(), n.w1());
            let steps = vec![
                set(7, 5, 3),
                Step::Shows(c, State::Established, 900),
                up(n, |build| build.ack(1), &[]),
                Step::Shows(c, State::Established, 7),
                down(n, Build::fin, &[Active(leg, -1), Inactive(leg, 1)]),
                Step::Shows(c, State::FinWait, 5),
                set(7, 50, 3),
                Step::Shows(c, State::FinWait, 5),
                wait(6, &[Gone(1), Inactive(leg, -1)]),
                frame(udp(c, n.dns())).leaves_as(
                    udp(c, n.d1()).ttl(65),
                    &[New(n.u1()), Inactive(n.u1(), 1), In(n.u1(), 1, n.ip() + 8)],
                ),
            ];
            let ends = ends(n, State::Udp, 3, [Gone(1), Inactive(n.u1(), -1)]);
            then(then(established(n), steps), ends)
        }),
        case(
            "with secure_tcp a connection counts as established when the server has said more than SYN and ACK",
            |n| {
                let (c, leg) = (n.client(), n.w1());
                let guarded = Knobs { secure_tcp: Defence::Always, ..Knobs::ipvs() };
                vec![
                    Step::Knobs(guarded),
                    up(n, Build::syn, &[New(leg), Active(leg, 1)]),
                    down(n, |build| build.syn().ack(1), &[]),
                    Step::Shows(c, State::SynAck, 120),
                    up(n, |build| build.ack(1), &[]),
                    Step::Shows(c, State::SynAck, 120),
                    down(n, |build| build.ack(1), &[]),
                    Step::Shows(c, State::Established, 900),
                ]
            },
        ),
        case("packets of both directions start the timer again", |n| {
            let (leg, ack) = (n.w1(), |build: Build| build.ack(1));
            let wait_long = || wait(899, &[]);
            let steps = vec![wait_long(), up(n, ack, &[]), wait_long(), down(n, ack, &[]), wait_long()];
            then(then(established(n), steps), vec![wait(2, &[Gone(1), Active(leg, -1)])])
        }),
        case("a long sleep is caught up with", |n| {
            then(established(n), vec![wait(10_000_000, &[Gone(1), Active(n.w1(), -1)]), Step::Idle])
        }),
        case("after its end a connection is unknown", |n| {
            let (c, v, leg) = (n.client(), n.web(), n.w1());
            then(
                established(n),
                vec![
                    wait(901, &[Gone(1), Active(leg, -1)]),
                    Step::Host(vec![n.vip()]),
                    frame(tcp(c, v).seq(101).ack(901)).passes(),
                ],
            )
        }),
    ]
}
