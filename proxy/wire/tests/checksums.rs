//! Edits against full computations by others: after any sequence of edits every checksum field holds exactly what
//! etherparse computes from scratch, and smoltcp accepts the packet.

#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use etherparse::{Icmpv6Slice, Ipv4HeaderSlice, Ipv6HeaderSlice, NetSlice, SlicedPacket, TransportSlice};
use proptest::prelude::*;
use smoltcp::wire::{self as smol, IpAddress};
use wire::build::{self, Build};
use wire::checksum::{self, verify, verify_frame};
use wire::edit::{self, Side};
use wire::frame::{Checksum, Frame, GsoKind};
use wire::packet::{L4, Packet};
use wire::{icmp, reply};

/// Words that one's complement arithmetic stumbles over, and others.
fn word() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0), Just(0xffff), Just(1), Just(0xfffe), any::<u16>()]
}

fn addr(v6: bool) -> impl Strategy<Value = IpAddr> {
    prop::collection::vec(word(), 8).prop_map(move |words| {
        if v6 {
            IpAddr::from([words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7]])
        } else {
            IpAddr::from(
                [words[0].to_be_bytes(), words[1].to_be_bytes()]
                    .concat()
                    .first_chunk::<4>()
                    .copied()
                    .unwrap(),
            )
        }
    })
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::collection::vec(word(), 0..80);
    (words, any::<bool>()).prop_map(|(words, odd)| {
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u16::to_be_bytes).collect();
        if odd {
            bytes.pop();
        }
        bytes
    })
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Complete,
    Partial,
    None,
    Gso(u16),
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![Just(Form::Complete), Just(Form::Partial), Just(Form::None), (1..100u16).prop_map(Form::Gso)]
}

/// TCP, UDP and pings, of a given family, in every form of checksum.
fn packets(v6: bool) -> impl Strategy<Value = Build> {
    let ip = (addr(v6), addr(v6), word(), word(), any::<u8>(), any::<bool>());
    let tcp = (any::<u32>(), any::<u32>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..40));
    (ip, tcp, payload(), form(), 0..3).prop_map(move |(ip, tcp, payload, form, protocol)| {
        let (src, dst, from, to, ttl, options) = ip;
        let (seq, ack, flags, tcp_options) = tcp;
        let build = match protocol {
            0 => {
                let tcp = build::tcp((src, from), (dst, to)).seq(seq).ack(ack).tcp_options(&tcp_options);
                tcp.flags(wire::packet::TcpFlags(flags))
            }
            1 => build::udp((src, from), (dst, to)),
            _ => build::ping(src, dst, from, to),
        };
        let build = build.payload(&payload).ttl(ttl);
        let build = match (options, v6) {
            (true, false) => build.ipv4_options(&[1, 1, 0xff, 0xff, 0]),
            (true, true) => build.extension(60, &[1, 4, 0xff, 0xff, 0xff, 0xff]),
            (false, _) => build,
        };
        match (form, protocol) {
            (Form::Complete, _) | (Form::None, 0 | 2) => build,
            (Form::Partial, _) | (Form::Gso(_), 2) => build.partial(),
            (Form::None, _) => build.no_checksum(),
            (Form::Gso(size), _) => build.gso(size),
        }
    })
}

#[derive(Clone, Debug)]
enum Edit {
    Set(Side, IpAddr, u16),
    Ttl(u8),
}

fn edits(v6: bool) -> impl Strategy<Value = Vec<Edit>> {
    let side = prop_oneof![Just(Side::Source), Just(Side::Destination)];
    let set = (side, addr(v6), word()).prop_map(|(side, ip, port)| Edit::Set(side, ip, port));
    prop::collection::vec(prop_oneof![4 => set, 1 => any::<u8>().prop_map(Edit::Ttl)], 1..6)
}

fn work(v6: bool) -> impl Strategy<Value = (Build, Vec<Edit>)> {
    (packets(v6), edits(v6))
}

fn either() -> impl Strategy<Value = (Build, Vec<Edit>)> {
    any::<bool>().prop_flat_map(work)
}

/// The transport checksum of a packet as it stands, and as etherparse computes it (as UDP sends it).
fn by_etherparse(bytes: &[u8]) -> (u16, u16) {
    let sliced = SlicedPacket::from_ip(bytes).unwrap();
    match (sliced.net.unwrap(), sliced.transport.unwrap()) {
        (NetSlice::Ipv4(ip), TransportSlice::Tcp(tcp)) => {
            let header = ip.header();
            (tcp.checksum(), tcp.calc_checksum_ipv4(header.source(), header.destination()).unwrap())
        }
        (NetSlice::Ipv6(ip), TransportSlice::Tcp(tcp)) => {
            let header = ip.header();
            (tcp.checksum(), tcp.calc_checksum_ipv6(header.source(), header.destination()).unwrap())
        }
        (NetSlice::Ipv4(ip), TransportSlice::Udp(udp)) => {
            let header = udp.to_header();
            (udp.checksum(), header.calc_checksum_ipv4(&ip.header().to_header(), udp.payload()).unwrap())
        }
        (NetSlice::Ipv6(ip), TransportSlice::Udp(udp)) => {
            let header = udp.to_header();
            (udp.checksum(), header.calc_checksum_ipv6(&ip.header().to_header(), udp.payload()).unwrap())
        }
        (NetSlice::Ipv4(_), TransportSlice::Icmpv4(icmp)) => {
            (icmp.checksum(), icmp.icmp_type().calc_checksum(icmp.payload()))
        }
        (NetSlice::Ipv6(ip), TransportSlice::Icmpv6(icmp)) => {
            (icmp.checksum(), by_etherparse_icmp6(&ip.header(), &icmp))
        }
        other => panic!("{other:?}"),
    }
}

fn by_etherparse_icmp6(ip: &Ipv6HeaderSlice<'_>, icmp: &Icmpv6Slice<'_>) -> u16 {
    icmp.icmp_type().calc_checksum(ip.source(), ip.destination(), icmp.payload()).unwrap()
}

/// smoltcp's verdict on the transport checksum.
fn smoltcp_accepts(bytes: &[u8]) -> bool {
    let packet = Packet::parse(bytes).unwrap();
    let (src, dst) = (IpAddress::from(packet.src), IpAddress::from(packet.dst));
    let l4 = &bytes[packet.l4_offset..packet.total_len];
    match (packet.l4, packet.src, packet.dst) {
        (L4::Tcp { .. }, ..) => smol::TcpPacket::new_unchecked(l4).verify_checksum(&src, &dst),
        (L4::Udp { .. }, ..) => smol::UdpPacket::new_unchecked(l4).verify_checksum(&src, &dst),
        (L4::Icmp { .. }, ..) => smol::Icmpv4Packet::new_unchecked(l4).verify_checksum(),
        (L4::Icmp6 { .. }, IpAddr::V6(src), IpAddr::V6(dst)) => {
            smol::Icmpv6Packet::new_unchecked(l4).verify_checksum(&src, &dst)
        }
        other => panic!("{other:?}"),
    }
}

/// Everything that has to hold for a frame that we emit.
fn check(frame: &Frame) {
    verify_frame(frame).unwrap();
    let bytes = frame.packet();
    let packet = Packet::parse(bytes).unwrap();
    if packet.src.is_ipv4() {
        let header = Ipv4HeaderSlice::from_slice(bytes).unwrap();
        assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
        assert!(smol::Ipv4Packet::new_unchecked(bytes).verify_checksum());
    }
    match frame.offload.checksum {
        Checksum::Complete => {
            let (stands, computed) = by_etherparse(bytes);
            let none = stands == 0 && matches!(packet.l4, L4::Udp { .. });
            assert!(none || stands == computed, "{stands:04x}, by etherparse {computed:04x}");
            assert!(smoltcp_accepts(bytes) || (none && packet.src.is_ipv6()));
        }
        Checksum::Partial { start, offset } => {
            let (src, dst) = (IpAddress::from(packet.src), IpAddress::from(packet.dst));
            let l4 = &bytes[usize::from(start)..];
            assert_eq!(usize::from(start), packet.l4_offset);
            match packet.l4 {
                L4::Tcp { .. } => {
                    assert!(smol::TcpPacket::new_unchecked(l4).verify_partial_checksum(&src, &dst))
                }
                L4::Udp { .. } => {
                    assert!(smol::UdpPacket::new_unchecked(l4).verify_partial_checksum(&src, &dst))
                }
                L4::Icmp { .. } => assert_eq!((offset, &l4[2..4]), (2, &[0, 0][..])),
                _ => assert_eq!(offset, 2),
            }
            // What the sender of the frame would make of it.
            let mut finished = frame.clone();
            finished.offload.gso = GsoKind::None;
            assert!(checksum::complete(&mut finished));
            check(&finished);
        }
    }
}

fn apply(frame: &mut Frame, packet: &Packet, edit: &Edit) {
    match *edit {
        Edit::Set(Side::Source, ip, port) => edit::set_source(frame, packet, ip, port),
        Edit::Set(Side::Destination, ip, port) => edit::set_destination(frame, packet, ip, port),
        Edit::Ttl(ttl) => edit::set_ttl(frame, packet, ttl),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn edits_agree_with_full_computation((build, edits) in either()) {
        // An illegal packet that exists all the same: it stays as it is.
        let none_over_v6 = verify_frame(&build.frame()).is_err();
        let mut frame = build.frame();
        let (packet, offload) = (Packet::parse(frame.packet()).unwrap(), frame.offload);
        for edit in &edits {
            apply(&mut frame, &packet, edit);
            if none_over_v6 {
                prop_assert_eq!(frame.packet()[packet.l4_offset + 6..packet.l4_offset + 8].to_vec(), [0, 0]);
            } else {
                check(&frame);
            }
        }
        prop_assert_eq!(frame.offload, offload);

        // Nothing but what was edited has changed, and the way back leads to the very same bytes.
        let after = Packet::parse(frame.packet()).unwrap();
        prop_assert_eq!(after.payload_len(), packet.payload_len());
        let (from, to) = packet.ports().unwrap_or_default();
        edit::set_source(&mut frame, &packet, packet.src, from);
        edit::set_destination(&mut frame, &packet, packet.dst, to);
        edit::set_ttl(&mut frame, &packet, packet.ttl);
        let original = build.bytes();
        if frame.packet() != original {
            // A partial checksum of zero has two forms.
            let at = packet.l4_offset..packet.l4_offset + 18;
            prop_assert!(matches!(offload.checksum, Checksum::Partial { .. }), "{:?} {:?}", &frame.packet()[at.clone()], &original[at]);
            prop_assert!(verify_frame(&frame).is_ok());
        }
    }

    #[test]
    fn sums_agree(bytes in prop::collection::vec(any::<u8>(), 0..300), zeros in 0usize..40) {
        let bytes = [bytes, vec![0; zeros]].concat();
        // smoltcp's folding leaves the same form of zero.
        prop_assert_eq!(checksum::sum(&bytes), smol::checksum::data(&bytes));
    }

    #[test]
    fn pseudo_headers_agree(v6 in any::<bool>(), words in prop::collection::vec(word(), 16), len in any::<u16>()) {
        let half = |words: &[u16]| -> IpAddr {
            if v6 {
                IpAddr::from(*words.first_chunk::<8>().unwrap())
            } else {
                IpAddr::from((u32::from(words[0]) << 16 | u32::from(words[1])).to_be_bytes())
            }
        };
        let (src, dst) = (half(&words[..8]), half(&words[8..]));
        let theirs = smol::checksum::pseudo_header(&src.into(), &dst.into(), smol::IpProtocol::Tcp, len.into());
        prop_assert_eq!(checksum::pseudo_header(src, dst, 6, len.into()), theirs);
    }

    #[test]
    fn updates_agree_with_sums(
        mut words in prop::collection::vec(word(), 2..20),
        changes in prop::collection::vec((any::<prop::sample::Index>(), word()), 1..8),
    ) {
        let bytes = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
        let old = !checksum::sum(&bytes(&words));
        let mut delta = checksum::Delta::default();
        for (index, new) in changes {
            let at = index.index(words.len());
            delta = delta.word(words[at], new);
            words[at] = new;
        }
        let new = !checksum::sum(&bytes(&words));
        let updated = delta.apply(old);
        // Data that is or was all zero alone has no sum to update (RFC 1624 section 3); no IP packet is.
        prop_assert!(updated == new || words.iter().all(|word| *word == 0) || old == 0xffff);
        prop_assert_eq!(u32::from(updated) % 0xffff, u32::from(new) % 0xffff);
    }

    #[test]
    fn answers_verify((build, _) in either(), mtu in any::<u32>()) {
        let frame = build.frame();
        let packet = Packet::parse(frame.packet()).unwrap();
        let from = packet.dst;
        let answers: [&dyn Fn(&mut Frame) -> bool; 4] = [
            &|frame| reply::tcp_reset(frame, &packet),
            &|frame| reply::icmp_unreachable_port(frame, &packet, from),
            &|frame| reply::icmp_too_big(frame, &packet, from, mtu),
            &|frame| reply::echo(frame, &packet),
        ];
        for answer in answers {
            let mut reply = frame.clone();
            if answer(&mut reply) {
                prop_assert_eq!(reply.offload.checksum, Checksum::Complete);
                check(&reply);
                let to = Packet::parse(reply.packet()).unwrap();
                prop_assert_eq!((to.src, to.dst), (from, packet.src));
                if let Some(quoted) = icmp::quoted(reply.packet(), &to) {
                    prop_assert_eq!((quoted.src, quoted.dst), (packet.src, packet.dst));
                    prop_assert_eq!(Some((quoted.src_port, quoted.dst_port)), packet.ports());
                }
            } else {
                prop_assert_eq!(reply.packet(), frame.packet());
                prop_assert_eq!(reply.offload, frame.offload);
            }
        }
    }

    #[test]
    fn rewritten_quotes_verify((build, edits) in either(), cut in any::<prop::sample::Index>(), partial in any::<bool>()) {
        let inner = build.bytes();
        let inner_packet = Packet::parse(&inner).unwrap();
        let (from, to) = (inner_packet.dst, inner_packet.src);
        let whole = cut.index(4) == 0;
        let cut = if whole { inner.len() } else { cut.index(inner.len() + 1) };
        let error = build::unreachable_port(from, to, &inner[..cut]);
        let mut frame = if partial { error.partial() } else { error }.frame();
        let packet = Packet::parse(frame.packet()).unwrap();
        let inner_right = verify(&inner).is_ok();
        match icmp::quoted(frame.packet(), &packet) {
            None => prop_assert!(inner_packet.ports().is_none() || cut < inner_packet.l4_offset + 4),
            Some(quoted) => {
                prop_assert_eq!(Some((quoted.src_port, quoted.dst_port)), inner_packet.ports());
                for edit in &edits {
                    let Edit::Set(side, ip, port) = *edit else { continue };
                    icmp::rewrite_quoted(&mut frame, &packet, &quoted, side, ip, port);
                    edit::set(&mut frame, &packet, side, ip, port);
                    check(&frame);
                    if whole && inner_right {
                        prop_assert!(verify(&frame.packet()[quoted.offset..]).is_ok());
                    }
                }
            }
        }
    }
}
