use super::case::{Case, Move::*, Step, case, frame, then};
use super::net::Net;
use super::tcp::established;
use engine::Knobs;
use sched::Family;
use wire::build::{tcp, udp};

/// As much of a packet as an error quotes.
fn quote(n: &Net, packet: &[u8]) -> Vec<u8> {
    let room = if n.family == Family::Ipv4 { 576 - 28 } else { 1280 - 48 };
    packet[..packet.len().min(room)].to_vec()
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("with pmtu_disc off what no tunnel can cut is too big all the same", |n| {
            let (c, v, s, leg) = (n.client(), n.dns(), n.d1(), n.u1());
            vec![
                frame(udp(c, v))
                    .leaves_as(udp(c, s).ttl(65), &[New(leg), Inactive(leg, 1), In(leg, 1, n.ip() + 8)]),
                Step::Mtu(leg, 1280),
                frame(udp(c, v).payload_len(1400))
                    .gets(n.too_big(1280, &quote(n, &udp(c, v).payload_len(1400).bytes())), &[]),
            ]
        })
        .knobs(Knobs { pmtu_disc: false, ..Knobs::default() }),
        case("a packet that fits the path passes, one byte more is refused", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let room = 1300 - n.tcp() as usize;
            let long = tcp(c, v).ack(901).payload_len(room + 1);
            let answer = n.too_big(1300, &quote(n, &long.bytes()));
            then(
                established(n),
                vec![
                    Step::Mtu(leg, 1300),
                    frame(tcp(c, v).ack(901).payload_len(room))
                        .leaves_as(tcp(c, s).ack(901).payload_len(room).ttl(65), &[In(leg, 1, 1300)]),
                    frame(long.clone()).gets(answer.clone(), &[]),
                    // The sender's kernel had not finished the checksum: the quote has it finished.
                    frame(long.partial()).gets(answer, &[]),
                ],
            )
        }),
        case("a packet that may be fragmented passes", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let passes = frame(tcp(c, v).ack(901).payload_len(1400).may_fragment())
                .leaves_as(tcp(c, s).ack(901).payload_len(1400).may_fragment().ttl(65), &[In(leg, 1, 1440)]);
            then(established(n), vec![Step::Mtu(leg, 1300), passes])
        })
        .v4(),
        case("of a super-packet the segments have to fit", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let fits = 1300 - n.tcp() as u16;
            let whole = tcp(c, v).ack(901).payload_len(9_000);
            let first = tcp(c, v).ack(901).payload_len(usize::from(fits) + 1).bytes();
            then(
                established(n),
                vec![
                    Step::Mtu(leg, 1300),
                    frame(whole.clone().gso(fits)).leaves_as(
                        tcp(c, s).ack(901).payload_len(9_000).gso(fits).ttl(65),
                        &[
                            Super,
                            In(
                                leg,
                                9_000_u64.div_ceil(fits.into()),
                                9_000 + 9_000_u64.div_ceil(fits.into()) * n.tcp(),
                            ),
                        ],
                    ),
                    // What is quoted is the first segment, as it would have been on the wire.
                    frame(whole.gso(fits + 1)).gets(n.too_big(1300, &quote(n, &first)), &[Super]),
                ],
            )
        }),
        case("replies are not measured against the path to the server", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let reply = frame(tcp(s, c).ack(101).payload_len(1400))
                .leaves_as(tcp(v, c).ack(101).payload_len(1400).ttl(65), &[Out(leg, 1, n.tcp() + 1400)]);
            then(established(n), vec![Step::Mtu(leg, 1300), reply])
        }),
        case("a new flow whose first packet does not fit lives three seconds", |n| {
            let (c, v, leg) = (n.client(), n.dns(), n.u1());
            let long = udp(c, v).payload_len(1400);
            vec![
                Step::Mtu(leg, 1300),
                frame(long.clone())
                    .gets(n.too_big(1300, &quote(n, &long.bytes())), &[New(leg), Inactive(leg, 1)]),
                Step::Shows(c, engine::State::Udp, 3),
                super::case::wait(2, &[]),
                super::case::wait(2, &[Gone(1), Inactive(leg, -1)]),
                Step::Idle,
            ]
        }),
    ]
}
