use std::net::IpAddr;

use super::*;
use crate::build;

fn parse(build: &build::Build) -> Packet {
    Packet::parse(&build.bytes()).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn tcp_over_ipv4() {
    let build = build::tcp("10.0.0.1:1024", "10.0.0.2:80").syn().ack(9).seq(7).tcp_options(&[2, 4, 5, 0xb4]);
    let packet = parse(&build.ttl(5).ipv4_options(&[1]).payload(b"abc"));
    assert_eq!(
        packet,
        Packet {
            family: Family::V4,
            src: ip("10.0.0.1"),
            dst: ip("10.0.0.2"),
            ttl: 5,
            protocol: 6,
            l4_offset: 24,
            total_len: 51,
            fragment: Fragment::None,
            dont_fragment: true,
            l4: L4::Tcp {
                src_port: 1024,
                dst_port: 80,
                seq: 7,
                ack: 9,
                flags: TcpFlags::SYN | TcpFlags::ACK,
                header_len: 24
            },
        }
    );
    assert_eq!((packet.header_len(), packet.payload_len(), packet.ports()), (48, 3, Some((1024, 80))));
    assert_eq!(packet.to_string(), "IP 10.0.0.1:1024 > 10.0.0.2:80: tcp [S.] seq 7 ack 9 length 3");
}

#[test]
fn udp_over_ipv6_behind_extension_headers() {
    let udp = build::udp("[fd00::1]:5", "[fd00::2]:53").payload(b"abc");
    let packet = parse(&udp.clone().extension(0, &[1, 4]).extension(60, &[1; 20]).extension(43, &[0, 0]));
    assert_eq!((packet.protocol, packet.l4_offset), (17, 40 + 8 + 24 + 8));
    assert_eq!(packet.l4, L4::Udp { src_port: 5, dst_port: 53, len: 11 });
    assert!(packet.dont_fragment);
    assert_eq!(packet.to_string(), "IP6 [fd00::1]:5 > [fd00::2]:53: udp length 3");

    let routed = parse(&udp.clone().extension(43, &[0, 1]));
    assert_eq!((routed.protocol, routed.l4_offset, routed.l4), (17, 48, L4::Other), "a hop is left to visit");

    let hop_by_hop_late = udp.clone().extension(60, &[]).extension(0, &[]).bytes();
    assert_eq!(Packet::parse(&hop_by_hop_late), Err(ParseError::BadExtension));
    let many = (0..9).fold(udp, |udp, _| udp.extension(60, &[])).bytes();
    assert_eq!(Packet::parse(&many), Err(ParseError::BadExtension));
}

#[test]
fn icmp_and_other_protocols() {
    assert_eq!(parse(&build::ping("10.0.0.1", "10.0.0.2", 1, 2)).l4, L4::Icmp { kind: 8, code: 0 });
    assert_eq!(parse(&build::ping("fd00::1", "fd00::2", 1, 2)).l4, L4::Icmp6 { kind: 128, code: 0 });
    for protocol in [50, 51, 47, 1] {
        let packet = parse(&build::raw("fd00::1", "fd00::2", protocol).payload(&[0; 24]));
        assert_eq!((packet.protocol, packet.l4_offset, packet.l4), (protocol, 40, L4::Other));
    }
    let packet = parse(&build::raw("10.0.0.1", "10.0.0.2", 58));
    assert_eq!((packet.l4, packet.payload_len()), (L4::Other, 0));
    assert_eq!(packet.to_string(), "IP 10.0.0.1 > 10.0.0.2: protocol 58 length 0");
}

#[test]
fn fragments() {
    for udp in [build::udp("10.0.0.1:5", "10.0.0.2:53"), build::udp("[fd00::1]:5", "[fd00::2]:53")] {
        let pieces: Vec<_> =
            udp.payload_len(40).fragments(16).iter().map(|piece| Packet::parse(piece).unwrap()).collect();
        assert_eq!(pieces.len(), 3);
        assert_eq!((pieces[0].fragment, pieces[0].ports()), (Fragment::First, Some((5, 53))));
        for later in &pieces[1..] {
            assert_eq!((later.fragment, later.l4, later.payload_len()), (Fragment::Later, L4::Other, 16));
        }
        assert!(pieces[2].to_string().ends_with("(later fragment)"));
    }
    let atomic = parse(&build::udp("[fd00::1]:5", "[fd00::2]:53").extension(44, &[0, 0, 0, 0, 0, 1]));
    assert_eq!((atomic.fragment, atomic.ports()), (Fragment::None, Some((5, 53))), "RFC 6946");
    // What a later fragment begins with is data, even where its protocol number is that of an extension header.
    let later = build::raw("fd00::1", "fd00::2", 60).extension(44, &[0, 8]).payload(&[0xff; 3]);
    assert_eq!((parse(&later).fragment, parse(&later).protocol), (Fragment::Later, 60));
}

#[test]
fn bytes_behind_the_packet_are_ignored() {
    for build in [build::udp("10.0.0.1:5", "10.0.0.2:53"), build::udp("[fd00::1]:5", "[fd00::2]:53")] {
        let mut bytes = build.payload(b"abc").bytes();
        let packet = Packet::parse(&bytes).unwrap();
        bytes.extend([9; 30]);
        assert_eq!(Packet::parse(&bytes).unwrap(), packet);
    }
    let mut empty = build::raw("fd00::1", "fd00::2", 99).bytes();
    empty.extend([9; 30]);
    assert_eq!(Packet::parse(&empty).unwrap().total_len, 40, "a payload length of zero is zero");
}

#[test]
fn refused() {
    let tcp = build::tcp("10.0.0.1:1024", "10.0.0.2:80").payload(b"abc").bytes();
    let with = |at: usize, value: u8| {
        let mut bytes = tcp.clone();
        bytes[at] = value;
        Packet::parse(&bytes)
    };
    assert_eq!(Packet::parse(&[]), Err(ParseError::Truncated));
    assert_eq!(with(0, 0x55), Err(ParseError::BadVersion));
    assert_eq!(with(0, 0x44), Err(ParseError::BadHeaderLength));
    assert_eq!(with(3, 19), Err(ParseError::BadLength));
    assert_eq!(with(3, 44), Err(ParseError::Truncated));
    assert_eq!(with(3, 39), Err(ParseError::Truncated), "half a TCP header");
    assert_eq!(with(20 + 12, 0x40), Err(ParseError::BadHeaderLength));
    assert_eq!(with(20 + 12, 0x60), Err(ParseError::Truncated), "TCP options that are not there");

    let mut udp = build::udp("[fd00::1]:5", "[fd00::2]:53").payload(b"abc").bytes();
    udp[45] = 12;
    assert_eq!(Packet::parse(&udp), Err(ParseError::BadLength));
    udp[45] = 7;
    assert_eq!(Packet::parse(&udp), Err(ParseError::BadLength));
    let icmp = build::raw("10.0.0.1", "10.0.0.2", 1).payload(&[8, 0, 0, 0]).bytes();
    assert_eq!(Packet::parse(&icmp), Err(ParseError::Truncated));
    for build in [build::tcp("10.0.0.1:1", "10.0.0.2:2"), build::tcp("[fd00::1]:1", "[fd00::2]:2")] {
        let bytes = build.bytes();
        for len in 0..bytes.len() {
            assert_eq!(Packet::parse(&bytes[..len]), Err(ParseError::Truncated), "{len} bytes");
        }
    }
}

#[test]
fn who_has_chosen_the_way_is_known() {
    let v4 = |options: &[u8]| build::tcp("10.0.0.1:1", "10.0.0.2:2").syn().ipv4_options(options).bytes();
    let v6 = |kind, left| build::udp("[fd00::1]:5", "[fd00::2]:53").extension(43, &[kind, left]).bytes();
    let is = |bytes: Vec<u8>| Packet::parse(&bytes).unwrap().is_source_routed(&bytes);
    let routes: [&[u8]; 4] =
        [&[131, 3, 4], &[137, 3, 4], &[1, 1, 131, 7, 4, 0, 0, 0, 0], &[7, 4, 0, 0, 137, 7, 4, 0, 0, 0, 0]];
    assert!(routes.iter().all(|options| is(v4(options))));
    // Behind the end, behind what has no length or a longer one than there is, inside of another.
    let others: [&[u8]; 5] = [&[], &[0, 131, 3, 4], &[7], &[7, 40, 131, 3], &[7, 6, 0, 131, 3, 4]];
    assert!(others.iter().all(|options| !is(v4(options))));
    assert_eq!([0, 1].map(|left| [0, 2, 4].map(|kind| is(v6(kind, left)))), [[false; 3], [true; 3]]);
    let other = build::raw("fd00::1", "fd00::2", 47).extension(43, &[0, 1]).bytes();
    assert!(!is(other), "no transport is hidden");
    // A later fragment has none either.
    let pieces = build::udp("[fd00::1]:5", "[fd00::2]:53").payload_len(99).fragments(48);
    assert!(pieces.into_iter().all(|piece| !is(piece)));
}

/// The short way through the headers and the long one end at the same place.
#[test]
fn what_is_usual_is_what_the_walk_over_all_headers_says() {
    let packets = [
        build::tcp("10.0.0.1:1024", "10.0.0.2:80").syn().seq(7).tcp_options(&[1, 1, 1, 1]).payload(b"abc"),
        build::udp("10.0.0.1:53", "10.0.0.2:53").payload(b"question"),
        build::tcp("[2001:db8::1]:1024", "[2001:db8::2]:80").ack(9).payload(b"abc"),
        build::udp("[2001:db8::1]:53", "[2001:db8::2]:53").payload(b"question"),
    ];
    let mut usual = 0;
    for bytes in packets.map(|packet| packet.bytes()) {
        assert!(parse::usual(&bytes).is_some());
        for at in 0..bytes.len().min(64) {
            for value in 0..=255 {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                if let Some(packet) = parse::usual(&bytes) {
                    assert_eq!(parse::unusual(&bytes), Ok(packet), "byte {at} is {value}");
                    usual += 1;
                }
            }
        }
        for len in 0..bytes.len() {
            assert_eq!(parse::usual(&bytes[..len]), None);
        }
    }
    assert!(usual > 10_000, "{usual}");
}
