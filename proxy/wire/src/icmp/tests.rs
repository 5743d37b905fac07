use super::*;
use crate::build::{self, Build};
use crate::checksum::{verify, verify_frame};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An error about `inner`, and what quoting found.
fn error(inner: &Build, bytes: usize) -> (Frame, Packet, Option<Quoted>) {
    let quote = inner.bytes();
    let packet = Packet::parse(&quote).unwrap();
    let from = if packet.src.is_ipv4() { ip("192.0.2.254") } else { ip("2001:db8::254") };
    let frame = build::too_big(from, packet.src, 1300, &quote[..bytes.min(quote.len())]).frame();
    let packet = Packet::parse(frame.packet()).unwrap();
    let quoted = quoted(frame.packet(), &packet);
    (frame, packet, quoted)
}

fn samples() -> Vec<Build> {
    vec![
        build::tcp("10.0.0.1:80", "10.0.0.2:1024").ack(1).payload_len(100),
        build::tcp("10.0.0.1:80", "10.0.0.2:1024").ack(1).ipv4_options(&[1, 1, 1, 0]).payload_len(100),
        build::udp("10.0.0.1:80", "10.0.0.2:1024").payload_len(100),
        build::udp("10.0.0.1:80", "10.0.0.2:1024").no_checksum().payload_len(100),
        build::tcp("[fd00::1]:80", "[fd00::2]:1024").ack(1).payload_len(100),
        build::tcp("[fd00::1]:80", "[fd00::2]:1024").extension(60, &[]).ack(1).payload_len(100),
        build::udp("[fd00::1]:80", "[fd00::2]:1024").payload_len(100),
    ]
}

#[test]
fn quotes_are_read() {
    for inner in samples() {
        let packet = Packet::parse(&inner.bytes()).unwrap();
        let (_, outer, quoted) = error(&inner, packet.l4_offset + 8);
        let quoted = quoted.unwrap();
        assert_eq!((quoted.src, quoted.dst, quoted.protocol), (packet.src, packet.dst, packet.protocol));
        assert_eq!((quoted.src_port, quoted.dst_port, quoted.mtu), (80, 1024, Some(1300)));
        assert_eq!(quoted.offset, outer.l4_offset + 8);
        assert_eq!(quoted.l4_offset, quoted.offset + packet.l4_offset);
        assert!(error(&inner, packet.l4_offset + 4).2.is_some(), "the ports suffice");
        assert_eq!(error(&inner, packet.l4_offset + 3).2, None);
    }
}

#[test]
fn rewriting_a_quote_keeps_every_checksum_right() {
    for inner in samples() {
        let original = Packet::parse(&inner.bytes()).unwrap();
        for bytes in original.l4_offset + 4..=original.total_len {
            let (mut frame, packet, quoted) = error(&inner, bytes);
            let quoted = quoted.unwrap();
            let (src, dst) = match quoted.family {
                Family::V4 => (ip("203.0.113.5"), ip("198.51.100.77")),
                Family::V6 => (ip("2001:db8:5::5"), ip("2001:db8:77::77")),
            };
            rewrite_quoted(&mut frame, &packet, &quoted, Side::Source, src, 8080);
            rewrite_quoted(&mut frame, &packet, &quoted, Side::Destination, dst, 999);
            edit::set_source(&mut frame, &packet, src, 0);
            edit::set_destination(&mut frame, &packet, dst, 0);
            verify_frame(&frame).unwrap();
            let after = super::quoted(frame.packet(), &Packet::parse(frame.packet()).unwrap()).unwrap();
            assert_eq!((after.src, after.dst), (src, dst));
            assert_eq!((after.src_port, after.dst_port), (8080, 999));
            let quote = &frame.packet()[quoted.offset..];
            if bytes == original.total_len {
                verify(quote).unwrap();
            } else if quoted.family == Family::V4 {
                assert_eq!(crate::checksum::sum(&quote[..original.l4_offset]), 0xffff);
            }
        }
    }
}

#[test]
fn a_partial_checksum_of_the_error_stays_partial() {
    let inner = &samples()[4];
    let mut frame = build::too_big("fd00::9", "fd00::1", 1280, &inner.bytes()).partial().frame();
    let packet = Packet::parse(frame.packet()).unwrap();
    let quoted = quoted(frame.packet(), &packet).unwrap();
    rewrite_quoted(&mut frame, &packet, &quoted, Side::Source, ip("2001:db8::1"), 5);
    edit::set_destination(&mut frame, &packet, ip("2001:db8::1"), 0);
    verify_frame(&frame).unwrap();
    assert!(crate::checksum::complete(&mut frame));
    verify(frame.packet()).unwrap();
    verify(&frame.packet()[quoted.offset..]).unwrap();
}

#[test]
fn nothing_to_quote() {
    let none = |build: Build| {
        let bytes = build.bytes();
        assert_eq!(quoted(&bytes, &Packet::parse(&bytes).unwrap()), None);
    };
    let tcp = build::tcp("10.0.0.1:80", "10.0.0.2:1024").payload_len(50).may_fragment();
    let quote = tcp.bytes();
    none(build::icmp("10.9.9.9", "10.0.0.1", 8, 0, 0).payload(&quote));
    none(build::icmp("10.9.9.9", "10.0.0.1", 5, 0, 0).payload(&quote));
    none(build::unreachable_port("fd00::9", "fd00::1", &quote));
    none(build::unreachable_port("10.9.9.9", "10.0.0.1", &[]));
    none(build::unreachable_port("10.9.9.9", "10.0.0.1", &[0x46; 20]));
    none(build::unreachable_port("10.9.9.9", "10.0.0.1", &tcp.fragments(40)[1]));
    none(build::unreachable_port("10.9.9.9", "10.0.0.1", &build::ping("10.0.0.1", "10.0.0.2", 1, 1).bytes()));
    none(tcp);
}

#[test]
fn a_quoted_sequence_number_is_rewritten_as_far_as_it_is_quoted() {
    for inner in samples() {
        let original = Packet::parse(&inner.bytes()).unwrap();
        for bytes in original.l4_offset + 4..=original.total_len {
            let (mut frame, packet, quoted) = error(&inner, bytes);
            let before = frame.packet().to_vec();
            let quoted = quoted.unwrap();
            map_quoted_seq(&mut frame, &packet, &quoted, |seq| seq.wrapping_sub(0x1_0001));
            assert_eq!(verify(frame.packet()), Ok(()), "{bytes} bytes of {original}");
            let at = quoted.l4_offset + 4;
            if quoted.protocol == TCP && bytes >= original.l4_offset + 8 {
                assert_eq!(get32(frame.packet(), at), 0xfffe_ffff);
            } else {
                assert_eq!(frame.packet(), before);
            }
        }
    }
}
