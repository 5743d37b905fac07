use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::build::{self, Build};
use crate::bytes::put32;
use crate::checksum::verify;
use crate::encap::{Encap, EncapKind, GueChecksum, Wrapper, outer_class};
use crate::frame::{Frame, Offload};
use crate::packet::L4;

fn kinds() -> [EncapKind; 6] {
    let gue = |checksum| EncapKind::Gue { port: 6080, source_port: 4711, checksum };
    [
        EncapKind::Ipip,
        EncapKind::Gre { checksum: false },
        EncapKind::Gre { checksum: true },
        gue(GueChecksum::None),
        gue(GueChecksum::Full),
        gue(GueChecksum::Remote),
    ]
}

fn encap(kind: EncapKind, over_v6: bool) -> Encap {
    let [src, dst] = if over_v6 { ["fd00:21::1", "fd00:21::2"] } else { ["10.77.21.1", "10.77.21.2"] };
    let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
    Encap { kind, src, dst, class: 0, ttl: 49, dont_fragment: true, id: 0, mtu: 0 }
}

fn carrier(protocol: u8) -> Carrier {
    match protocol {
        4 => Carrier::Ipip(Family::V4),
        41 => Carrier::Ipip(Family::V6),
        47 => Carrier::Gre,
        17 => Carrier::Gue,
        other => panic!("no carrier has protocol {other}"),
    }
}

/// Everything that a receiver does with an outer packet: what is inside, as a frame.
fn unwrap(packet: &[u8]) -> Result<Frame, Refusal> {
    let mut bytes = packet.to_vec();
    let outer = outer(&bytes)?;
    let carrier = carrier(outer.protocol);
    // The kernel reads the UDP header.
    let start = outer.payload.start + if carrier == Carrier::Gue { 8 } else { 0 };
    let bytes = &mut bytes[start..outer.payload.end];
    let inner = open(bytes, carrier, outer.class)?;
    let mut frame = Frame::from_packet(&bytes[inner.at..][..inner.packet.total_len]);
    assert_eq!(Packet::parse(frame.packet()), Ok(inner.packet));
    frame.offload.checksum = inner.checksum;
    Ok(frame)
}

fn wrap(frame: &Frame, encap: &Encap) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    Wrapper::default().wrap(&mut frame.clone(), encap, |outer| out.push(outer.packet().to_vec())).unwrap();
    out
}

fn request(v6: bool) -> Build {
    let (client, vip) =
        if v6 { ("[fd00:1::2]:4003", "[fd00:9::9]:53") } else { ("10.77.1.2:4001", "10.77.9.9:53") };
    build::udp(client, vip).ttl(9).class(2).payload(b"some words")
}

#[test]
fn what_went_in_comes_out() {
    for kind in kinds() {
        for (over_v6, v6) in [(false, false), (false, true), (true, false), (true, true)] {
            let whole = request(v6).frame();
            let [outer] = &wrap(&whole, &encap(kind, over_v6))[..] else { panic!("one packet") };
            let inner = unwrap(outer).unwrap();
            assert_eq!((inner.packet(), inner.offload), (whole.packet(), Offload::default()), "{kind:?}");
            // A checksum that was left to somebody is finished by the sender, or left to us.
            let partial = request(v6).partial().frame();
            let [outer] = &wrap(&partial, &encap(kind, over_v6))[..] else { panic!("one packet") };
            let mut inner = unwrap(outer).unwrap();
            let remote = matches!(kind, EncapKind::Gue { checksum: GueChecksum::Remote, .. });
            assert_eq!(inner.offload.checksum != Checksum::Complete, remote, "{kind:?}");
            assert!(checksum::complete(&mut inner));
            assert_eq!(inner.packet(), whole.packet(), "{kind:?}");
        }
    }
}

#[test]
fn outer_headers_may_have_more_in_them() {
    let inner = request(false);
    let plain = build::raw("10.0.0.1", "10.0.0.2", 4).class(0xb9).payload(&inner.bytes());
    assert_eq!(outer(&plain.bytes()).unwrap(), Outer { class: 0xb9, protocol: 4, payload: 20..58 });
    let options = plain.ipv4_options(&[1, 1, 1]);
    assert_eq!(outer(&options.bytes()).unwrap().payload, 24..62);
    let extended = build::raw("fd00::1", "fd00::2", 4).class(0x1e).payload(&inner.bytes());
    assert_eq!(outer(&extended.bytes()).unwrap().class, 0x1e);
    // The option with which IPv6 bounds nesting (RFC 2473 section 4.1.1).
    let extended = extended.extension(60, &[4, 1, 4, 1, 0]);
    assert_eq!(outer(&extended.bytes()).unwrap(), Outer { class: 0x1e, protocol: 4, payload: 48..86 });
    for fragment in build::raw("10.0.0.1", "10.0.0.2", 4).payload(&inner.bytes()).fragments(16) {
        assert_eq!(outer(&fragment), Err(Refusal::OuterMalformed));
    }
    assert_eq!(outer(&options.bytes()[..61]), Err(Refusal::OuterMalformed));
    // Ethernet pads short packets.
    let padded = [options.bytes(), vec![0; 9]].concat();
    assert_eq!(outer(&padded).unwrap().payload, 24..62);
}

/// A tunnel header and an IPv4 packet, or what is said to be one.
fn opened(carrier: Carrier, header: &[u8]) -> Result<usize, Refusal> {
    open(&mut [header, &request(false).bytes()].concat(), carrier, 0).map(|inner| inner.at)
}

#[test]
fn gre_as_the_standards_have_it() {
    let summed = |header: &[u8]| {
        let mut bytes = [header, &request(false).bytes()].concat();
        let sum = !checksum::sum(&bytes);
        put16(&mut bytes, 4, sum);
        bytes[..header.len()].to_vec()
    };
    for (header, want) in [
        (vec![0x00, 0, 8, 0], Ok(4)),
        (summed(&[0x80, 0, 8, 0, 0, 0, 0, 0]), Ok(8)),
        (vec![0x80, 0, 8, 0, 1, 2, 0, 0], Err(Refusal::GreChecksum)),
        // A sequence number, alone and behind a checksum.
        (vec![0x10, 0, 8, 0, 0, 0, 0, 9], Ok(8)),
        (summed(&[0x90, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 9]), Ok(12)),
        // Bits 6 to 12 are to be ignored.
        (vec![0x03, 0xf8, 8, 0], Ok(4)),
        (vec![0x20, 0, 8, 0, 0, 0, 0, 9], Err(Refusal::GreKey)),
        (vec![0x40, 0, 8, 0, 0, 0, 0, 9], Err(Refusal::GreFlags)),
        (vec![0x08, 0, 8, 0], Err(Refusal::GreFlags)),
        (vec![0x04, 0, 8, 0], Err(Refusal::GreFlags)),
        (vec![0x30, 1, 0x88, 0x0b], Err(Refusal::GreVersion)),
        // Bridged Ethernet.
        (vec![0, 0, 0x65, 0x58], Err(Refusal::InnerProtocol)),
        (vec![0, 0, 0x86, 0xdd], Err(Refusal::InnerMalformed)),
    ] {
        assert_eq!(opened(Carrier::Gre, &header), want, "{header:02x?}");
    }
    for short in [&[][..], &[0, 0, 8], &[0x80, 0, 8, 0, 0, 0], &[0x10, 0, 8, 0]] {
        assert_eq!(open(&mut short.to_vec(), Carrier::Gre, 0), Err(Refusal::OuterMalformed), "{short:?}");
    }
    assert_eq!(open(&mut [0, 0, 8, 0], Carrier::Gre, 0), Err(Refusal::InnerMalformed));
}

#[test]
fn what_a_kernel_has_merged_has_the_checksum_of_its_first() {
    for v6 in [false, true] {
        let (a, b) = if v6 { ("[fd00::1]:9", "[fd00::2]:80") } else { ("10.0.0.1:9", "10.0.0.2:80") };
        let ethertype: [u8; 2] = if v6 { [0x86, 0xdd] } else { [8, 0] };
        let whole = build::tcp(a, b).ack(1).payload_len(3000);
        let open_with = |inner: &[u8]| {
            let header = [&[0x80, 0][..], &ethertype, &[1, 2, 0, 0]].concat();
            open(&mut [&header, inner].concat(), Carrier::Gre, 0).map(|inner| inner.at)
        };
        assert_eq!(open_with(&whole.clone().partial().bytes()), Ok(8));
        assert_eq!(open_with(&whole.bytes()), Err(Refusal::GreChecksum));
        assert_eq!(open_with(&whole.wrong_checksum().bytes()), Err(Refusal::GreChecksum));
    }
}

#[test]
fn gue_as_linux_has_it() {
    let remote = |start: u16, at: u16| {
        let mut header = vec![2, 4, 0, 1, 0x80, 0, 0, 0, 0, 0, 0, 0];
        put16(&mut header, 8, start);
        put16(&mut header, 10, at);
        header
    };
    for (header, want) in [
        (vec![0, 4, 0, 0], Ok(4)),
        // Options that no flag tells of are skipped.
        (vec![2, 4, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8], Ok(12)),
        (vec![1, 4, 0, 1, 0, 0, 0, 0], Ok(8)),
        (remote(20, 26), Ok(12)),
        (remote(20, 20), Err(Refusal::GueRemoteChecksum)),
        (remote(0, 10), Err(Refusal::GueRemoteChecksum)),
        (remote(26, 20), Err(Refusal::GueRemoteChecksum)),
        (remote(60_000, 60_006), Err(Refusal::GueRemoteChecksum)),
        // Options shorter than their flags say; unknown flags, public and private.
        (vec![0, 4, 0, 1], Err(Refusal::GueFlags)),
        (vec![1, 4, 0, 1, 0x80, 0, 0, 0], Err(Refusal::GueFlags)),
        (vec![1, 4, 0, 1, 0x40, 0, 0, 0], Err(Refusal::GueFlags)),
        (vec![0, 4, 0x80, 0], Err(Refusal::GueFlags)),
        (vec![0x20, 4, 0, 0], Err(Refusal::GueControl)),
        (vec![0, 47, 0, 0], Err(Refusal::InnerProtocol)),
        (vec![0, 41, 0, 0], Err(Refusal::InnerMalformed)),
        // Version 1 has no header at all; the others are not known.
        (vec![], Ok(0)),
        (vec![0x50], Err(Refusal::InnerProtocol)),
        (vec![0x80, 4, 0, 0], Err(Refusal::GueVersion)),
        (vec![0xc0, 4, 0, 0], Err(Refusal::GueVersion)),
    ] {
        assert_eq!(opened(Carrier::Gue, &header), want, "{header:02x?}");
    }
    for short in [&[][..], &[0, 4, 0], &[1, 4, 0, 0, 9]] {
        assert_eq!(open(&mut short.to_vec(), Carrier::Gue, 0), Err(Refusal::OuterMalformed), "{short:?}");
    }
    let mut v6 = request(true).bytes();
    assert_eq!(open(&mut v6, Carrier::Gue, 0).unwrap().packet.family, Family::V6);
}

#[test]
fn the_family_is_the_one_that_was_named() {
    for v6 in [false, true] {
        for named in [Family::V4, Family::V6] {
            let opened = open(&mut request(v6).bytes(), Carrier::Ipip(named), 0);
            assert_eq!(opened.is_ok(), (named == Family::V6) == v6);
        }
    }
}

/// RFC 6040, figure 4: a row for each inner codepoint, a column for each outer one.
#[test]
fn congestion_is_passed_on() {
    const NOT: u8 = 0;
    const ECT_1: u8 = 1;
    const ECT_0: u8 = 2;
    const CE: u8 = 3;
    for (inner, row) in [
        (NOT, [(NOT, Some(NOT)), (ECT_0, Some(NOT)), (ECT_1, Some(NOT)), (CE, None)]),
        (ECT_0, [(NOT, Some(ECT_0)), (ECT_0, Some(ECT_0)), (ECT_1, Some(ECT_1)), (CE, Some(CE))]),
        (ECT_1, [(NOT, Some(ECT_1)), (ECT_0, Some(ECT_1)), (ECT_1, Some(ECT_1)), (CE, Some(CE))]),
        (CE, [(NOT, Some(CE)), (ECT_0, Some(CE)), (ECT_1, Some(CE)), (CE, Some(CE))]),
    ] {
        for (outer, want) in row {
            for v6 in [false, true] {
                let family = if v6 { Family::V6 } else { Family::V4 };
                // The other six bits are everybody's own.
                let sent = request(v6).class(0xb8 | inner);
                let mut bytes = sent.bytes();
                let got = open(&mut bytes, Carrier::Ipip(family), 0x14 | outer);
                match want {
                    None => assert_eq!((got, bytes), (Err(Refusal::Congestion), sent.bytes())),
                    Some(ecn) => {
                        let want = request(v6).class(0xb8 | ecn).bytes();
                        assert_eq!((got.map(|_| ()), bytes), (Ok(()), want), "{inner} in {outer}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_reason_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> = Refusal::ALL.iter().map(|refusal| refusal.name()).collect();
    assert_eq!(names.len(), Refusal::ALL.len());
}

fn inner() -> impl Strategy<Value = Build> {
    let ends = any::<bool>()
        .prop_map(|v6| if v6 { ("[fd00::1]:9", "[fd00::2]:80") } else { ("10.0.0.1:9", "10.0.0.2:80") });
    (ends, 0..3_u8, 0..2000_usize, any::<u8>(), any::<u8>()).prop_map(|((a, b), kind, len, class, ttl)| {
        let packet = match kind {
            0 => build::tcp(a, b).ack(7).tcp_options(&[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]),
            1 => build::udp(a, b),
            _ => build::sctp(a, b).tag(5).chunk(6, &[]),
        };
        packet.payload_len(len.max(4)).class(class).ttl(ttl)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn to_wrap_and_to_unwrap_is_to_do_nothing(
        build in inner(), kind in any::<Index>(), over_v6 in any::<bool>(), partial in any::<bool>(),
    ) {
        let whole = build.bytes();
        let frame = if partial { build.partial().frame() } else { build.frame() };
        let kind = kinds()[kind.index(6)];
        let encap = Encap { class: outer_class(&whole), ..encap(kind, over_v6) };
        for outer in wrap(&frame, &encap) {
            let mut inner = unwrap(&outer).unwrap();
            prop_assert!(checksum::complete(&mut inner));
            prop_assert_eq!(inner.packet(), &whole[..]);
        }
    }

    #[test]
    fn whatever_the_bytes_nothing_panics(
        build in inner(), kind in any::<Index>(), over_v6 in any::<bool>(), class in any::<u8>(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..6), cut in any::<Index>(),
        near in any::<bool>(),
    ) {
        let outer = wrap(&build.frame(), &encap(kinds()[kind.index(6)], over_v6)).remove(0);
        let headers = if over_v6 { 40 } else { 20 };
        let mut bytes = outer.clone();
        for (at, value) in changes {
            // Where the tunnel headers are, more often than not.
            let at = at.index(if near { headers + 24 } else { outer.len() });
            bytes[at] = value;
        }
        bytes.truncate(outer.len() - cut.index(outer.len()));
        let _ = super::outer(&bytes);
        for carrier in [Carrier::Ipip(Family::V4), Carrier::Ipip(Family::V6), Carrier::Gre, Carrier::Gue] {
            for start in [0, headers, headers + 8] {
                let mut bytes = bytes.get(start..).unwrap_or_default().to_vec();
                let before = bytes.clone();
                match open(&mut bytes, carrier, class) {
                    Err(_) => prop_assert!(bytes == before),
                    Ok(inner) => {
                        let (was, now) = (&before[inner.at..], &bytes[inner.at..]);
                        prop_assert_eq!(verify(was).is_ok(), verify(now).is_ok());
                        prop_assert_eq!(Packet::parse(now), Ok(inner.packet));
                    }
                }
            }
        }
    }

    #[test]
    fn arbitrary_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..120), first in 0..8_u8, class in any::<u8>()) {
        let _ = outer(&bytes);
        for carrier in [Carrier::Ipip(Family::V4), Carrier::Ipip(Family::V6), Carrier::Gre, Carrier::Gue] {
            if let Some(byte) = bytes.first_mut() {
                *byte = [0x45, 0x60, 0, 0x80, 0x90, 0x01, 0x02, 0x40][usize::from(first)];
            }
            let _ = open(&mut bytes, carrier, class);
        }
    }
}

#[test]
fn a_super_packet_comes_out_in_its_segments() {
    let sent = build::tcp("10.0.0.1:9", "10.0.0.2:80").ack(1).payload_len(4000).gso(1448).frame();
    for kind in kinds() {
        let got: Vec<_> =
            wrap(&sent, &encap(kind, true)).iter().map(|outer| unwrap(outer).unwrap()).collect();
        let lens: Vec<_> = got.iter().map(|f| Packet::parse(f.packet()).unwrap().payload_len()).collect();
        assert_eq!(lens, [1448, 1448, 1104], "{kind:?}");
        assert!(got.iter().all(|f| matches!(Packet::parse(f.packet()).unwrap().l4, L4::Tcp { .. })));
    }
}

#[test]
fn a_remote_checksum_of_a_fragment_is_nobodys() {
    let fragment = request(false).payload(&[7; 40]).fragments(24).remove(0);
    let mut header = [2, 4, 0, 1, 0, 0, 0, 0, 0, 20, 0, 26];
    put32(&mut header, 4, 1 << 31);
    let got = open(&mut [&header[..], &fragment].concat(), Carrier::Gue, 0);
    assert_eq!(got, Err(Refusal::GueRemoteChecksum));
}
