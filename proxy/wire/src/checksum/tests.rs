use super::*;
use crate::build;
use crate::edit;

#[test]
fn rfc_1071_example() {
    // Section 3: 00 01 f2 03 f4 f5 f6 f7 sums to 2ddf0, folded ddf2.
    let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(sum(&data), 0xddf2);
    assert_eq!(!sum(&data), 0x220d);
    // The same in any grouping: sums of parts add up, an odd byte is padded on the right.
    assert_eq!(add(sum(&data[..2]), sum(&data[2..])), 0xddf2);
    assert_eq!(sum(&data[..7]), sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0x00]));
    assert_eq!(sum(&[]), 0);
}

#[test]
fn rfc_1624_example() {
    // Section 4: a word goes from 5555 to 3285 under a checksum of dd2f, and equation 3 gives 0000 where RFC 1141
    // gave ffff.
    assert_eq!(Delta::default().word(0x5555, 0x3285).apply(0xdd2f), 0x0000);
}

#[test]
fn folding_knows_one_zero() {
    assert_eq!([0, 1, 0xffff, 0x1_0000, 0x1_ffff, u64::MAX].map(fold), [0, 1, 0xffff, 1, 1, 0xffff]);
    assert_eq!(fold(u64::MAX - 1), 0xfffe);
}

#[test]
fn an_empty_change_changes_nothing() {
    for field in 0..=0xffff {
        let same = Delta::default().word(0x1234, 0x1234);
        let zero = |sum: u16| u32::from(sum) % 0xffff;
        assert_eq!(zero(same.apply(field)), zero(field));
        assert_eq!(zero(same.apply_partial(field)), zero(field));
        assert_eq!(same.apply_udp(field) == 0, field == 0);
    }
}

/// Every port once: among them the one that makes the checksum zero.
#[test]
fn a_computed_zero() {
    for (tcp, v6) in [(true, false), (true, true), (false, false), (false, true)] {
        let (a, b) = if v6 { ("fd00::1", "fd00::2") } else { ("10.0.0.1", "10.0.0.2") };
        let with = |port: u16| match tcp {
            true => build::tcp((a, port), (b, 80)).payload(b"hello"),
            false => build::udp((a, port), (b, 80)).payload(b"hello"),
        };
        let at = if tcp { 16 } else { 6 };
        let mut frame = with(0).frame();
        let packet = Packet::parse(frame.packet()).unwrap();
        let (mut zeros, mut ones) = (0, 0);
        for port in 0..=0xffff {
            edit::set_source(&mut frame, &packet, packet.src, port);
            verify(frame.packet()).unwrap();
            match get16(frame.packet(), packet.l4_offset + at) {
                0 => {
                    zeros += 1;
                    let mut finished = with(port).partial().frame();
                    assert!(complete(&mut finished));
                    assert_eq!(finished.packet(), frame.packet());
                }
                0xffff => {
                    ones += 1;
                    let mut finished = with(port).partial().frame();
                    assert!(complete(&mut finished));
                    assert_eq!(finished.packet(), frame.packet());
                }
                _ => {}
            }
        }
        // Two ports that differ by a multiple of ffff give the same sum: 0 and ffff.
        assert!(if tcp { zeros >= 1 && ones == 0 } else { zeros == 0 && ones >= 1 }, "{zeros} {ones}");
    }
}

#[test]
fn what_verifying_finds() {
    for tcp in [build::tcp("10.0.0.1:1", "10.0.0.2:2"), build::tcp("[fd00::1]:1", "[fd00::2]:2")] {
        let tcp = tcp.may_fragment().payload_len(33);
        assert_eq!(verify(&tcp.bytes()), Ok(()));
        assert_eq!(verify(&tcp.clone().wrong_checksum().bytes()), Err(ChecksumError::Transport));
        assert_eq!(verify(&tcp.clone().partial().bytes()), Err(ChecksumError::Transport));
        assert_eq!(verify_frame(&tcp.clone().partial().frame()), Ok(()));
        for piece in tcp.clone().wrong_checksum().fragments(24) {
            assert_eq!(verify(&piece), Ok(()), "a fragment does not show its transport checksum");
        }
        let mut partial = tcp.partial().frame();
        let at = Packet::parse(partial.packet()).unwrap().l4_offset + 16;
        partial.packet_mut()[at] ^= 1;
        assert_eq!(verify_frame(&partial), Err(ChecksumError::Transport));
    }
    let mut bytes = build::raw("10.0.0.1", "10.0.0.2", 99).bytes();
    bytes[8] += 1;
    assert_eq!(verify(&bytes), Err(ChecksumError::Network));
    assert_eq!(verify(&bytes[..19]), Err(ChecksumError::Parse(ParseError::Truncated)));
    assert_eq!(verify(&build::udp("10.0.0.1:1", "10.0.0.2:2").no_checksum().bytes()), Ok(()));
    let none = build::udp("[fd00::1]:1", "[fd00::2]:2").no_checksum().bytes();
    assert_eq!(verify(&none), Err(ChecksumError::Transport));
}

#[test]
fn padding_is_not_summed() {
    for build in [build::udp("10.0.0.1:1", "10.0.0.2:2"), build::tcp("[fd00::1]:1", "[fd00::2]:2")] {
        let bytes = build.payload(b"abc").partial().frame();
        let mut padded = Frame::from_packet(&[bytes.packet(), &[1, 2, 3]].concat());
        padded.offload = bytes.offload;
        assert!(complete(&mut padded));
        verify(padded.packet()).unwrap();
    }
}

#[test]
fn what_cannot_be_completed() {
    let refused = |build: build::Build, checksum: Option<Checksum>| {
        let mut frame = build.frame();
        frame.offload.checksum = checksum.unwrap_or(frame.offload.checksum);
        let before = frame.clone();
        assert!(!complete(&mut frame));
        assert_eq!((frame.packet(), frame.offload), (before.packet(), before.offload));
    };
    let tcp = build::tcp("10.0.0.1:1", "10.0.0.2:2").payload_len(10).partial();
    refused(tcp.clone().gso(3), None);
    refused(tcp.clone(), Some(Checksum::Partial { start: 0, offset: 10 }));
    refused(tcp.clone(), Some(Checksum::Partial { start: 20, offset: 29 }));
    refused(tcp, Some(Checksum::Partial { start: 0xffff, offset: 0xffff }));
}
