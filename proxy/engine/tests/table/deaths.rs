//! What becomes of the connections of a server that has died, and what clients meet before that.

use engine::{Knobs, State};
use sched::{OnDown, Op};
use wire::build::{self, Build, tcp, udp};

use super::case::{Case, Move, Move::*, Step, case, frame, reset, resets, then, wait, wait_millis};
use super::net::{Net, spec};
use super::persistence::{open, syn};
use super::tcp::{closed, established};

/// The first server takes no more connections.
fn out(n: &Net) -> Step {
    Step::Edit(vec![Op::EditDest { key: n.key(n.web()), dest: spec(n.s1(), 0) }])
}

/// A SYN of the usual client that the first server gets: the first one, or another.
fn asks(n: &Net, seq: u32, moves: &[Move]) -> Step {
    let moves = [moves, &[In(n.w1(), 1, n.tcp())]].concat();
    frame(tcp(n.client(), n.web()).syn().seq(seq))
        .leaves_as(tcp(n.client(), n.s1()).syn().seq(seq).ttl(65), &moves)
}

fn begins(n: &Net) -> Step {
    asks(n, 100, &[New(n.w1()), Active(n.w1(), 1)])
}

/// The same client's SYN, which the second server gets.
fn begins_anew(n: &Net, gone: &[Move]) -> Step {
    let moves = [gone, &[New(n.w2()), Active(n.w2(), 1), In(n.w2(), 1, n.tcp())]].concat();
    frame(tcp(n.client(), n.web()).syn().seq(100))
        .leaves_as(tcp(n.client(), n.s2()).syn().seq(100).ttl(65), &moves)
}

/// What the server says to it.
fn says(n: &Net, packet: fn(Build) -> Build, moves: &[Move]) -> Step {
    let moves = [moves, &[Out(n.w1(), 1, n.tcp())]].concat();
    frame(packet(tcp(n.s1(), n.client()))).leaves_as(packet(tcp(n.web(), n.client())).ttl(65), &moves)
}

fn gone(n: &Net) -> [Move; 2] {
    [Gone(1), Active(n.w1(), -1)]
}

/// A datagram of the usual client to one of the servers, and its flow's moves.
fn datagram(n: &Net, second: bool) -> Step {
    let (leg, server) = if second { (n.u2(), n.d2()) } else { (n.u1(), n.d1()) };
    let moves = [New(leg), Inactive(leg, 1), In(leg, 1, n.ip() + 8)];
    frame(udp(n.client(), n.dns())).leaves_as(udp(n.client(), server).ttl(65), &moves)
}

/// An error about what the client has sent to the first server.
fn error(
    n: &Net,
    about: fn(std::net::SocketAddr, std::net::SocketAddr) -> Build,
    of: fn(std::net::IpAddr, std::net::IpAddr, &[u8]) -> Build,
) -> Step {
    let (sent, known) = (about(n.client(), n.s1()).bytes(), about(n.client(), n.web()).bytes());
    let arrives = of(n.s1().ip(), n.client().ip(), &sent);
    let bytes = arrives.bytes().len() as u64;
    frame(arrives).leaves_as(of(n.vip(), n.client().ip(), &known).ttl(65), &[Out(n.w1(), 1, bytes)])
}

fn met(n: &Net, all: [u64; 4]) -> Step {
    Step::Met(n.w1(), all)
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("of a dead server's connection both ends are told", |n| {
            let told = resets(&[(n.web(), n.client(), 901, 101), (n.client(), n.s1(), 101, 901)]);
            let steps = vec![out(n), Step::Dies(n.w1(), OnDown::Reset, 1), wait(0, &gone(n)), told];
            then(established(n), steps)
        }),
        case("or nobody, and who goes on is told then", |n| {
            let refused = frame(tcp(n.client(), n.web()).seq(101).ack(901))
                .gets_bytes(&reset(tcp(n.web(), n.client()).rst().seq(901)), &[]);
            let steps = vec![out(n), Step::Dies(n.w1(), OnDown::Move, 1), wait(0, &gone(n)), refused];
            then(established(n), steps)
        }),
        case("or it goes on", |n| {
            let on = frame(tcp(n.client(), n.web()).seq(101).ack(901))
                .leaves_as(tcp(n.client(), n.s1()).seq(101).ack(901).ttl(65), &[In(n.w1(), 1, n.tcp())]);
            then(established(n), vec![out(n), Step::Dies(n.w1(), OnDown::Keep, 0), wait(1, &[]), on])
        }),
        case("connections of others are none of it", |n| {
            let other = frame(tcp(n.client_port(40_001), n.web()).syn()).leaves_as(
                tcp(n.client_port(40_001), n.s2()).syn().ttl(65),
                &[New(n.w2()), Active(n.w2(), 1), In(n.w2(), 1, n.tcp())],
            );
            let told = resets(&[(n.web(), n.client(), 901, 101), (n.client(), n.s1(), 101, 901)]);
            let dies = |n: &Net, count| Step::Dies(n.w1(), OnDown::Reset, count);
            then(established(n), vec![other, dies(n, 1), wait(0, &gone(n)), told, dies(n, 0), wait(1, &[])])
        }),
        case(
            "a handshake that was not over is forgotten, and the client's next SYN gets another server",
            |n| {
                let steps = [OnDown::Reset, OnDown::Move].map(|how| Step::Dies(n.w1(), how, 1));
                let [first, _] = steps;
                vec![begins(n), out(n), first, wait(0, &gone(n)), begins_anew(n, &[])]
            },
        ),
        case("a SYN waits for no dead server, though nobody has come yet to forget it", |n| {
            vec![begins(n), out(n), Step::Dies(n.w1(), OnDown::Keep, 0), begins_anew(n, &gone(n))]
        }),
        case("one amid a connection that is kept does", |n| {
            then(
                established(n),
                vec![out(n), Step::Dies(n.w1(), OnDown::Keep, 0), asks(n, 100, &[]), wait(1, &[])],
            )
        }),
        case("who has begun again on an old connection is not told of its end either", |n| {
            let again = asks(n, 7_000, &[Active(n.w1(), 1), Inactive(n.w1(), -1)]);
            let steps = vec![
                again,
                Step::Shows(n.client(), State::SynRecv, 60),
                Step::Dies(n.w1(), OnDown::Reset, 1),
                wait(0, &gone(n)),
                resets(&[(n.client(), n.s1(), 101, 901), (n.client(), n.s1(), 7_001, 901)]),
            ];
            then(closed(n), steps)
        })
        .knobs(Knobs { reuse_ports: false, conn_reuse_mode: 0, ..Knobs::default() }),
        case("datagrams go to another server whatever becomes of connections", |n| {
            let dies = |how| Step::Dies(n.u1(), how, 1);
            let moves = [Gone(1), Inactive(n.u1(), -1)];
            vec![datagram(n, false), dies(OnDown::Keep), wait(0, &moves), datagram(n, true)]
        }),
        case("a client comes back to no dead server", |n| {
            let away = syn(n, n.client_port(1), n.w2(), &[Template(n.w1(), -1), Template(n.w2(), 1)]);
            let stays = syn(n, n.client_port(2), n.w2(), &[]);
            then(open(n, 50), vec![out(n), Step::Dies(n.w1(), OnDown::Keep, 0), away, stays])
        }),
        case("an answer to a SYN counts once", |n| {
            then(established(n), vec![met(n, [1, 0, 0, 0]), wait(902, &gone(n)), met(n, [1, 0, 0, 0])])
        })
        .knobs(Knobs::ipvs()),
        case("a SYN that is reset is refused, a connection that is reset is not", |n| {
            let moves = [Active(n.w1(), -1), Inactive(n.w1(), 1)];
            vec![
                begins(n),
                says(n, |b| b.rst().ack(101), &moves),
                says(n, |b| b.rst().ack(101), &[]),
                met(n, [0, 1, 0, 1]),
                wait(11, &[Gone(1), Inactive(n.w1(), -1)]),
                met(n, [0, 1, 0, 1]),
            ]
        }),
        case("after the handshake a reset refuses nothing", |n| then(closed(n), vec![met(n, [1, 0, 0, 0])])),
        case(
            "a SYN that comes again has not been answered, which counts once, and one that was doubled is none",
            |n| {
                let (v, c) = (n.web(), n.client());
                let answer = frame(tcp(n.s1(), c).syn().seq(900).ack(101))
                    .leaves_as(tcp(v, c).syn().seq(900).ack(101).ttl(65), &[Out(n.w1(), 1, n.tcp())]);
                vec![
                    begins(n),
                    wait_millis(199, &[]),
                    asks(n, 100, &[]),
                    met(n, [0, 0, 0, 0]),
                    wait_millis(801, &[]),
                    asks(n, 100, &[]),
                    met(n, [0, 0, 1, 1]),
                    wait(2, &[]),
                    asks(n, 100, &[]),
                    met(n, [0, 0, 1, 1]),
                    answer,
                    met(n, [1, 0, 1, 0]),
                    asks(n, 100, &[]),
                    wait(1, &[]),
                    asks(n, 100, &[]),
                    met(n, [1, 0, 1, 0]),
                ]
            },
        ),
        case("a SYN that nobody answers counts at its end", |n| {
            vec![begins(n), wait(59, &[]), met(n, [0; 4]), wait(3, &gone(n)), met(n, [0, 0, 1, 1])]
        }),
        case("if it has not counted before", |n| {
            vec![begins(n), wait(1, &[]), asks(n, 100, &[]), wait(62, &gone(n)), met(n, [0, 0, 1, 1])]
        }),
        case("failures are in a row until somebody is answered", |n| {
            let (mut steps, moves) = (Vec::new(), [Active(n.w1(), -1), Inactive(n.w1(), 1)]);
            for in_a_row in 1..=3 {
                steps.extend([begins(n), says(n, |b| b.rst().ack(101), &moves)]);
                steps
                    .extend([met(n, [0, in_a_row, 0, in_a_row]), wait(11, &[Gone(1), Inactive(n.w1(), -1)])]);
                // The second server's turn.
                steps.push(Step::Edit(vec![Op::EditDest { key: n.key(n.web()), dest: spec(n.s2(), 0) }]));
            }
            then(steps, then(established(n), vec![met(n, [1, 3, 0, 0])]))
        }),
        case("an error that says that nobody is there refuses a SYN, once, and no connection", |n| {
            let about_syn = || error(n, |from, to| tcp(from, to).syn().seq(100), build::unreachable_port);
            vec![begins(n), about_syn(), about_syn(), met(n, [0, 1, 0, 1])]
        }),
        case("not so an error of another kind", |n| {
            let about_syn = |of| error(n, |from, to| tcp(from, to).syn().seq(100), of);
            let too_big = |from, to, quote: &[u8]| build::too_big(from, to, 1290, quote);
            vec![begins(n), about_syn(build::time_exceeded), about_syn(too_big), met(n, [0; 4])]
        }),
        case("nor one about a connection", |n| {
            let about = error(n, |from, to| tcp(from, to).seq(101).ack(901), build::unreachable_port);
            then(established(n), vec![about, met(n, [1, 0, 0, 0])])
        }),
        case("nor a client's about an answer", |n| {
            let (v, c, s, leg) = (n.web(), n.client(), n.s1(), n.w1());
            let (sent, known) = (tcp(v, c).syn().ack(101).bytes(), tcp(s, c).syn().ack(101).bytes());
            let arrives = build::unreachable_port(c.ip(), v.ip(), &sent);
            let bytes = arrives.bytes().len() as u64;
            let gets = build::unreachable_port(c.ip(), s.ip(), &known).ttl(65);
            vec![begins(n), frame(arrives).leaves_as(gets, &[In(leg, 1, bytes)]), met(n, [0; 4])]
        }),
        case("each datagram that finds nobody is refused, in a row until the server says something", |n| {
            let (c, v, s, leg) = (n.client(), n.dns(), n.d1(), n.u1());
            let refused = || {
                let arrives = build::unreachable_port(s.ip(), c.ip(), &udp(c, s).bytes());
                let bytes = arrives.bytes().len() as u64;
                frame(arrives).leaves_as(
                    build::unreachable_port(v.ip(), c.ip(), &udp(c, v).bytes()).ttl(65),
                    &[Out(leg, 1, bytes)],
                )
            };
            let answer = frame(udp(s, c)).leaves_as(udp(v, c).ttl(65), &[Out(leg, 1, n.ip() + 8)]);
            let met = |all| Step::Met(leg, all);
            vec![
                datagram(n, false),
                refused(),
                refused(),
                met([0, 2, 0, 2]),
                answer,
                refused(),
                met([0, 3, 0, 1]),
            ]
        }),
    ]
}
