//! Whatever the bytes: nothing panics, and what parses keeps the promises that the rest of the program relies on.

#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use etherparse::{LaxSlicedPacket, TransportSlice};
use proptest::prelude::*;
use proptest::sample::Index;
use wire::checksum::{self, ChecksumError, verify, verify_frame};
use wire::edit::{self, Side};
use wire::frame::{Checksum, Frame, GsoKind, Offload};
use wire::packet::piece::set_identification;
use wire::packet::{Fragment, L4, Packet};
use wire::{arp, build};
use wire::{gso, icmp, ndp, reply, vnet};

/// Does everything that this crate can do with a packet. The frame is scratch space.
fn everything(frame: &mut Frame, bytes: &[u8], offload: Offload) {
    let load = |frame: &mut Frame| {
        frame.set_packet(bytes);
        frame.offload = offload;
    };
    load(frame);
    let _ = ndp::answer(bytes, [2; 6], |_| true, [2; 6]);
    let _ = verify(bytes);
    let parsed = Packet::parse(bytes);
    assert_eq!(
        verify_frame(frame).is_err_and(|error| matches!(error, ChecksumError::Parse(_))),
        parsed.is_err()
    );
    checksum::complete(frame);
    let Ok(packet) = parsed else { return };

    assert!(packet.l4_offset <= packet.header_len() && packet.header_len() <= packet.total_len);
    assert!(packet.total_len <= bytes.len());
    assert!(packet.fragment != Fragment::Later || packet.l4 == L4::Other);
    assert!(!packet.to_string().is_empty());
    agrees_with_etherparse(bytes, &packet);
    assert!(checksum::is_header_right(bytes, &packet) || verify(bytes) == Err(ChecksumError::Network));
    // Of IPv6 what hides the transport is known.
    assert!(!packet.is_source_routed(bytes) || packet.src.is_ipv4() || packet.l4 == L4::Other);

    load(frame);
    let (segments, largest) = (gso::segments(frame, &packet), gso::largest(frame, &packet));
    assert!(segments >= 1 && largest <= packet.total_len);
    assert!(gso::wire_bytes(frame, &packet) >= packet.total_len as u64);

    let other = match packet.src {
        IpAddr::V4(_) => ["192.0.2.1", "2001:db8::1"],
        IpAddr::V6(_) => ["2001:db8::1", "192.0.2.1"],
    }
    .map(|text| text.parse::<IpAddr>().unwrap());
    for (family, ip) in other.into_iter().enumerate() {
        let right = verify_frame(frame).is_ok();
        edit::set_source(frame, &packet, ip, 1);
        edit::set_destination(frame, &packet, ip, 2);
        if family == 1 {
            edit::set_ttl(frame, &packet, 3);
        }
        // All zero under a checksum is the one sum that cannot be updated; only arbitrary bytes have it.
        assert!(
            !right || verify_frame(frame).is_ok(),
            "edits made a right checksum wrong: {packet} {bytes:02x?}"
        );
        let after = Packet::parse(frame.packet()).unwrap();
        assert_eq!((after.src, after.dst), (other[0], other[0]), "the other family changes nothing");
        assert_eq!(after.l4_offset, packet.l4_offset);
    }

    load(frame);
    if let Some(quoted) = icmp::quoted(frame.packet(), &packet) {
        let right = verify_frame(frame).is_ok();
        for (side, ip) in [(Side::Source, other[0]), (Side::Destination, other[0]), (Side::Source, other[1])]
        {
            icmp::rewrite_quoted(frame, &packet, &quoted, side, ip, 0xffff);
        }
        let after = icmp::quoted(frame.packet(), &packet).unwrap();
        assert_eq!(
            (after.src, after.dst, after.src_port, after.dst_port),
            (other[0], other[0], 0xffff, 0xffff)
        );
        assert!(!right || verify_frame(frame).is_ok());
    }

    load(frame);
    if let Some(tunnelled) = icmp::tunnelled(frame.packet(), &packet) {
        for (from, mtu) in [(other[0], None), (other[0], Some(1400)), (other[1], Some(1280))] {
            load(frame);
            if icmp::tell_sender(frame, &packet, &tunnelled, from, mtu) {
                assert!(verify(frame.packet()).is_ok());
            }
        }
    }
    load(frame);
    let right = verify_frame(frame).is_ok();
    set_identification(frame, &packet, 0xffff_0001);
    assert!(!right || verify_frame(frame).is_ok());
    if let Some(piece) = packet.piece(bytes) {
        assert!(piece.start < piece.end && packet.fragment != Fragment::None, "{piece:?}");
        assert_eq!(packet.piece(frame.packet()).unwrap().id & 0xffff, 1);
        reply::echo_rest(frame, &packet);
    }

    let answers: [&dyn Fn(&mut Frame) -> bool; 5] = [
        &|frame| reply::tcp_reset(frame, &packet),
        &|frame| reply::icmp_unreachable_port(frame, &packet, other[0]),
        &|frame| reply::icmp_unreachable_port(frame, &packet, other[1]),
        &|frame| reply::icmp_too_big(frame, &packet, other[0], 1280),
        &|frame| reply::echo(frame, &packet),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        load(frame);
        let right = number < 4 || verify_frame(frame).is_ok();
        if answer(frame) {
            let reply = Packet::parse(frame.packet()).unwrap();
            assert_eq!((reply.dst, reply.ttl, frame.offload), (packet.src, 64, Offload::default()));
            assert!(!right || verify(frame.packet()).is_ok(), "answer {number} to {packet} is wrong");
        } else {
            assert_eq!((frame.packet(), frame.offload), (bytes, offload));
        }
    }
}

/// Ports that we see are ports that etherparse sees.
fn agrees_with_etherparse(bytes: &[u8], packet: &Packet) {
    let Some(ports) = packet.ports().filter(|_| packet.fragment == Fragment::None) else { return };
    let sliced = LaxSlicedPacket::from_ip(&bytes[..packet.total_len]).unwrap();
    let theirs = match sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => (tcp.source_port(), tcp.destination_port()),
        Some(TransportSlice::Udp(udp)) => (udp.source_port(), udp.destination_port()),
        // It does not know SCTP.
        None if packet.protocol == 132 => return,
        other => panic!("etherparse sees {other:?} in {packet}"),
    };
    assert_eq!(theirs, ports);
}

fn samples() -> Vec<(Vec<u8>, Offload)> {
    let mut all = Vec::new();
    for (a, b) in [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")] {
        let tcp = build::tcp((a, 1024), (b, 80)).seq(5).ack(6).payload(b"some bytes");
        let udp = build::udp((a, 1024), (b, 53)).payload(b"some bytes");
        let sctp = build::sctp((a, 1024), (b, 80)).tag(7).chunk(10, b"a cookie");
        let ping = build::ping(a, b, 1, 1);
        let extended = if a.contains(':') {
            vec![
                tcp.clone().extension(0, &[1, 4]).extension(60, &[1, 20]),
                udp.clone().extension(43, &[0, 0]),
                udp.clone().extension(43, &[0, 1]),
                tcp.clone().extension(44, &[0, 0, 0, 0, 0, 1]),
            ]
        } else {
            vec![tcp.clone().ipv4_options(&[7, 7, 4, 0, 0, 0, 0]), udp.clone().no_checksum()]
        };
        let plain = [
            tcp.clone(),
            tcp.clone().syn().tcp_options(&[2, 4, 5, 0xb4, 1, 3, 3, 7]),
            tcp.clone().partial(),
            tcp.clone().gso(3),
            udp.clone(),
            udp.clone().partial(),
            udp.clone().gso(4),
            ping.clone(),
            ping.partial(),
            build::too_big(b, a, 1300, &tcp.bytes()),
            build::unreachable_port(b, a, &udp.bytes()),
            build::time_exceeded(b, a, &tcp.bytes()[..48.min(tcp.bytes().len())]),
            build::raw(a, b, 132).payload(&[1; 12]),
            sctp.clone(),
            sctp.clone().partial(),
            sctp.clone().chunk(6, &[]),
            build::unreachable_port(b, a, &sctp.bytes()),
        ];
        for build in plain.iter().chain(&extended) {
            let frame = build.frame();
            all.push((frame.packet().to_vec(), frame.offload));
        }
        all.extend(udp.payload_len(40).fragments(16).into_iter().map(|bytes| (bytes, Offload::default())));
    }
    all
}

#[test]
fn every_truncation_and_every_changed_byte() {
    let mut frame = Frame::new();
    for (bytes, offload) in samples() {
        everything(&mut frame, &bytes, offload);
        for len in 0..bytes.len() {
            everything(&mut frame, &bytes[..len], offload);
        }
        let mut changed = bytes.clone();
        for at in 0..bytes.len() {
            let flipped = (0..8).map(|bit| bytes[at] ^ (1 << bit));
            for value in [0, 1, 6, 17, 43, 44, 58, 60, 0x7f, 0x80, 0xff].into_iter().chain(flipped) {
                changed[at] = value;
                everything(&mut frame, &changed, offload);
            }
            changed[at] = bytes[at];
        }
    }
}

fn offload() -> impl Strategy<Value = Offload> {
    let checksum = prop_oneof![
        Just(Checksum::Complete),
        (0..70u16, 0..20u16).prop_map(|(start, offset)| Checksum::Partial { start, offset }),
        (any::<u16>(), any::<u16>()).prop_map(|(start, offset)| Checksum::Partial { start, offset }),
    ];
    let gso =
        prop_oneof![Just(GsoKind::None), Just(GsoKind::TcpV4), Just(GsoKind::TcpV6), Just(GsoKind::Udp)];
    let size = prop_oneof![0..30u16, any::<u16>()];
    (checksum, gso, size, any::<u16>(), any::<bool>())
        .prop_map(|(checksum, gso, gso_size, hdr_len, ecn)| Offload { checksum, gso, gso_size, hdr_len, ecn })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..200), v6 in any::<bool>(), offload in offload()) {
        let _ = arp::answer(&bytes, |_| true, [2; 6]);
        if let Some(first) = bytes.first_mut() {
            *first = if v6 { 0x60 } else { 0x40 | (*first & 7) };
        }
        everything(&mut Frame::new(), &bytes, offload);
    }

    #[test]
    fn damaged_packets(
        sample in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        cut in any::<Index>(),
        tail in prop::collection::vec(any::<u8>(), 0..20),
        random in prop::option::of(offload()),
    ) {
        let (mut bytes, own) = samples().swap_remove(sample.index(samples().len()));
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.extend(tail);
        bytes.truncate(bytes.len() - cut.index(bytes.len()) / 4);
        everything(&mut Frame::new(), &bytes, random.unwrap_or(own));
    }

    #[test]
    fn virtio_headers(header in any::<[u8; vnet::LEN]>()) {
        if let Ok(offload) = vnet::parse(&header) {
            prop_assert_eq!(vnet::parse(&vnet::emit(&offload)), Ok(offload));
        } else {
            prop_assert!(!matches!(header[1] & 0x7f, 0 | 1 | 4 | 5));
        }
    }
}
