//! Checksums.

use engine::DropReason::*;
use wire::build::{Build, ping, tcp, udp};

use super::{all_drop, begins, drops, goes_on};
use crate::case::{Case, bytes, case, then};
use crate::tcp::established;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("a wrong checksum of an IPv4 header begins nothing and is not answered", |n| {
            all_drop(n, BadHeaderChecksum, header_damaged)
        })
        .v4(),
        case("it stays wrong on a connection", |n| then(established(n), vec![goes_on(n, header_damaged)]))
            .v4(),
        case("it is others' business with what is others'", |n| {
            let of = |ttl| header_damaged(tcp(n.stranger(), n.client()).syn().ttl(ttl));
            vec![bytes(&of(64)).passes_as_bytes(&of(65))]
        })
        .v4(),
        case("a wrong transport checksum stays wrong", |n| {
            vec![begins(n, |build| damaged(build.payload_len(5)))]
        }),
        case("it stays wrong on a connection too", |n| then(established(n), vec![goes_on(n, damaged)])),
        case("what is damaged is not answered: it may be somebody else's", |n| {
            let (c, nobody) = (n.client(), n.vip_port(81));
            vec![
                drops(&damaged(tcp(c, n.web()).seq(7).ack(9).payload_len(5)), BadChecksum),
                drops(&damaged(tcp(c, nobody).syn().payload_len(5)), BadChecksum),
                drops(&damaged(udp(c, nobody).payload_len(5)), BadChecksum),
                drops(&damaged(ping(c.ip(), n.vip(), 1, 1)), BadChecksum),
            ]
        }),
    ]
}

/// A bit of the identification is another.
fn header_damaged(build: Build) -> Vec<u8> {
    let mut packet = build.bytes();
    packet[4] ^= 0x10;
    packet
}

/// A bit of the payload is another.
fn damaged(build: Build) -> Vec<u8> {
    let mut packet = build.bytes();
    let last = packet.len() - 1;
    packet[last] ^= 0x10;
    packet
}
