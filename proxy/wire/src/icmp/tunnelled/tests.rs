use super::*;
use crate::build::{self, Build};
use crate::checksum::verify_frame;
use crate::encap::{Encap, EncapKind, GueChecksum, Wrapper};
use crate::icmp::quoted;

const INNER: [[&str; 2]; 2] =
    [["198.51.100.10:4000", "203.0.113.1:80"], ["[2001:db8:1::10]:4000", "[2001:db8:ff::1]:80"]];
const OUTER: [[&str; 3]; 2] =
    [["10.0.0.2", "10.0.0.11", "10.0.0.254"], ["2001:db8:2::2", "2001:db8:2::11", "2001:db8:2::fe"]];

const KINDS: [EncapKind; 6] = [
    EncapKind::Ipip,
    EncapKind::Gre { checksum: false },
    EncapKind::Gre { checksum: true },
    EncapKind::Gue { port: 6080, source_port: 50_000, checksum: GueChecksum::None },
    EncapKind::Gue { port: 6080, source_port: 50_000, checksum: GueChecksum::Full },
    EncapKind::Gue { port: 6080, source_port: 50_000, checksum: GueChecksum::Remote },
];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What travels in a tunnel.
fn outer(inner: &Build, ends: [&str; 3], kind: EncapKind) -> Vec<u8> {
    let encap = Encap {
        kind,
        src: ip(ends[0]),
        dst: ip(ends[1]),
        class: 0,
        ttl: 60,
        dont_fragment: true,
        id: 0,
        mtu: 0,
    };
    let mut sent = Vec::new();
    let mut frame = inner.clone().partial().frame();
    Wrapper::default().wrap(&mut frame, &encap, |outer| sent.push(outer.packet().to_vec())).unwrap();
    sent.swap_remove(0)
}

fn parsed(build: &Build) -> (Frame, Packet) {
    let frame = build.frame();
    let packet = Packet::parse(frame.packet()).unwrap();
    (frame, packet)
}

#[test]
fn the_packet_inside_is_found_in_every_kind_of_tunnel() {
    for [client, vip] in INNER {
        let inner = build::tcp(client, vip).ack(1).payload_len(1400);
        for ends in OUTER {
            for kind in KINDS {
                let outer = outer(&inner, ends, kind);
                let (frame, packet) = parsed(&build::too_big(ends[2], ends[0], 1400, &outer[..150]));
                let found = tunnelled(frame.packet(), &packet).unwrap();
                assert_eq!((found.src, found.dst, found.mtu), (ip(ends[0]), ip(ends[1]), Some(1400)));
                let (src_port, dst_port) = (found.inner.src_port, found.inner.dst_port);
                assert_eq!((src_port, dst_port, found.inner.protocol), (4000, 80, 6));
                assert_eq!((found.len as usize, found.dont_fragment), (inner.bytes().len(), true));
                for short in 0..150 {
                    let (frame, packet) = parsed(&build::too_big(ends[2], ends[0], 1400, &outer[..short]));
                    let found = tunnelled(frame.packet(), &packet);
                    assert!(found.is_none_or(|found| found.inner.dst_port == 80), "{kind:?}, {short} bytes");
                }
            }
        }
    }
}

#[test]
fn its_sender_is_told_what_it_can_know_about() {
    for [client, vip] in INNER {
        let inner = build::udp(client, vip).payload_len(1400);
        let (vip_ip, client_ip) = {
            let (_, packet) = parsed(&inner);
            (packet.dst, packet.src)
        };
        for ends in OUTER {
            for kind in KINDS {
                let outer = outer(&inner, ends, kind);
                let quote = &outer[..outer.len().min(500)];
                let (mut frame, packet) = parsed(&build::too_big(ends[2], ends[0], 1400, quote));
                let found = tunnelled(frame.packet(), &packet).unwrap();
                assert!(tell_sender(&mut frame, &packet, &found, vip_ip, Some(1380)));
                assert_eq!(verify_frame(&frame), Ok(()));
                let answer = Packet::parse(frame.packet()).unwrap();
                assert_eq!((answer.src, answer.dst), (vip_ip, client_ip));
                let quoted = quoted(frame.packet(), &answer).unwrap();
                assert_eq!((quoted.src_port, quoted.dst_port, quoted.mtu), (4000, 80, Some(1380)));
                // All but the checksum, which the tunnel may have left to its other end.
                let told = &frame.packet()[quoted.offset..];
                let at = quoted.l4_offset - quoted.offset + 8;
                assert_eq!(told[at..], inner.bytes()[at..told.len()]);
            }
        }
    }
}

#[test]
fn other_errors_are_told_in_the_words_of_the_family() {
    let cases = [
        ((3, 1), Some((1, 0))),
        ((3, 3), Some((1, 4))),
        ((3, 13), Some((1, 1))),
        ((11, 0), Some((3, 0))),
        ((12, 0), Some((1, 3))),
        ((4, 0), None),
    ];
    for ((kind, code), want) in cases {
        let (frame, packet) = parsed(&build::icmp("10.0.0.254", "10.0.0.2", kind, code, 0));
        let told = |family| said(frame.packet(), &packet, family, None).map(|(kind, code, _)| (kind, code));
        assert_eq!(told(Family::V6), want, "{kind} {code}");
        assert_eq!(told(Family::V4), want.map(|_| (kind, code)));
    }
    for ((kind, code), want) in
        [((1, 0), (3, 1)), ((1, 1), (3, 13)), ((1, 4), (3, 3)), ((3, 1), (11, 1)), ((4, 2), (3, 1))]
    {
        let (frame, packet) = parsed(&build::icmp("2001:db8::fe", "2001:db8::2", kind, code, 0));
        let told = |family| said(frame.packet(), &packet, family, None).map(|(kind, code, _)| (kind, code));
        assert_eq!((told(Family::V4), told(Family::V6)), (Some(want), Some((kind, code))));
    }
}

#[test]
fn what_an_old_router_does_not_say_is_guessed() {
    let inner = build::tcp(INNER[0][0], INNER[0][1]).ack(1).payload_len(1440);
    let outer = outer(&inner, OUTER[0], EncapKind::Ipip);
    let (frame, packet) = parsed(&build::too_big(OUTER[0][2], OUTER[0][0], 0, &outer[..60]));
    assert_eq!(tunnelled(frame.packet(), &packet).unwrap().mtu, Some(1492));
}
