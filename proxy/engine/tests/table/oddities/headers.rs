//! Hops, options, extension headers, protocols that are none of ours.

use engine::DropReason::*;
use wire::build::{Build, raw, tcp, udp};

use super::{all_drop, begins, changed, goes_on};
use crate::case::{Case, Move::*, Step, case, frame, then};
use crate::net::Net;
use crate::tcp::established;

const LOOSE: [u8; 8] = [1, 131, 7, 4, 10, 0, 0, 9];
const STRICT: [u8; 8] = [137, 7, 4, 10, 0, 0, 9, 0];
/// It has been everywhere already.
const ARRIVED: [u8; 8] = [131, 7, 8, 10, 0, 0, 9, 0];

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("without a hop left", |n| {
            let mut steps = all_drop(n, HopsUsedUp, |build| build.ttl(0).bytes());
            let (c, s) = (n.client(), n.s1());
            steps.push(frame(tcp(n.stranger(), c).syn().ttl(0)).drops(HopsUsedUp, &[]));
            then(
                established(n),
                then(
                    steps,
                    vec![
                        frame(tcp(c, n.web()).seq(101).ack(901).ttl(0)).drops(HopsUsedUp, &[]),
                        frame(tcp(s, c).seq(901).ack(101).ttl(0)).drops(HopsUsedUp, &[]),
                    ],
                ),
            )
        }),
        case("without a hop left, for the host itself", |n| {
            vec![Step::Host(vec![n.vip()]), frame(tcp(n.client(), n.vip_port(81)).syn().ttl(0)).passes()]
        }),
        case("options of IPv4 stay, and so does what looks like some", |n| {
            // Router alert, record route, time stamps; one that has no end, one that has no length.
            let options: [&[u8]; 5] = [
                &[148, 4, 0, 0],
                &[7, 7, 4, 0, 0, 0, 0],
                &[68, 8, 5, 0, 0, 0, 0, 0],
                &[7, 9, 4],
                &[9, 0, 0, 0],
            ];
            then(
                vec![begins(n, |build| build.ipv4_options(options[0]).bytes())],
                options.map(|options| goes_on(n, |build| build.ipv4_options(options).bytes())).into(),
            )
        })
        .v4(),
        case("the reserved flag of IPv4 stays", |n| {
            let evil = |build: Build| changed(&build, |packet| packet[6] |= 0x80);
            vec![begins(n, evil), goes_on(n, evil)]
        })
        .v4(),
        case("a source route begins nothing and is not answered", |n| {
            [LOOSE, STRICT, ARRIVED]
                .into_iter()
                .flat_map(|route| all_drop(n, SourceRoute, |build| build.ipv4_options(&route).bytes()))
                .collect()
        })
        .v4(),
        case("a source route stays on a connection", |n| {
            then(established(n), vec![goes_on(n, |build| build.ipv4_options(&LOOSE).bytes())])
        })
        .v4(),
        case("a routing header that is not used up", |n| {
            let routed = |kind| move |build: Build| build.extension(43, &[kind, 1, 0, 0, 0, 0]).bytes();
            let mut steps: Vec<_> =
                [0, 2, 4, 99].into_iter().flat_map(|kind| all_drop(n, SourceRoute, routed(kind))).collect();
            let for_host = tcp(n.client(), n.web()).syn().extension(43, &[4, 1, 0, 0, 0, 0]);
            steps.extend([Step::Host(vec![n.vip()]), frame(for_host).passes()]);
            steps
        })
        .v6(),
        case("extension headers stay", |n| {
            let chain = |build: Build| {
                let build = build.extension(0, &[5, 2, 0, 0]).extension(60, &[1, 4, 0, 0, 0, 0]);
                // Used up; and the header of a fragment that is all of its packet.
                let build = build.extension(43, &[4, 0, 0, 0, 0, 0]).extension(44, &[0, 0, 1, 2, 3, 4]);
                build.extension(60, &[1, 4, 0, 0, 0, 0]).bytes()
            };
            let routed = |kind| move |build: Build| build.extension(43, &[kind, 0, 0, 0, 0, 0]).bytes();
            then(
                vec![begins(n, chain), goes_on(n, chain)],
                [0, 2, 4, 99].map(|kind| goes_on(n, routed(kind))).into(),
            )
        })
        .v6(),
        case("extension headers that cannot be", |n| {
            let late = |build: Build| build.extension(60, &[]).extension(0, &[]).bytes();
            let many = |build: Build| (0..9).fold(build, |build, _| build.extension(60, &[])).bytes();
            then(all_drop(n, BadExtension, late), all_drop(n, BadExtension, many))
        })
        .v6(),
        case("protocols that no service has", |n| {
            // ESP, AH, GRE, no next header.
            let protocols = [50, 51, 47, 59];
            let each = |step: &dyn Fn(Build) -> Step| -> Vec<Step> {
                let packet = |protocol| raw(n.client().ip(), n.vip(), protocol).payload_len(24);
                protocols.iter().map(|protocol| step(packet(*protocol))).collect()
            };
            let at_vip = each(&|build| frame(build).drops(UnknownProtocol, &[]));
            let at_host = each(&|build| frame(build).passes());
            then(then(at_vip, vec![Step::Host(vec![n.vip()])]), at_host)
        }),
        case("port 0 is a port", |n| {
            let (c, v) = (n.client_port(0), n.vip_port(0));
            let datagram = udp(c, v).payload_len(4);
            vec![from_port_0(n), frame(datagram.clone()).gets(n.unreachable(&datagram.bytes()), &[])]
        }),
    ]
}

fn from_port_0(n: &Net) -> Step {
    let (c, leg) = (n.client_port(0), n.u1());
    let moves = [New(leg), Inactive(leg, 1), In(leg, 1, n.ip() + 12)];
    frame(udp(c, n.dns()).payload_len(4)).leaves_as(udp(c, n.d1()).payload_len(4).ttl(65), &moves)
}
