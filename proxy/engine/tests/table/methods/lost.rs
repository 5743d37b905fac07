//! What is not forwarded, and servers that are not where others are.

use engine::{DropReason, Egress};
use sched::{ForwardMethod, Op, Proto};
use wire::build;

use super::Steps;
use super::talk::Load;
use crate::case::{Move, Step, bytes, frame, reset};

pub(super) const CASES: &[(&str, Steps)] = &[
    ("without an address towards the server nothing begins", |t| {
        let first = frame(t.first()(t.client(), t.service()));
        (t.net.method == ForwardMethod::FullNat && t.load == Load::Whole)
            .then(|| vec![Step::NoWay, first.drops(DropReason::NoLocalAddress, &[])])
    }),
    ("what has no way to the server counts as the connection's, as in the kernel", |t| {
        if t.net.method.changes_port() {
            return None;
        }
        let data = frame(t.data(t.usual())(t.client(), t.service()));
        Some(vec![t.begins(), Step::NoWay, data.drops(DropReason::NoRoute, &t.counted_in(t.usual()))])
    }),
    ("with no server left the client is told", |t| {
        if t.load != Load::Whole {
            return None;
        }
        let key = t.net.key(t.service());
        let gone = |addr| Op::DelDest { key, addr };
        let first = t.first()(t.client(), t.service());
        let answer = t.net.unreachable(&first.bytes());
        Some(vec![Step::Edit(vec![gone(t.server()), gone(t.second().1)]), frame(first).gets(answer, &[])])
    }),
    ("a server on the host itself is reached by the host", |t| {
        let (data, usual) = (t.data(t.usual()), t.usual());
        let step = |shape: &dyn Fn(_, _) -> build::Build, moves: &[Move]| {
            let leaves = t.rewritten(t.leg(), t.client(), shape);
            frame(shape(t.client(), t.service())).leaves_by(Egress::Route, leaves, moves)
        };
        Some(vec![
            Step::Host(vec![t.server().ip(), t.service().ip()]),
            step(&t.first(), &t.counted_first(t.leg())),
            step(&data, &t.counted_in(usual)),
        ])
    }),
    ("a service that is an address of the host is served all the same", |t| {
        Some(vec![
            Step::Host(vec![t.service().ip()]),
            t.begins(),
            t.up(t.data(t.usual()), &t.counted_in(t.usual())),
        ])
    }),
    ("a segment of no connection is reset", |t| {
        if (t.proto, t.load) != (Proto::Tcp, Load::Whole) {
            return None;
        }
        let (client, service) = (t.client(), t.service());
        let stray = build::tcp(client, service).seq(5).ack(6).payload_len(77);
        let answer = reset(build::tcp(service, client).rst().seq(6));
        Some(vec![frame(stray).gets_bytes(&answer, &[])])
    }),
    ("what is cut short is dropped", |t| {
        if t.load != Load::Whole {
            return None;
        }
        let whole = t.data(t.usual())(t.client(), t.service()).bytes();
        let cut = |len: usize| bytes(&whole[..len]).drops(DropReason::Truncated, &[]);
        Some(vec![t.begins(), cut(whole.len() - 1), cut(t.headers()), cut(t.headers() - 1), cut(3)])
    }),
    ("local ports that are all taken are told by name", |t| {
        if t.net.method != ForwardMethod::FullNat || t.load != Load::Whole {
            return None;
        }
        let (first, second) = (t.leg(), t.second());
        let [two, three] = [40_001, 40_002].map(|port| t.net.client_port(port));
        Some(vec![
            t.begins(),
            t.up_to(second, two, t.first(), &t.counted_first(second)),
            frame(t.first()(three, first.0)).drops(DropReason::PortsExhausted, &[]),
            t.up(t.data(t.usual()), &t.counted_in(t.usual())),
        ])
    }),
];
