use super::case::{Case, Move::*, Step, case, frame, then};
use super::net::Net;
use super::tcp::established;
use engine::{DropReason, Knobs};
use sched::Family;
use wire::build::{self, Build, icmp, ping, tcp, udp};

/// Any echo reply matches its request but for type and addresses.
fn pong(n: &Net) -> Build {
    let kind = if n.family == Family::Ipv4 { 0 } else { 129 };
    icmp(n.vip(), n.client().ip(), kind, 0, 5 << 16 | 1).payload(b"0123456789abcdef")
}

/// ICMP for an IPv4 or IPv6 packet too big.
fn error_len(n: &Net, quote: &[u8]) -> u64 {
    n.ip() + 8 + quote.len() as u64
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("with schedule_icmp an error about a packet of a service begins a connection", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let quoting = |at: std::net::SocketAddr| {
                let quote = tcp(at, c).ack(1).payload_len(500).bytes();
                build::too_big(n.router(), at.ip(), 1400, &quote)
            };
            let bytes = quoting(v).bytes().len() as u64;
            vec![
                frame(quoting(v))
                    .leaves_as(quoting(s).ttl(65), &[New(leg), Inactive(leg, 1), In(leg, 1, bytes)]),
                Step::Shows(c, engine::State::None, 3),
            ]
        })
        .knobs(Knobs { schedule_icmp: true, ..Knobs::default() }),
        case("a ping to nobody's VIP is answered", |n| {
            vec![frame(ping(n.client().ip(), n.vip(), 5, 1)).gets(pong(n), &[])]
        }),
        case("a ping to a VIP of the host is the host's", |n| {
            vec![Step::Host(vec![n.vip()]), frame(ping(n.client().ip(), n.vip(), 5, 1)).passes()]
        }),
        case("any other query to nobody's VIP is dropped", |n| {
            let kind = if n.family == Family::Ipv4 { 13 } else { 139 };
            vec![frame(icmp(n.client().ip(), n.vip(), kind, 0, 0)).drops(DropReason::IcmpUnrelated, &[])]
        }),
        case("an error from the server is translated to the client", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let request = tcp(c, s).seq(101).ack(901).payload_len(77).bytes();
            let known = tcp(c, v).seq(101).ack(901).payload_len(77).bytes();
            let error = frame(build::unreachable_port(s.ip(), c.ip(), &request)).leaves_as(
                build::unreachable_port(v.ip(), c.ip(), &known).ttl(65),
                &[Out(leg, 1, error_len(n, &request))],
            );
            then(established(n), vec![error])
        }),
        case("an error from a router behind us comes from the VIP, whose MTU it tells", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let request = tcp(c, s).seq(101).ack(901).payload_len(1200).bytes();
            let known = tcp(c, v).seq(101).ack(901).payload_len(1200).bytes();
            // RFC 792 promises the header and eight bytes: ports, but no checksum.
            let (short, known) = (&request[..n.ip() as usize + 8], &known[..n.ip() as usize + 8]);
            let error = frame(build::too_big(n.router(), c.ip(), 1200, short)).leaves_as(
                build::too_big(v.ip(), c.ip(), 1200, known).ttl(65),
                &[Out(leg, 1, error_len(n, short))],
            );
            then(established(n), vec![error])
        }),
        case("an error from the client's side is translated to the server", |n| {
            let (c, v, s, leg) = (n.client(), n.web(), n.s1(), n.w1());
            let seen = tcp(v, c).seq(901).ack(101).payload_len(1300).bytes();
            let sent = tcp(s, c).seq(901).ack(101).payload_len(1300).bytes();
            let router = n.stranger().ip();
            let error = frame(build::too_big(router, v.ip(), 1280, &seen[..548])).leaves_as(
                build::too_big(router, s.ip(), 1280, &sent[..548]).ttl(65),
                &[In(leg, 1, error_len(n, &seen[..548]))],
            );
            then(established(n), vec![error])
        }),
        case("errors about UDP are translated as well, and keep nothing alive", |n| {
            let (c, v, s, leg) = (n.client(), n.dns(), n.d1(), n.u1());
            let (sent, known) = (udp(c, s).payload_len(9).bytes(), udp(c, v).payload_len(9).bytes());
            vec![
                frame(udp(c, v).payload_len(9)).leaves_as(
                    udp(c, s).payload_len(9).ttl(65),
                    &[New(leg), Inactive(leg, 1), In(leg, 1, n.ip() + 17)],
                ),
                super::case::wait(100, &[]),
                frame(build::time_exceeded(n.router(), c.ip(), &sent)).leaves_as(
                    build::time_exceeded(v.ip(), c.ip(), &known).ttl(65),
                    &[Out(leg, 1, error_len(n, &sent))],
                ),
                Step::Shows(c, engine::State::Udp, 200),
            ]
        }),
        case("an error about a quoted datagram without checksum leaves it without", |n| {
            let (c, v, s, leg) = (n.client(), n.dns(), n.d1(), n.u1());
            let (sent, known) = (udp(c, s).no_checksum().bytes(), udp(c, v).no_checksum().bytes());
            vec![
                frame(udp(c, v))
                    .leaves_as(udp(c, s).ttl(65), &[New(leg), Inactive(leg, 1), In(leg, 1, n.ip() + 8)]),
                frame(build::unreachable_port(s.ip(), c.ip(), &sent)).leaves_as(
                    build::unreachable_port(v.ip(), c.ip(), &known).ttl(65),
                    &[Out(leg, 1, error_len(n, &sent))],
                ),
            ]
        })
        .v4(),
        case("an error about a connection that is not ours is dropped at nobody's VIP, else passed", |n| {
            let (c, v) = (n.client(), n.web());
            let quote = tcp(v, c).ack(1).bytes();
            let error = || frame(build::unreachable_port(c.ip(), v.ip(), &quote));
            vec![error().drops(DropReason::IcmpUnrelated, &[]), Step::Host(vec![n.vip()]), error().passes()]
        }),
        case("an error between others is passed", |n| {
            let quote = tcp(n.stranger(), n.s1()).ack(1).bytes();
            let (from, to) = (n.s1().ip(), n.stranger().ip());
            vec![
                frame(build::unreachable_port(from, to, &quote))
                    .passes_as(build::unreachable_port(from, to, &quote).ttl(65)),
            ]
        }),
        case("an error in fragments is not translated by halves", |n| {
            let (c, s) = (n.client(), n.s1());
            let quote = tcp(c, s).seq(101).ack(901).payload_len(400).bytes();
            let pieces = build::unreachable_port(s.ip(), c.ip(), &quote).fragments(256);
            let first = super::case::bytes(&pieces[0]).drops(DropReason::Fragment, &[]);
            then(established(n), vec![first])
        }),
    ]
}
