use super::case::{Case, Move::*, Step, case, frame};
use engine::State;
use wire::build::udp;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("a datagram and its answer", |n| {
            let (c, v, s, leg, bytes) = (n.client(), n.dns(), n.d1(), n.u1(), n.ip() + 8 + 33);
            vec![
                frame(udp(c, v).payload_len(33)).leaves_as(
                    udp(c, s).payload_len(33).ttl(65),
                    &[New(leg), Inactive(leg, 1), In(leg, 1, bytes)],
                ),
                frame(udp(s, c).payload_len(33))
                    .leaves_as(udp(v, c).payload_len(33).ttl(65), &[Out(leg, 1, bytes)]),
                Step::Shows(c, State::Udp, 300),
            ]
        }),
        case("later datagrams stay with the server", |n| {
            let (c, v, s, leg, bytes) = (n.client(), n.dns(), n.d1(), n.u1(), n.ip() + 8);
            vec![
                frame(udp(c, v))
                    .leaves_as(udp(c, s).ttl(65), &[New(leg), Inactive(leg, 1), In(leg, 1, bytes)]),
                frame(udp(c, v)).leaves_as(udp(c, s).ttl(65), &[In(leg, 1, bytes)]),
                frame(udp(c, v)).leaves_as(udp(c, s).ttl(65), &[In(leg, 1, bytes)]),
            ]
        }),
        case("no checksum stays no checksum", |n| {
            let (c, v, s, leg, bytes) = (n.client(), n.dns(), n.d1(), n.u1(), n.ip() + 8 + 9);
            vec![
                frame(udp(c, v).payload_len(9).no_checksum()).leaves_as(
                    udp(c, s).payload_len(9).no_checksum().ttl(65),
                    &[New(leg), Inactive(leg, 1), In(leg, 1, bytes)],
                ),
                frame(udp(s, c).payload_len(9).no_checksum())
                    .leaves_as(udp(v, c).payload_len(9).no_checksum().ttl(65), &[Out(leg, 1, bytes)]),
            ]
        })
        .v4(),
        case("partial checksums and super-packets", |n| {
            let (c, v, s, leg) = (n.client(), n.dns(), n.d1(), n.u1());
            vec![
                frame(udp(c, v).payload_len(100).partial()).leaves_as(
                    udp(c, s).payload_len(100).partial().ttl(65),
                    &[New(leg), Inactive(leg, 1), In(leg, 1, n.ip() + 108)],
                ),
                frame(udp(s, c).payload_len(12_001).gso(1200)).leaves_as(
                    udp(v, c).payload_len(12_001).gso(1200).ttl(65),
                    &[Super, Out(leg, 11, 12_001 + 11 * (n.ip() + 8))],
                ),
            ]
        }),
        case("TCP to the UDP port is no service's", |n| {
            vec![Step::Host(vec![n.vip()]), frame(wire::build::tcp(n.client(), n.dns()).syn()).passes()]
        }),
    ]
}
