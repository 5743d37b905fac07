use super::case::{Case, Move::*, Step, case, frame};
use engine::DropReason;
use wire::build::{tcp, udp};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("what the host forwards to us and from us gets one hop back, even the last", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            vec![
                frame(tcp(c, v).syn().ttl(1))
                    .leaves_as(tcp(c, s).syn().ttl(2), &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())]),
                frame(tcp(s, c).syn().ack(1).ttl(9))
                    .leaves_as(tcp(v, c).syn().ack(1).ttl(10), &[Out(leg, 1, n.tcp())]),
            ]
        }),
        case("what came from a link gets none", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            vec![
                frame(tcp(c, v).syn().ttl(2))
                    .by_link()
                    .leaves_as(tcp(c, s).syn().ttl(2), &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())]),
                frame(tcp(s, c).syn().ack(1).ttl(9))
                    .by_link()
                    .leaves_as(tcp(v, c).syn().ack(1).ttl(9), &[Out(leg, 1, n.tcp())]),
                frame(tcp(c, v).ack(1).ttl(1)).by_link().drops(DropReason::HopsUsedUp, &[]),
            ]
        }),
        case("there is no more than 255", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            vec![
                frame(tcp(c, v).syn().ttl(254))
                    .leaves_as(tcp(c, s).syn().ttl(255), &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())]),
                frame(tcp(c, v).ack(1).ttl(255)).leaves_as(tcp(c, s).ack(1).ttl(255), &[In(leg, 1, n.tcp())]),
            ]
        }),
        case("a client on the host itself has one way only", |n| {
            let (c, v, s, leg) = (n.client(), n.dns(), n.d1(), n.u1());
            vec![
                Step::Host(vec![c.ip()]),
                frame(udp(c, v))
                    .leaves_as(udp(c, s).ttl(64), &[New(leg), Inactive(leg, 1), In(leg, 1, n.ip() + 8)]),
                frame(udp(s, c)).leaves_as(udp(v, c).ttl(64), &[Out(leg, 1, n.ip() + 8)]),
            ]
        }),
        case("so has a server on the host itself", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            vec![
                Step::Host(vec![s.ip()]),
                frame(tcp(c, v).syn())
                    .leaves_as(tcp(c, s).syn().ttl(64), &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())]),
                frame(tcp(s, c).syn().ack(1))
                    .leaves_as(tcp(v, c).syn().ack(1).ttl(64), &[Out(leg, 1, n.tcp())]),
            ]
        }),
        case("what is passed and forwarded gets its hop back, what the host takes does not", |n| {
            let (c, v, s) = (n.client(), n.web(), n.s1());
            vec![
                frame(tcp(s, c).ack(1)).passes_as(tcp(s, c).ack(1).ttl(65)),
                Step::Host(vec![v.ip()]),
                frame(tcp(c, v).ack(1)).passes(),
            ]
        }),
    ]
}
