//! Where packets claim to come from.

use std::net::{IpAddr, SocketAddr};

use engine::DropReason::*;
use sched::{Family, Op};
use wire::build::{ping, tcp, udp};

use crate::case::{Case, Move::*, Step, case, frame, then};
use crate::net::Net;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("from where no host is", |n| impossible(n).flat_map(|source| all_from(n, source)).collect()),
        case("from a VIP that is nobody's", |n| {
            let other = n.stranger().ip();
            let key = sched::ServiceKey::addr(sched::Proto::Tcp, SocketAddr::new(other, 80));
            let service = sched::ServiceSpec::new(key, "rr");
            let (c, leg) = (SocketAddr::new(other, 40_000), n.w1());
            let forwarded = frame(tcp(c, n.web()).syn())
                .leaves_as(tcp(c, n.s1()).syn(), &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())]);
            let add = Step::Edit(vec![Op::AddService { service }]);
            // Of the host's own it is a client like others.
            then(then(vec![add], all_from(n, other)), vec![Step::Host(vec![other]), forwarded])
        }),
        case("from the very VIP", |n| {
            let (v, other) = (n.web(), n.vip_port(40_000));
            let to = SocketAddr::new(n.vip(), 53);
            vec![
                frame(tcp(v, v).syn()).drops(Land, &[]),
                frame(tcp(other, v).syn()).drops(Land, &[]),
                frame(udp(other, to).payload_len(4)).drops(Land, &[]),
                frame(tcp(other, v).seq(5).ack(6)).drops(Land, &[]),
                frame(ping(v.ip(), v.ip(), 1, 1)).drops(Land, &[]),
            ]
        }),
        case("from the host's own VIP, which a client of its own may use", |n| {
            let (v, other, leg) = (n.web(), n.vip_port(40_000), n.w1());
            vec![
                Step::Host(vec![n.vip()]),
                frame(tcp(v, v).syn()).drops(Land, &[]),
                frame(tcp(other, v).syn())
                    .leaves_as(tcp(other, n.s1()).syn(), &[New(leg), Active(leg, 1), In(leg, 1, n.tcp())]),
            ]
        }),
        case("from the server that gets it, which is a client like others", |n| {
            let (c, leg) = (SocketAddr::new(n.s1().ip(), 40_000), n.w1());
            let moves = [New(leg), Active(leg, 1), In(leg, 1, n.tcp())];
            vec![frame(tcp(c, n.web()).syn()).leaves_as(tcp(c, n.s1()).syn().ttl(65), &moves)]
        }),
    ]
}

/// Addresses that no host has.
pub(crate) fn impossible(n: &Net) -> impl Iterator<Item = IpAddr> {
    let sources = if n.family == Family::Ipv4 {
        ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.255.255.255", "255.255.255.255"]
    } else {
        ["::", "::1", "ff02::1", "ff0e::1", "::ffff:198.51.100.7", "::ffff:0.0.0.1"]
    };
    sources.into_iter().map(|source| source.parse().expect("an address"))
}

/// Begins nothing and is not answered.
fn all_from(n: &Net, source: IpAddr) -> Vec<Step> {
    let (c, v) = (SocketAddr::new(source, 40_000), n.web());
    let builds = [
        tcp(c, v).syn(),
        udp(c, n.dns()).payload_len(9),
        tcp(c, v).seq(7).ack(9),
        udp(c, n.vip_port(54)).payload_len(9),
        ping(source, v.ip(), 1, 1),
    ];
    builds.into_iter().map(|build| frame(build).drops(MartianSource, &[])).collect()
}
