use super::case::{Case, Move::*, Step, case, frame, then};
use super::net::Net;
use engine::State;
use wire::build::tcp;

/// A connection of the usual client to the first server, up to the handshake's end.
pub(crate) fn established(n: &Net) -> Vec<Step> {
    let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
    vec![
        frame(tcp(c, v).syn().seq(100))
            .leaves_as(tcp(c, s).syn().seq(100).ttl(65), &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())]),
        frame(tcp(s, c).syn().seq(900).ack(101))
            .leaves_as(tcp(v, c).syn().seq(900).ack(101).ttl(65), &[Out(leg, 1, n.tcp())]),
        frame(tcp(c, v).seq(101).ack(901))
            .leaves_as(tcp(c, s).seq(101).ack(901).ttl(65), &[In(leg, 1, n.tcp())]),
    ]
}

/// The same connection, reset by the server: CLOSE.
pub(crate) fn closed(n: &Net) -> Vec<Step> {
    let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
    let reset = frame(tcp(s, c).rst().seq(901)).leaves_as(
        tcp(v, c).rst().seq(901).ttl(65),
        &[Out(leg, 1, n.tcp()), Active(leg, -1), Inactive(leg, 1)],
    );
    then(established(n), vec![reset])
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("a handshake goes through and counts as one active connection", established),
        case("data goes both ways with its bytes untouched", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let (up, down) = (tcp(c, v).ack(901), tcp(s, c).ack(102));
            then(
                established(n),
                vec![
                    frame(up.seq(101).payload_len(501)).leaves_as(
                        tcp(c, s).ack(901).seq(101).payload_len(501).ttl(65),
                        &[In(leg, 1, n.tcp() + 501)],
                    ),
                    frame(down.seq(901).payload_len(1)).leaves_as(
                        tcp(v, c).ack(102).seq(901).payload_len(1).ttl(65),
                        &[Out(leg, 1, n.tcp() + 1)],
                    ),
                    Step::Shows(c, State::Established, 900),
                ],
            )
        }),
        case("partial checksums stay partial, options stay", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let options = [2, 4, 5, 180, 1, 3, 3, 7];
            let bytes = n.tcp() + 8;
            vec![
                frame(tcp(c, v).syn().tcp_options(&options).partial()).leaves_as(
                    tcp(c, s).syn().tcp_options(&options).partial().ttl(65),
                    &[New(leg), Active(leg, 1), In(leg, 1, bytes)],
                ),
                frame(tcp(s, c).syn().ack(1).tcp_options(&options).partial()).leaves_as(
                    tcp(v, c).syn().ack(1).tcp_options(&options).partial().ttl(65),
                    &[Out(leg, 1, bytes)],
                ),
            ]
        }),
        case("a super-packet passes whole and counts as its segments", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            then(
                established(n),
                vec![
                    frame(tcp(s, c).ack(101).seq(901).payload_len(60_001).gso(1440)).leaves_as(
                        tcp(v, c).ack(101).seq(901).payload_len(60_001).gso(1440).ttl(65),
                        &[Super, Out(leg, 42, 60_001 + 42 * n.tcp())],
                    ),
                    frame(tcp(c, v).ack(901).seq(101).payload_len(3_000).gso(1000)).leaves_as(
                        tcp(c, s).ack(901).seq(101).payload_len(3_000).gso(1000).ttl(65),
                        &[Super, In(leg, 3, 3_000 + 3 * n.tcp())],
                    ),
                ],
            )
        }),
        case("a retransmitted SYN goes to the same server", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            vec![
                frame(tcp(c, v).syn())
                    .leaves_as(tcp(c, s).syn().ttl(65), &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())]),
                frame(tcp(c, v).syn()).leaves_as(tcp(c, s).syn().ttl(65), &[In(leg, 1, n.tcp())]),
                Step::Shows(c, State::SynRecv, 60),
            ]
        }),
        case("the next client goes to the next server", |n| {
            let (c, v, s1, s2, one, two) = (n.client(), n.web(), n.s1(), n.s2(), n.w1(), n.w2());
            let (d, e) = (n.client_port(40_001), n.client_port(40_002));
            vec![
                frame(tcp(c, v).syn())
                    .leaves_as(tcp(c, s1).syn().ttl(65), &[New(one), Active(one, 1), In(one, 1, n.tcp())]),
                frame(tcp(d, v).syn())
                    .leaves_as(tcp(d, s2).syn().ttl(65), &[New(two), Active(two, 1), In(two, 1, n.tcp())]),
                frame(tcp(e, v).syn())
                    .leaves_as(tcp(e, s1).syn().ttl(65), &[New(one), Active(one, 1), In(one, 1, n.tcp())]),
            ]
        }),
        case("the client closes first", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            then(
                established(n),
                vec![
                    frame(tcp(c, v).fin().seq(101).ack(901)).leaves_as(
                        tcp(c, s).fin().seq(101).ack(901).ttl(65),
                        &[In(leg, 1, n.tcp()), Active(leg, -1), Inactive(leg, 1)],
                    ),
                    Step::Shows(c, State::CloseWait, 60),
                    frame(tcp(s, c).fin().seq(901).ack(102))
                        .leaves_as(tcp(v, c).fin().seq(901).ack(102).ttl(65), &[Out(leg, 1, n.tcp())]),
                    Step::Shows(c, State::TimeWait, 120),
                    frame(tcp(c, v).seq(102).ack(902))
                        .leaves_as(tcp(c, s).seq(102).ack(902).ttl(65), &[In(leg, 1, n.tcp())]),
                    Step::Shows(c, State::TimeWait, 120),
                ],
            )
        }),
        case("the server closes first", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            then(
                established(n),
                vec![
                    frame(tcp(s, c).fin().seq(901).ack(101)).leaves_as(
                        tcp(v, c).fin().seq(901).ack(101).ttl(65),
                        &[Out(leg, 1, n.tcp()), Active(leg, -1), Inactive(leg, 1)],
                    ),
                    Step::Shows(c, State::FinWait, 120),
                ],
            )
        }),
        case("a packet without flags is forwarded and changes no state", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let null = frame(tcp(c, v)).leaves_as(tcp(c, s).ttl(65), &[In(leg, 1, n.tcp())]);
            then(established(n), vec![null, Step::Shows(c, State::Established, 900)])
        }),
        case("a SYN on a connection that is over begins a new one, perhaps elsewhere", |n| {
            let (c, v, s2, one, two) = (n.client(), n.web(), n.s2(), n.w1(), n.w2());
            let again = frame(tcp(c, v).syn().seq(7_000)).leaves_as(
                tcp(c, s2).syn().seq(7_000).ttl(65),
                &[Gone(1), Inactive(one, -1), New(two), Active(two, 1), In(two, 1, n.tcp())],
            );
            then(closed(n), vec![Step::Shows(c, State::Close, 10), again, Step::Shows(c, State::SynRecv, 60)])
        }),
        case("an ACK on a connection that is over stays with it", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let late = frame(tcp(c, v).seq(101).ack(902))
                .leaves_as(tcp(c, s).seq(101).ack(902).ttl(65), &[In(leg, 1, n.tcp())]);
            then(closed(n), vec![late, Step::Shows(c, State::Close, 10)])
        }),
        case("a SYN on an established connection stays with it", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let again = frame(tcp(c, v).syn().seq(7_000))
                .leaves_as(tcp(c, s).syn().seq(7_000).ttl(65), &[In(leg, 1, n.tcp())]);
            then(established(n), vec![again, Step::Shows(c, State::Established, 900)])
        }),
        case("IPv4 options are kept", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let options = [7, 7, 4, 0, 0, 0, 0, 0];
            vec![frame(tcp(c, v).syn().ipv4_options(&options)).leaves_as(
                tcp(c, s).syn().ipv4_options(&options).ttl(65),
                &[New(leg), Active(leg, 1), In(leg, 1, n.tcp() + 8)],
            )]
        })
        .v4(),
        case("IPv6 extension headers are kept", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            vec![frame(tcp(c, v).syn().extension(60, &[1, 4, 0, 0, 0, 0])).leaves_as(
                tcp(c, s).syn().extension(60, &[1, 4, 0, 0, 0, 0]).ttl(65),
                &[New(leg), Active(leg, 1), In(leg, 1, n.tcp() + 8)],
            )]
        })
        .v6(),
    ]
}
