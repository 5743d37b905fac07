use engine::{DropReason, Knobs, State};
use sched::Op;
use wire::build::{tcp, udp};

use super::case::{Case, Move::*, Step, case, frame, reset, resets, then, wait};
use super::net::Net;
use super::tcp::{closed, established};

fn remove(n: &Net) -> Step {
    Step::Edit(vec![Op::DelDest { key: n.key(n.web()), addr: n.s1() }])
}

/// Both ends of the established connection are told.
fn both(n: &Net) -> Step {
    resets(&[(n.web(), n.client(), 901, 101), (n.client(), n.s1(), 101, 901)])
}

fn end(n: &Net) -> [super::case::Move; 2] {
    [Gone(1), Active(n.w1(), -1)]
}

/// The client closes its half: CLOSE_WAIT.
fn half_closed(n: &Net) -> Vec<Step> {
    let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
    let fin = frame(tcp(c, v).fin().seq(101).ack(901)).leaves_as(
        tcp(c, s).fin().seq(101).ack(901).ttl(65),
        &[In(leg, 1, n.tcp()), Active(leg, -1), Inactive(leg, 1)],
    );
    then(established(n), vec![fin])
}

/// A SYN of the usual client that gets the second server.
fn moves_on(n: &Net, seq: u32, gone: &[super::case::Move]) -> Step {
    let (c, v, s2, new) = (n.client(), n.web(), n.s2(), n.w2());
    let moves = [gone, &[New(new), Active(new, 1), In(new, 1, n.tcp())]].concat();
    frame(tcp(c, v).syn().seq(seq)).leaves_as(tcp(c, s2).syn().seq(seq).ttl(65), &moves)
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("a connection that is idle for too long is reset at both ends", |n| {
            then(established(n), vec![wait(902, &end(n)), both(n), Step::Idle])
        }),
        case("or ends in silence, where that is wanted", |n| then(established(n), vec![wait(902, &end(n))]))
            .knobs(Knobs::ipvs()),
        case("what was on its way is taken for both lost and received", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let data = frame(tcp(c, v).seq(101).ack(901).payload_len(50))
                .leaves_as(tcp(c, s).seq(101).ack(901).payload_len(50).ttl(65), &[In(leg, 1, n.tcp() + 50)]);
            let told = resets(&[(v, c, 901, 151), (c, s, 101, 901), (c, s, 151, 901)]);
            then(established(n), vec![data, wait(902, &end(n)), told])
        }),
        case("who has acknowledged nothing is not bothered", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            vec![
                frame(tcp(c, v).syn().seq(100)).leaves_as(
                    tcp(c, s).syn().seq(100).ttl(65),
                    &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())],
                ),
                frame(tcp(s, c).syn().seq(900).ack(101))
                    .leaves_as(tcp(v, c).syn().seq(900).ack(101).ttl(65), &[Out(leg, 1, n.tcp())]),
                wait(62, &end(n)),
                resets(&[(c, s, 101, 901)]),
            ]
        }),
        case("a half-closed connection is reset too, one that is over is not", |n| {
            let told = resets(&[
                (n.web(), n.client(), 901, 102),
                (n.client(), n.s1(), 101, 901),
                (n.client(), n.s1(), 102, 901),
            ]);
            let gone = [Gone(1), Inactive(n.w1(), -1)];
            let mut steps = then(half_closed(n), vec![wait(62, &gone), told]);
            steps.push(Step::Edit(vec![Op::DelDest { key: n.key(n.web()), addr: n.s2() }]));
            then(steps, then(closed(n), vec![wait(12, &gone)]))
        }),
        case("with its server a connection ends", |n| {
            let stops = frame(tcp(n.client(), n.web()).seq(101).ack(901)).drops(DropReason::DestRemoved, &[]);
            let steps = vec![Step::Orphans(0), remove(n), stops, Step::Orphans(1), wait(0, &end(n)), both(n)];
            then(established(n), then(steps, vec![Step::Orphans(0)]))
        }),
        case("or waits in silence for the server to come back", |n| {
            then(established(n), vec![remove(n), Step::Orphans(0)])
        })
        .knobs(Knobs::ipvs()),
        case("with expire_nodest_conn it ends, and nobody is told", |n| {
            then(established(n), vec![remove(n), Step::Orphans(1), wait(0, &end(n))])
        })
        .knobs(Knobs { expire_nodest_conn: true, ..Knobs::ipvs() }),
        case("with expire_nodest_conn a packet of it is one of an unknown connection", |n| {
            let (c, v) = (n.client(), n.web());
            let refused =
                frame(tcp(c, v).seq(101).ack(901)).gets_bytes(&reset(tcp(v, c).rst().seq(901)), &end(n));
            then(established(n), vec![remove(n), refused])
        })
        .knobs(Knobs { expire_nodest_conn: true, ..Knobs::ipvs() }),
        case("all connections of a server are ended, those of others are not", |n| {
            let (d, leg) = (n.client_port(40_001), n.w2());
            let other = frame(tcp(d, n.web()).syn())
                .leaves_as(tcp(d, n.s2()).syn().ttl(65), &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())]);
            let steps =
                vec![other, Step::Reset(n.w1(), 1), wait(0, &end(n)), both(n), Step::Reset(n.w1(), 0)];
            then(established(n), steps)
        })
        .knobs(Knobs::ipvs()),
        case("a client that has forgotten its connection gets another one at once", |n| {
            let gone = [Gone(1), Inactive(n.w1(), -1)];
            let told = resets(&[(n.client(), n.s1(), 101, 901), (n.client(), n.s1(), 102, 901)]);
            then(half_closed(n), vec![moves_on(n, 7_000, &gone), told])
        }),
        case("a SYN that comes late begins nothing", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let late = frame(tcp(c, v).syn().seq(100)).leaves_as(
                tcp(c, s).syn().seq(100).ttl(65),
                &[In(leg, 1, n.tcp()), Active(leg, 1), Inactive(leg, -1)],
            );
            then(half_closed(n), vec![late, Step::Shows(c, State::SynRecv, 60)])
        }),
        case("IPVS sends a new SYN to the old server unless the connection is over", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let again = frame(tcp(c, v).syn().seq(7_000)).leaves_as(
                tcp(c, s).syn().seq(7_000).ttl(65),
                &[In(leg, 1, n.tcp()), Active(leg, 1), Inactive(leg, -1)],
            );
            then(half_closed(n), vec![again])
        })
        .knobs(Knobs::ipvs()),
        case("with conn_reuse_mode 0 it goes to the old server even then", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let again = frame(tcp(c, v).syn().seq(7_000)).leaves_as(
                tcp(c, s).syn().seq(7_000).ttl(65),
                &[In(leg, 1, n.tcp()), Active(leg, 1), Inactive(leg, -1)],
            );
            then(closed(n), vec![again])
        })
        .knobs(Knobs { conn_reuse_mode: 0, ..Knobs::ipvs() }),
        case("a client whose server is gone begins anew", |n| {
            let told = resets(&[(n.client(), n.s1(), 101, 901)]);
            then(established(n), vec![remove(n), moves_on(n, 7_000, &end(n)), told])
        }),
        case("with expire_nodest_conn a new SYN leaves a server of weight 0, whatever the state", |n| {
            let drain = Op::EditDest { key: n.key(n.web()), dest: super::net::spec(n.s1(), 0) };
            then(established(n), vec![Step::Edit(vec![drain]), moves_on(n, 7_000, &end(n))])
        })
        .knobs(Knobs { expire_nodest_conn: true, ..Knobs::ipvs() }),
        case("a UDP flow leaves a removed server with its next packet", |n| {
            let (c, v, one, two) = (n.client(), n.dns(), n.u1(), super::case::Leg(n.dns(), n.d2()));
            let first = frame(udp(c, v))
                .leaves_as(udp(c, n.d1()).ttl(65), &[New(one), Inactive(one, 1), In(one, 1, n.ip() + 8)]);
            let gone = Step::Edit(vec![Op::DelDest { key: n.key(v), addr: n.d1() }]);
            let moves = [Gone(1), Inactive(one, -1), New(two), Inactive(two, 1), In(two, 1, n.ip() + 8)];
            vec![first, gone, Step::Orphans(0), frame(udp(c, v)).leaves_as(udp(c, n.d2()).ttl(65), &moves)]
        }),
        case("with sloppy_tcp a connection begins with any packet but a reset", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            vec![
                frame(tcp(c, v).rst().seq(1)).drops(DropReason::Unanswerable, &[]),
                frame(tcp(c, v).seq(1).ack(1)).leaves_as(
                    tcp(c, s).seq(1).ack(1).ttl(65),
                    &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())],
                ),
                Step::Shows(c, State::Established, 900),
            ]
        })
        .knobs(Knobs { sloppy_tcp: true, ..Knobs::default() }),
    ]
}
