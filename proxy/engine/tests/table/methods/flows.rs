//! What is forwarded.

use engine::DropReason;
use sched::{Family, Proto};
use wire::build::{self, Build};

use super::Steps;
use super::talk::Load;
use crate::case::{Move, Step, bytes, frame, then};

pub(super) const CASES: &[(&str, Steps)] = &[
    ("the first packet begins a connection", |t| {
        let first = t.first();
        match t.load {
            Load::Whole => Some(vec![t.begins()]),
            Load::Partial => {
                Some(vec![t.up(|from, to| first(from, to).partial(), &t.counted_first(t.leg()))])
            }
            Load::Super => None,
        }
    }),
    ("later packets follow it", |t| {
        let later = || t.up(t.data(t.usual()), &t.counted_in(t.usual()));
        Some(vec![t.begins(), later(), later()])
    }),
    ("answers come from the service", |t| {
        let answer = t.down(t.data(t.usual()), &t.counted_out(t.usual()))?;
        Some(vec![t.begins(), answer])
    }),
    ("an answer that would go its own way, but comes by, goes on and counts", |t| {
        if t.net.method.sees_replies() {
            return None;
        }
        let answer = t.data(t.usual())(t.service(), t.client());
        let step = frame(answer.clone()).leaves_as(answer.ttl(65), &t.counted_out(t.usual()));
        Some(vec![t.begins(), step])
    }),
    ("a packet with nothing in it, or one byte", |t| {
        let lens: &[usize] = match (t.proto, t.load) {
            (_, Load::Super) => return None,
            (Proto::Sctp, _) => &[4, 8],
            _ => &[0, 1],
        };
        Some(then(vec![t.begins()], lens.iter().map(|len| t.up(t.data(*len), &t.counted_in(*len))).collect()))
    }),
    ("the longest packet", |t| {
        let len = match (t.proto, t.load) {
            (Proto::Sctp, _) => 9000,
            (_, Load::Super) => 65_535 - t.headers(),
            _ => 1500 - t.headers(),
        };
        Some(vec![t.begins(), t.up(t.data(len), &t.counted_in(len))])
    }),
    ("another port of the client is another connection", |t| {
        if t.load != Load::Whole {
            return None;
        }
        let (second, port) = (t.second(), t.net.client_port(40_001));
        Some(vec![t.begins(), t.up_to(second, port, t.first(), &t.counted_first(second))])
    }),
    ("type of service and congestion marks stay", |t| {
        let data = t.data(t.usual());
        let marked = move |from, to| data(from, to).class(0xb9 | 3);
        Some(vec![t.begins(), t.up(marked, &t.counted_in(t.usual()))])
    }),
    ("type of service and congestion marks of answers stay", |t| {
        let data = t.data(t.usual());
        let marked = move |from, to| data(from, to).class(0xb9 | 3);
        Some(vec![t.begins(), t.down(marked, &t.counted_out(t.usual()))?])
    }),
    ("a checksum that was wrong stays wrong", |t| {
        if t.load != Load::Whole {
            return None;
        }
        let data = t.data(t.usual());
        let damaged = |build: Build| {
            let mut bytes = build.bytes();
            let last = bytes.len() - 1;
            bytes[last] ^= 0x10;
            bytes
        };
        let leaves = t.rewritten(t.leg(), t.client(), &data).ttl(t.hops(64));
        let step = bytes(&damaged(data(t.client(), t.service())));
        let step = step.leaves_as_bytes(t.egress(), &damaged(leaves), &t.counted_in(t.usual()));
        let outer = t.outer(t.leg(), &data(t.client(), t.service()).bytes());
        Some(vec![t.begins(), step.inside(outer)])
    }),
    ("no checksum stays none", |t| {
        if (t.proto, t.load, t.net.family) != (Proto::Udp, Load::Whole, Family::Ipv4) {
            return None;
        }
        let none = |from, to| build::udp(from, to).payload_len(77).no_checksum();
        Some(vec![t.begins(), t.up(none, &t.counted_in(77))])
    }),
    ("options of IP stay", |t| {
        let (data, family) = (t.data(t.usual()), t.net.family);
        let with = move |from, to| match family {
            Family::Ipv4 => data(from, to).ipv4_options(&[7, 7, 4, 0, 0, 0, 0, 0]),
            Family::Ipv6 => data(from, to).extension(60, &[1, 4, 0, 0, 0, 0]),
        };
        Some(vec![t.begins(), t.up(with, &longer(t.counted_in(t.usual()), 8))])
    }),
    ("options of TCP stay", |t| {
        let data = t.data(t.usual());
        let with = move |from, to| data(from, to).tcp_options(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
        (t.proto == Proto::Tcp).then(|| vec![t.begins(), t.up(with, &longer(t.counted_in(t.usual()), 12))])
    }),
    ("a packet that may be fragmented stays so", |t| {
        let data = t.data(t.usual());
        let may = move |from, to| data(from, to).may_fragment().id(99);
        (t.net.family == Family::Ipv4).then(|| vec![t.begins(), t.up(may, &t.counted_in(t.usual()))])
    }),
    ("the server resets", |t| {
        if (t.proto, t.load) != (Proto::Tcp, Load::Whole) {
            return None;
        }
        let reset = |from, to| build::tcp(from, to).rst().seq(901);
        let moves =
            [Move::Out(t.leg(), 1, t.net.tcp()), Move::Active(t.leg(), -1), Move::Inactive(t.leg(), 1)];
        Some(vec![t.begins(), t.down(reset, &moves)?])
    }),
    ("even the last hop is enough", |t| {
        let (data, last) = (t.data(t.usual()), t.hops(1));
        let (arrives, leaves) =
            (data(t.client(), t.service()).ttl(1), t.rewritten(t.leg(), t.client(), &data).ttl(last));
        let outer = t.outer(t.leg(), &arrives.bytes());
        let step = frame(arrives).leaves_by(t.egress(), leaves, &t.counted_in(t.usual()));
        Some(vec![t.begins(), step.inside(outer)])
    }),
    (
        "straight from a link: whoever sends it on takes the hop, past the host's stack that is done here",
        |t| {
            let data = t.data(t.usual());
            let (arrives, leaves) = (
                data(t.client(), t.service()).ttl(9),
                t.rewritten(t.leg(), t.client(), &data).ttl(t.hops(8)),
            );
            let outer = t.outer(t.leg(), &arrives.bytes());
            let step = frame(arrives).by_link().leaves_by(t.egress(), leaves, &t.counted_in(t.usual()));
            let step = step.inside(outer).around(|outer| outer.ttl = 9);
            let last = frame(data(t.client(), t.service()).ttl(1)).by_link();
            let moves: &[_] = if t.load == Load::Super { &[Move::Super] } else { &[] };
            Some(vec![t.begins(), step, last.drops(DropReason::HopsUsedUp, moves)])
        },
    ),
    ("a client on the host itself: nobody else takes a hop", |t| {
        let step = |shape: &dyn Fn(_, _) -> Build, moves: &[Move]| {
            let (arrives, leaves) = (shape(t.client(), t.service()), t.rewritten(t.leg(), t.client(), shape));
            let outer = t.outer(t.leg(), &arrives.bytes());
            let step = frame(arrives).leaves_by(t.egress(), leaves, moves);
            step.inside(outer).around(|outer| outer.ttl = 64)
        };
        Some(vec![
            Step::Host(vec![t.client().ip()]),
            step(&t.first(), &t.counted_first(t.leg())),
            step(&t.data(t.usual()), &t.counted_in(t.usual())),
        ])
    }),
];

/// The same counters, with so many more bytes in each packet.
fn longer(moves: Vec<Move>, by: u64) -> Vec<Move> {
    let more = |moved| match moved {
        Move::In(leg, packets, bytes) => Move::In(leg, packets, bytes + packets * by),
        other => other,
    };
    moves.into_iter().map(more).collect()
}
