//! Lengths and versions.

use engine::{DropReason::*, Egress};
use wire::build::{Build, tcp, udp};

use super::{all, changed, drops, goes_on};
use crate::case::{Case, Move::*, bytes, case, then};
use crate::tcp::established;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("shorter than its headers say", |n| {
            let at = n.ip() as usize;
            let cut = |packet: &Vec<u8>| {
                let lens = [0, 1, at - 1, at, at + 7, packet.len() - 1];
                lens.map(|len| drops(&packet[..len], Truncated))
            };
            all(n, |build| build.bytes()).iter().flat_map(cut).collect()
        }),
        case("longer than its IP header says", |n| {
            // What is behind the end counts for nothing.
            let longer = |build: Build| [build.bytes(), vec![0xee; 13]].concat();
            let mut step = goes_on(n, longer);
            if let crate::case::Step::Frame { moves, .. } = &mut step {
                *moves = vec![In(n.w1(), 1, n.tcp() + 5)];
            }
            then(established(n), vec![step])
        }),
        case("another version", |n| {
            let packet = tcp(n.client(), n.web()).syn().bytes();
            let with = |version: u8| [&[version << 4 | packet[0] & 0xf], &packet[1..]].concat();
            [0, 5, 7, 15].map(|version| drops(&with(version), BadVersion)).into()
        }),
        case("an IPv4 header length or total length that cannot be", |n| {
            let syn = tcp(n.client(), n.web()).syn();
            vec![
                drops(&changed(&syn, |packet| packet[0] = 0x44), BadHeaderLength),
                drops(&changed(&syn, |packet| packet[3] = 19), BadLength),
                drops(&changed(&syn, |packet| packet[3] = 39), Truncated),
                drops(&changed(&syn, |packet| packet[3] = 41), Truncated),
                // All of it a header.
                drops(&changed(&syn, |packet| packet[0] = 0x4f), Truncated),
            ]
        })
        .v4(),
        case("an IPv6 payload length of zero", |n| {
            let syn = tcp(n.client(), n.web()).syn();
            let zero = |build: &Build| changed(build, |packet| packet[4..6].fill(0));
            // Nor is there a jumbogram (RFC 2675).
            let jumbo = syn.clone().extension(0, &[0xc2, 4, 0, 1, 0, 0]);
            vec![drops(&zero(&syn), Truncated), drops(&zero(&jumbo), Truncated)]
        })
        .v6(),
        case("a TCP or UDP length that cannot be", |n| {
            let at = n.ip() as usize;
            let segment =
                |offset: u8| changed(&tcp(n.client(), n.web()).syn(), |packet| packet[at + 12] = offset << 4);
            let datagram =
                |len: u8| changed(&udp(n.client(), n.dns()).payload_len(9), |packet| packet[at + 5] = len);
            vec![
                drops(&segment(0), BadHeaderLength),
                drops(&segment(4), BadHeaderLength),
                drops(&segment(6), Truncated),
                drops(&datagram(0), BadLength),
                drops(&datagram(7), BadLength),
                drops(&datagram(18), BadLength),
            ]
        }),
        case("a UDP length short of the end", |n| {
            let (c, leg, at) = (n.client(), n.u1(), n.ip() as usize);
            // The checksum is over what the length says.
            let short = |to, ttl| {
                let (whole, inner) = (udp(c, to).payload_len(9), udp(c, to).payload_len(4).bytes());
                changed(&whole.ttl(ttl), |packet| {
                    packet[at + 4..at + 8].copy_from_slice(&inner[at + 4..at + 8])
                })
            };
            let moves = [New(leg), Inactive(leg, 1), In(leg, 1, n.ip() + 17)];
            vec![bytes(&short(n.dns(), 64)).leaves_as_bytes(Egress::Route, &short(n.d1(), 65), &moves)]
        }),
    ]
}
