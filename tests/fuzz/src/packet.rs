//! The packet parser, and every edit and answer that trusts it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::decap::{self, Carrier};
use wire::edit::{self, Side};
use wire::frame::{Checksum, Frame, GsoKind, MAX_PACKET};
use wire::gro::Gro;
use wire::packet::{Family, L4, Packet};
use wire::{checksum, gso, icmp, reply, tcp, vnet};

use crate::input::Input;

/// Ten bytes of a virtio header, an address and a port to write, and the packet.
///
/// Whatever it is, nothing panics; what is found lies inside it; and no edit makes a right checksum wrong.
pub fn packet(data: &[u8]) {
    let mut input = Input(data);
    let (header, addr, port) = (input.array::<{ vnet::LEN }>(), input.array::<16>(), input.word());
    let bytes = &input.0[..input.0.len().min(MAX_PACKET)];
    tunnels(bytes, addr[0]);
    let mut frame = Frame::from_packet(bytes);
    if let Ok(offload) = vnet::parse(&header) {
        assert_eq!(vnet::parse(&vnet::emit(&offload)), Ok(offload));
        frame.offload = offload;
    }
    let Ok(packet) = Packet::parse(frame.packet()) else {
        assert!(checksum::verify_frame(&frame).is_err());
        assert!(
            frame.offload.gso != GsoKind::None
                || frame.offload.checksum == Checksum::Complete
                || !checksum::complete(&mut frame)
        );
        return;
    };
    let addr = match packet.family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(addr[0], addr[1], addr[2], addr[3])),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(addr)),
    };
    lies_inside(&frame, &packet);
    edits(&frame, &packet, addr, port);
    segments(&frame, &packet, port);
    errors(&frame, &packet, addr, port);
    answers(&frame, &packet, addr);
}

/// What is found in a tunnel lies inside, and a super-packet of it is a packet.
fn tunnels(bytes: &[u8], class: u8) {
    let _ = decap::outer(bytes);
    for carrier in [Carrier::Ipip(Family::V4), Carrier::Ipip(Family::V6), Carrier::Gre, Carrier::Gue] {
        let mut bytes = bytes.to_vec();
        let Ok(inner) = decap::open(&mut bytes, carrier, class) else { continue };
        let bytes = &bytes[inner.at..];
        assert_eq!(Packet::parse(bytes), Ok(inner.packet));
        let (mut gro, mut sent) = (Gro::new(1), 0);
        let mut send = |frame: &mut Frame| {
            assert!(Packet::parse(frame.packet()).is_ok());
            sent += 1;
        };
        gro.add(bytes, &inner.packet, inner.checksum, &mut send);
        gro.add(bytes, &inner.packet, inner.checksum, &mut send);
        gro.flush(&mut send);
        assert!(sent == 1 || sent == 2);
    }
}

fn lies_inside(frame: &Frame, packet: &Packet) {
    assert!(packet.total_len <= frame.len() && packet.l4_offset <= packet.header_len());
    assert!(packet.header_len() <= packet.total_len, "{packet}");
    assert_eq!(packet.payload(frame.packet()).len(), packet.payload_len());
    let (segments, bytes) = (gso::segments(frame, packet), gso::wire_bytes(frame, packet));
    assert!(segments >= 1 && bytes >= packet.total_len as u64);
    assert!(gso::largest(frame, packet) <= packet.total_len, "the largest segment is larger than the whole");
}

/// Both sides and the hops.
fn edits(frame: &Frame, packet: &Packet, addr: IpAddr, port: u16) {
    let edits: [&dyn Fn(&mut Frame); 4] = [
        &|frame| edit::set_source(frame, packet, addr, port),
        &|frame| edit::set_destination(frame, packet, addr, port),
        &|frame| edit::set_ttl(frame, packet, port as u8),
        &|frame| {
            edit::set_source(frame, packet, addr, port);
            edit::set_destination(frame, packet, addr, port);
            edit::set_ttl(frame, packet, 1);
        },
    ];
    for edit in edits {
        let after = keeps_right(frame, edit);
        let again = Packet::parse(after.packet()).expect("an edited packet is one");
        assert_eq!((again.l4_offset, again.total_len), (packet.l4_offset, packet.total_len));
    }
    if has_own_checksum(frame, packet) {
        let after = keeps_right(frame, |frame| {
            assert!(checksum::complete(frame) || frame.offload.gso != GsoKind::None)
        });
        assert!(Packet::parse(after.packet()).is_ok());
    } else {
        let _ = checksum::complete(&mut frame.clone());
    }
    let mut there = frame.clone();
    edit::set_source(&mut there, packet, addr, port);
    let found = Packet::parse(there.packet()).expect("an edited packet is one");
    assert_eq!(found.src, addr);
    if let Some((from, _)) = found.ports() {
        assert_eq!(from, port);
    }
}

/// Metadata may ask for a checksum anywhere in the packet, and whoever finishes it then overwrites what is there; and it
/// goes to the packet's end, whatever a UDP header says about its own.
fn has_own_checksum(frame: &Frame, packet: &Packet) -> bool {
    let Checksum::Partial { start, offset } = frame.offload.checksum else { return true };
    let field = match packet.l4 {
        L4::Tcp { .. } => 16,
        L4::Udp { .. } => 6,
        L4::Sctp { .. } => 8,
        L4::Icmp { .. } | L4::Icmp6 { .. } => 2,
        L4::Other => return false,
    };
    let slack = match packet.l4 {
        L4::Udp { .. } => {
            let length = &frame.packet()[packet.l4_offset + 4..][..2];
            usize::from(u16::from_be_bytes([length[0], length[1]])) != packet.total_len - packet.l4_offset
        }
        _ => false,
    };
    (usize::from(start), offset) == (packet.l4_offset, field) && !slack
}

/// What is done to TCP.
fn segments(frame: &Frame, packet: &Packet, seed: u16) {
    let L4::Tcp { .. } = packet.l4 else { return };
    let options: usize = tcp::options(frame, packet).map(|option| option.data.len() + 1).sum();
    assert!(options <= tcp::MAX_HEADER);
    let (from, len) = (usize::from(seed >> 8), usize::from(seed & 0xff));
    keeps_right(frame, |frame| tcp::clamp_mss(frame, packet, seed));
    keeps_right(frame, |frame| tcp::map_sack(frame, packet, |l, r| (l % 2 == 0).then_some((l ^ 7, r))));
    keeps_right(frame, |frame| tcp::remove_options(frame, packet, |option| option.kind == seed as u8));
    if let Some(mut numbers) = tcp::numbers(frame, packet) {
        numbers.seq = numbers.seq.wrapping_add(seed.into());
        numbers.ack = !numbers.ack;
        numbers.window ^= seed;
        let after = keeps_right(frame, |frame| tcp::set_numbers(frame, packet, numbers));
        assert_eq!(tcp::numbers(&after, packet), Some(numbers));
    }
    let start = packet.header_len() + from;
    keeps_right(frame, |frame| {
        let _ = tcp::replace(frame, packet, start..start + len, b"something else");
    });
    keeps_right(frame, |frame| {
        let _ = tcp::put_option(frame, packet, &[254, 8, 0, 80, 10, 0, 0, 1]);
    });
}

/// An error's quote, rewritten on both sides.
fn errors(frame: &Frame, packet: &Packet, addr: IpAddr, port: u16) {
    let Some(quoted) = icmp::quoted(frame.packet(), packet) else { return };
    assert!(icmp::is_error(packet) && quoted.l4_offset + 4 <= packet.total_len);
    for side in [Side::Source, Side::Destination] {
        let after =
            keeps_right(frame, |frame| icmp::rewrite_quoted(frame, packet, &quoted, side, addr, port));
        let found = icmp::quoted(after.packet(), packet).expect("what it quotes can still be read");
        let end = match side {
            Side::Source => (found.src, found.src_port),
            Side::Destination => (found.dst, found.dst_port),
        };
        assert_eq!(end, (addr, port));
    }
}

/// What is said to the sender is right whatever it sent, except for a ping, of which most is sent back.
fn answers(frame: &Frame, packet: &Packet, addr: IpAddr) {
    let answers: [fn(&mut Frame, &Packet, IpAddr) -> bool; 3] = [
        |frame, packet, _| reply::tcp_reset(frame, packet),
        |frame, packet, from| reply::icmp_unreachable_port(frame, packet, from),
        |frame, packet, from| reply::icmp_too_big(frame, packet, from, 1280),
    ];
    for answer in answers {
        let mut frame = frame.clone();
        if answer(&mut frame, packet, addr) {
            assert_eq!(checksum::verify_frame(&frame), Ok(()), "an answer to {packet}");
            let answer = Packet::parse(frame.packet()).expect("checked above");
            assert_eq!((answer.dst, answer.total_len), (packet.src, frame.len()));
        }
    }
    keeps_right(frame, |frame| {
        let _ = reply::echo(frame, packet);
    });
}

/// Makes the change; if all checksums were right they still are.
fn keeps_right(frame: &Frame, change: impl FnOnce(&mut Frame)) -> Frame {
    let mut after = frame.clone();
    change(&mut after);
    if checksum::verify_frame(frame).is_ok() {
        assert_eq!(checksum::verify_frame(&after), Ok(()));
    }
    after
}
