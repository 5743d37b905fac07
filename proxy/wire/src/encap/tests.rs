//! The packets that IPVS of Linux 6.1 sent, byte for byte, and what a decapsulator makes of ours.

use super::*;
use crate::build::{self, Build};
use crate::bytes::{get16, get32};
use crate::checksum::{sum, verify, verify_frame};
use crate::frame::Offload;

const V4: &str = "10.77.21.2";
const V6: &str = "fd00:21::2";

fn encap(kind: EncapKind, server: &str) -> Encap {
    let dst: IpAddr = server.parse().unwrap();
    let src = if dst.is_ipv4() { "10.77.21.1" } else { "fd00:21::1" }.parse().unwrap();
    Encap { kind, src, dst, class: 0, ttl: 49, dont_fragment: true, id: 0, mtu: 0 }
}

fn gue(checksum: GueChecksum) -> EncapKind {
    EncapKind::Gue { port: 6080, source_port: 0x8e2b, checksum }
}

fn kinds() -> [EncapKind; 6] {
    [
        EncapKind::Ipip,
        EncapKind::Gre { checksum: false },
        EncapKind::Gre { checksum: true },
        gue(GueChecksum::None),
        gue(GueChecksum::Full),
        gue(GueChecksum::Remote),
    ]
}

fn wrap(mut frame: Frame, encap: &Encap) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    Wrapper::default()
        .wrap(&mut frame, encap, |frame| {
            assert_eq!((frame.offload, frame.encap), (Offload::default(), None));
            out.push(frame.packet().to_vec());
        })
        .unwrap();
    out
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|two| u8::from_str_radix(&two.iter().collect::<String>(), 16).unwrap()).collect()
}

/// What the client of the recording sent, as it came to the director's device; behind it, as it left.
fn request4() -> Build {
    build::udp("10.77.1.2:4001", "10.77.9.9:53").class(0xb9).ttl(49).payload(&[b'A'; 20])
}

fn request6() -> Build {
    build::udp("[fd00:1::2]:4003", "[fd00:9::9]:53").class(0xb8).ttl(49).payload(&[b'A'; 20])
}

/// A recorded packet, as the wire has it: the recording is of a device that leaves the inner UDP checksum to the next.
fn recorded(hex: &str, inner: &Build) -> Vec<u8> {
    let (mut packet, inner) = (bytes(hex), inner.bytes());
    let at = packet.len() - inner.len();
    let sum_at = packet.len() - 20 - 2;
    packet[sum_at..sum_at + 2].copy_from_slice(&inner[inner.len() - 22..][..2]);
    assert_eq!(packet[at..], inner);
    packet
}

#[test]
fn what_ipvs_sends_over_ipv4() {
    let inner4 = "45b900300000400031112a600a4d01020a4d09090fa10035001c1ed2
                  4141414141414141414141414141414141414141";
    let outer = [
        "45b900440000400031040a610a4d15010a4d1502",
        "45b9004800004000312f0a320a4d15010a4d1502 00000800",
        "45b9004c00004000312f0a2e0a4d15010a4d1502 8000080096d10000",
        "45b900500000400031110a480a4d15010a4d1502 8e2b17c0003c0000 00040000",
        "45b900500000400031110a480a4d15010a4d1502 8e2b17c0003c39bc 00040000",
    ];
    for (kind, outer) in kinds().into_iter().zip(outer) {
        let encap = Encap { class: outer_class(&request4().bytes()), ..encap(kind, V4) };
        for frame in [request4().frame(), request4().partial().frame()] {
            assert_eq!(wrap(frame, &encap), [recorded(&format!("{outer}{inner4}"), &request4())], "{kind:?}");
        }
    }
    let inner6 = "6b89d9e4001c1131fd000001000000000000000000000002fd000009000000000000000000000009
                  0fa30035001cfa434141414141414141414141414141414141414141";
    let outer = [
        "45b800580b39000031293ef00a4d15010a4d1502",
        "45b8005c30ab0000312f19740a4d15010a4d1502 000086dd",
        "45b80060329c0000312f177f0a4d15010a4d1502 800086dda2930000",
        "45b800648e2500003111bc0f0a4d15010a4d1502 cae017c000500000 00290000",
        "45b8006491aa00003111b88a0a4d15010a4d1502 cae017c000508759 00290000",
    ];
    for (kind, outer) in kinds().into_iter().zip(outer) {
        let kind = match kind {
            EncapKind::Gue { port, checksum, .. } => EncapKind::Gue { port, source_port: 0xcae0, checksum },
            other => other,
        };
        let id = u32::from(get16(&bytes(outer), 4));
        let encap =
            Encap { class: outer_class(&request6().bytes()), dont_fragment: false, id, ..encap(kind, V4) };
        let mut frame = request6().partial().frame();
        // Its flow label.
        frame.packet_mut()[1..4].copy_from_slice(&[0x89, 0xd9, 0xe4]);
        let mut want = bytes(&format!("{outer}{inner6}"));
        let sum_at = want.len() - 22;
        want[sum_at..sum_at + 2].copy_from_slice(&request6().bytes()[46..48]);
        assert_eq!(wrap(frame, &encap), [want], "{kind:?}");
    }
}

#[test]
fn what_ipvs_sends_over_ipv6() {
    let inner4 = "45b900300000400031112a600a4d01020a4d09090fa10035001c1ed2
                  4141414141414141414141414141414141414141";
    let addresses = "fd000021000000000000000000000001fd000021000000000000000000000002";
    let outer = [
        ("6b90000000300431", ""),
        ("6b90000000342f31", "00000800"),
        ("6b90000000382f31", "8000080096d10000"),
        ("6b900000003c1131", "b03117c0003c0000 00040000"),
        ("6b900000003c1131", "b03117c0003c5c0c 00040000"),
    ];
    for (kind, (outer, rest)) in kinds().into_iter().zip(outer) {
        let kind = match kind {
            EncapKind::Gue { port, checksum, .. } => EncapKind::Gue { port, source_port: 0xb031, checksum },
            other => other,
        };
        let encap = Encap { class: outer_class(&request4().bytes()), ..encap(kind, V6) };
        let want = recorded(&format!("{outer}{addresses}{rest}{inner4}"), &request4());
        assert_eq!(wrap(request4().partial().frame(), &encap), [want], "{kind:?}");
    }
}

#[test]
fn with_remote_checksums_the_inner_one_stays_as_it_was() {
    // Recorded; but there the device was to finish the outer checksum as well.
    let want = bytes(
        "45b900580000400031110a400a4d15010a4d1502 8e2b17c000443ef2 0204000180000000 0014001a
         45b900300000400031112a600a4d01020a4d09090fa10035001c1ed24141414141414141414141414141414141414141",
    );
    let encap = Encap { class: 0xb9, ..encap(gue(GueChecksum::Remote), V4) };
    let got = wrap(request4().partial().frame(), &encap);
    assert_eq!((&got[0][..26], &got[0][28..]), (&want[..26], &want[28..]));
    assert_eq!(verify(&got[0]), Ok(()));
    // What is finished needs no help.
    assert_eq!(got[0].len() - 8, wrap(request4().frame(), &encap)[0].len());
    let sctp = build::sctp("10.77.1.2:1", "10.77.9.9:2").chunk(1, &[0; 16]);
    assert_eq!(wrap(sctp.clone().partial().frame(), &encap)[0][32..], sctp.bytes());
}

#[test]
fn congestion_experienced_inside_is_told_to_the_server_by_the_inner_packet_alone() {
    for (inner, outer) in [(0, 0), (1, 1), (2, 2), (3, 2), (0xb9, 0xb9), (0xff, 0xfe)] {
        assert_eq!(outer_class(&request4().class(inner).bytes()), outer);
        assert_eq!(outer_class(&request6().class(inner).bytes()), outer);
    }
}

/// The inner packet, after every check that a decapsulator makes.
fn unwrap(outer: &[u8], encap: &Encap) -> Frame {
    let packet = Packet::parse(outer).unwrap();
    // RFC 6935: tunnels over IPv6 may go without.
    let none =
        encap.dst.is_ipv6() && matches!(encap.kind, EncapKind::Gue { checksum: GueChecksum::None, .. });
    assert_eq!(verify(outer), if none { Err(checksum::ChecksumError::Transport) } else { Ok(()) });
    assert_eq!((packet.src, packet.dst, packet.ttl), (encap.src, encap.dst, encap.ttl));
    let rest = &outer[packet.l4_offset..];
    match encap.kind {
        EncapKind::Ipip => {
            assert_eq!(packet.protocol, if rest[0] >> 4 == 4 { 4 } else { 41 });
            Frame::from_packet(rest)
        }
        EncapKind::Gre { checksum } => {
            let inner = &rest[if checksum { 8 } else { 4 }..];
            assert_eq!(packet.protocol, 47);
            assert_eq!(get16(rest, 0), u16::from(checksum) << 15);
            assert_eq!(get16(rest, 2), if inner[0] >> 4 == 4 { 0x800 } else { 0x86dd });
            assert!(!checksum || sum(rest) == 0xffff);
            Frame::from_packet(inner)
        }
        EncapKind::Gue { port, source_port, checksum } => {
            assert_eq!(packet.ports(), Some((source_port, port)));
            assert_eq!(get16(rest, 6) == 0, checksum == GueChecksum::None);
            let options = usize::from(rest[8]) * 4;
            let inner = &rest[12 + options..];
            assert_eq!(rest[9], if inner[0] >> 4 == 4 { 4 } else { 41 });
            let mut frame = Frame::from_packet(inner);
            if options != 0 {
                assert_eq!((get16(rest, 10), get32(rest, 12)), (1, 1 << 31));
                let start = get16(rest, 16);
                let checksum = Checksum::Partial { start, offset: get16(rest, 18) - start };
                frame.offload = Offload { checksum, ..Offload::default() };
                assert!(checksum::complete(&mut frame));
            }
            frame
        }
    }
}

#[test]
fn a_super_packet_becomes_packets_around_its_segments() {
    let tcp = |v6: bool| {
        let (client, vip) = if v6 { ("[fd00::1]:9", "[fd00::2]:80") } else { ("10.0.0.1:9", "10.0.0.2:80") };
        build::tcp(client, vip).ack(1).payload_len(20_001).gso(1448).frame()
    };
    for (v6, server) in [(false, V4), (false, V6), (true, V4), (true, V6)] {
        for kind in kinds() {
            let frame = tcp(v6);
            let packet = Packet::parse(frame.packet()).unwrap();
            let encap = Encap { dont_fragment: false, id: 0xfffd, ..encap(kind, server) };
            let got = wrap(tcp(v6), &encap);
            let mut want = Segments::of(&frame, &packet, true).unwrap();
            let mut segment = Frame::new();
            for (n, outer) in got.iter().enumerate() {
                assert!(want.next_into(&mut segment));
                assert_eq!(unwrap(outer, &encap).packet(), segment.packet(), "{kind:?} {server}");
                assert!(outer.len() <= segment.len() + kind.overhead(Family::from(encap.dst)));
                if server == V4 {
                    assert_eq!(get16(outer, 4), 0xfffd_u16.wrapping_add(n as u16));
                }
            }
            assert!(!want.next_into(&mut segment));
        }
    }
}

/// What the other end puts together again.
fn assemble(fragments: &[Vec<u8>], mtu: usize) -> Vec<u8> {
    let v4 = fragments[0][0] >> 4 == 4;
    let (header, each) = if v4 { (20, 20) } else { (40, 48) };
    let mut whole = fragments[0][..header].to_vec();
    for (n, fragment) in fragments.iter().enumerate() {
        assert!(fragment.len() <= mtu && Packet::parse(fragment).is_ok());
        assert!(verify_frame(&Frame::from_packet(fragment)).is_ok());
        let (offset, more) = if v4 {
            (get16(fragment, 6) & 0x1fff, get16(fragment, 6) & 0x2000 != 0)
        } else {
            assert_eq!((fragment[6], get32(fragment, 44)), (44, 7));
            whole[6] = fragment[40];
            (get16(fragment, 42) / 8, get16(fragment, 42) & 1 != 0)
        };
        assert_eq!(usize::from(offset) * 8, whole.len() - header);
        assert_eq!(more, n + 1 < fragments.len());
        assert_eq!(get16(fragment, 4), if v4 { 7 } else { (fragment.len() - 40) as u16 });
        whole.extend(&fragment[each..]);
    }
    whole
}

#[test]
fn what_is_too_long_for_the_path_goes_in_fragments() {
    for (server, mtu) in [(V4, 1480), (V4, 68), (V6, 1280), (V6, 1500)] {
        for len in [1, 500, 1408, 1409, 1424, 1432, 1440, 9000] {
            for kind in kinds() {
                let inner = build::udp("10.0.0.1:9", "10.0.0.2:80").payload_len(len);
                let whole = Encap { dont_fragment: false, id: 7, ..encap(kind, server) };
                let [want] = &wrap(inner.frame(), &whole)[..] else { panic!("{server} {len}") };
                let got = wrap(inner.frame(), &Encap { mtu, ..whole });
                if got.len() == 1 {
                    assert!(got[0] == *want && want.len() <= mtu as usize);
                    continue;
                }
                let together = assemble(&got, mtu as usize);
                assert_eq!(together[40..], want[40..]);
                assert_eq!(
                    got.len(),
                    (want.len() - if server == V4 { 20 } else { 40 })
                        .div_ceil((mtu as usize - if server == V4 { 20 } else { 48 }) / 8 * 8)
                );
                let kept = wrap(inner.frame(), &Encap { mtu, dont_fragment: true, ..whole });
                assert_eq!(kept.len(), 1, "nobody may cut it");
            }
        }
    }
}

#[test]
fn what_cannot_be_wrapped_is_refused_with_nothing_sent() {
    let no = |mut frame: Frame, encap: &Encap| {
        let refused = Wrapper::default().wrap(&mut frame, encap, |_| panic!("sent"));
        assert_eq!(refused, Err(Unwrappable));
    };
    no(Frame::from_packet(&[0x45, 0, 0]), &encap(EncapKind::Ipip, V4));
    let long = build::udp("10.0.0.1:9", "10.0.0.2:80").payload_len(65_500);
    no(long.frame(), &encap(EncapKind::Ipip, V4));
    let mixed = Encap { src: V6.parse().unwrap(), ..encap(EncapKind::Ipip, V4) };
    no(request4().frame(), &mixed);
    let mut lies = request4().frame();
    lies.offload.gso = GsoKind::TcpV6;
    lies.offload.gso_size = 5;
    no(lies, &encap(EncapKind::Ipip, V4));
    // What is behind the packet is not part of it.
    let padded = [&request4().bytes()[..], &[0; 9]].concat();
    let got = wrap(Frame::from_packet(&padded), &encap(EncapKind::Ipip, V4));
    assert_eq!(got[0][20..], request4().bytes());
}
