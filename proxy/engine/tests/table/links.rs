//! Packets that come straight from links: by VLANs, and with sources that no link can have.

use std::net::SocketAddr;

use engine::{DropReason, Egress};
use wire::build::{tcp, udp};
use wire::frame::Tagged;

use super::case::{Case, Move::*, Step, case, frame, reset, resets, wait};
use super::net::Net;
use super::oddities::impossible;
use super::one_packet::single;

/// Of a client in this VLAN, with this priority.
fn way(vlan: u8, priority: u8) -> Tagged {
    Tagged {
        device: 3,
        ours: [2, 0, 0, 0, 0, 1],
        theirs: [2, 0, 0, 0, 0, 9],
        tag: [0x81, 0, priority << 5, vlan],
    }
}

fn begins(n: &Net) -> Step {
    let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
    frame(tcp(c, v).syn().seq(100).ttl(9))
        .tagged(way(5, 1))
        .leaves_as(tcp(c, s).syn().seq(100).ttl(9), &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())])
}

fn answered(n: &Net) -> Step {
    let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
    frame(tcp(s, c).syn().seq(900).ack(101).ttl(9)).by_link().leaves_by(
        Egress::Back(way(5, 1)),
        tcp(v, c).syn().seq(900).ack(101).ttl(8),
        &[Out(leg, 1, n.tcp())],
    )
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("what a client in a VLAN gets goes back by it, one hop less", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            vec![
                begins(n),
                answered(n),
                // With another priority it is the same VLAN.
                frame(tcp(c, v).seq(101).ack(901).ttl(9))
                    .tagged(way(5, 0))
                    .leaves_as(tcp(c, s).seq(101).ack(901).ttl(9), &[In(leg, 1, n.tcp())]),
                // The host has routed this one, and has taken its hop.
                frame(tcp(s, c).seq(901).ack(101).ttl(9)).leaves_by(
                    Egress::Back(way(5, 1)),
                    tcp(v, c).seq(901).ack(101).ttl(9),
                    &[Out(leg, 1, n.tcp())],
                ),
            ]
        }),
        case("nothing of another VLAN, or of none, gets into a connection", |n| {
            let (c, v) = (n.client(), n.web());
            let ack = || frame(tcp(c, v).seq(101).ack(901));
            vec![
                begins(n),
                ack().tagged(way(6, 1)).drops(DropReason::OtherVlan, &[]),
                ack().by_link().drops(DropReason::OtherVlan, &[]),
                ack().drops(DropReason::OtherVlan, &[]),
                answered(n),
            ]
        }),
        case("nor what has a tag into one that has none", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            vec![
                frame(tcp(c, v).syn().ttl(9))
                    .by_link()
                    .leaves_as(tcp(c, s).syn().ttl(9), &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())]),
                frame(tcp(c, v).syn()).tagged(way(5, 1)).drops(DropReason::OtherVlan, &[]),
            ]
        }),
        case("a client in a VLAN is told there that its connection is over", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            vec![
                begins(n),
                answered(n),
                frame(tcp(c, v).seq(101).ack(901).ttl(9))
                    .tagged(way(5, 1))
                    .leaves_as(tcp(c, s).seq(101).ack(901).ttl(9), &[In(leg, 1, n.tcp())]),
                wait(902, &[Gone(1), Active(leg, -1)]),
                resets(&[(v, c, 901, 101), (c, s, 101, 901)]),
                Step::Ways(vec![Egress::Back(way(5, 1)), Egress::Route]),
            ]
        }),
        case(
            "a datagram that is scheduled by itself is a connection where its answer needs a way back",
            |n| {
                let (c, v, s, leg) = (n.client(), n.dns(), n.d1(), n.u1());
                vec![
                    single(n, None),
                    frame(udp(c, v).ttl(9))
                        .tagged(way(5, 0))
                        .leaves_as(udp(c, s).ttl(9), &[New(leg), Inactive(leg, 1), In(leg, 1, n.ip() + 8)]),
                    frame(udp(s, c).ttl(9)).by_link().leaves_by(
                        Egress::Back(way(5, 0)),
                        udp(v, c).ttl(8),
                        &[Out(leg, 1, n.ip() + 8)],
                    ),
                ]
            },
        ),
        case("what is for the host alone is not handed to it without the tag", |n| {
            let (c, v) = (n.client(), n.vip_port(81));
            vec![
                frame(tcp(c, v).syn().seq(77))
                    .tagged(way(5, 1))
                    .gets_bytes(&reset(tcp(v, c).rst().ack(78)), &[]),
                Step::Host(vec![n.vip()]),
                frame(tcp(c, v).syn()).tagged(way(5, 1)).drops(DropReason::TaggedForHost, &[]),
                frame(tcp(c, v).syn()).by_link().passes(),
            ]
        }),
        case("nobody on a link is the host itself", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let syn = || tcp(c, v).syn().ttl(9);
            vec![
                Step::Host(vec![c.ip()]),
                frame(syn()).by_link().drops(DropReason::MartianSource, &[]),
                frame(tcp(c, n.vip_port(81)).syn()).by_link().drops(DropReason::MartianSource, &[]),
                frame(tcp(c, n.stranger()).syn()).by_link().drops(DropReason::MartianSource, &[]),
                // Its own connection is its own.
                frame(syn())
                    .leaves_as(tcp(c, s).syn().ttl(9), &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())]),
                frame(tcp(c, v).rst().seq(1)).by_link().drops(DropReason::MartianSource, &[]),
            ]
        }),
        case("nor is it its own server", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            vec![
                Step::Host(vec![s.ip()]),
                frame(tcp(c, v).syn().ttl(9))
                    .by_link()
                    .leaves_as(tcp(c, s).syn().ttl(9), &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())]),
                frame(tcp(s, c).rst().seq(1)).by_link().drops(DropReason::MartianSource, &[]),
            ]
        }),
        case("a source that no host can have is not handed to the host", |n| {
            let syn = |ip| tcp(SocketAddr::new(ip, 40_000), n.stranger()).syn();
            let drops = |ip| frame(syn(ip)).by_link().drops(DropReason::MartianSource, &[]);
            impossible(n).map(drops).collect()
        }),
    ]
}
