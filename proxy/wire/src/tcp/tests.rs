use super::*;
use crate::build::{self, Build};
use crate::checksum::verify_frame;
use crate::frame::Checksum;
use crate::packet::TcpFlags;

/// A SYN's options: MSS 1460, NOP, window scale 7, SACK permitted, timestamps.
const SYN_OPTIONS: &[u8] = &[2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];

fn segment() -> Build {
    build::tcp("192.0.2.1:1000", "198.51.100.1:80").seq(1000).ack(2000).window(512)
}

fn segment6() -> Build {
    build::tcp("[2001:db8::1]:1000", "[2001:db8::2]:80").seq(1000).ack(2000).window(512)
}

/// Runs `edit` on the packet with each form of checksum, and checks that it stays right; a wrong one stays wrong.
fn for_each_form(build: &Build, edit: impl Fn(&mut Frame, &Packet), check: impl Fn(&Frame, &Packet)) {
    let forms =
        [build.clone(), build.clone().partial(), build.clone().gso(100), build.clone().wrong_checksum()];
    for (form, build) in forms.into_iter().enumerate() {
        let mut frame = build.frame();
        let packet = Packet::parse(frame.packet()).unwrap();
        edit(&mut frame, &packet);
        assert_eq!(verify_frame(&frame).is_err(), form == 3, "form {form}");
        check(&frame, &Packet::parse(frame.packet()).unwrap());
    }
}

#[test]
fn numbers_are_written() {
    let new = Numbers { seq: 0xfedc_ba98, ack: 0x0123_4567, window: 3 };
    for build in [segment().payload(b"abc"), segment6().tcp_options(SYN_OPTIONS)] {
        for_each_form(
            &build,
            |frame, packet| {
                assert_eq!(numbers(frame, packet), Some(Numbers { seq: 1000, ack: 2000, window: 512 }));
                set_numbers(frame, packet, new);
            },
            |frame, packet| assert_eq!(numbers(frame, packet), Some(new)),
        );
    }
}

#[test]
fn what_is_no_tcp_stays() {
    let fragment = build::tcp("10.0.0.1:1", "10.0.0.2:2").payload_len(100).fragments(80).swap_remove(0);
    let udp = build::udp("10.0.0.1:1", "10.0.0.2:2").payload_len(100).bytes();
    for bytes in [fragment, udp] {
        let mut frame = Frame::from_packet(&bytes);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(numbers(&frame, &packet), None);
        set_numbers(&mut frame, &packet, Numbers { seq: 1, ack: 2, window: 3 });
        clamp_mss(&mut frame, &packet, 1);
        map_sack(&mut frame, &packet, |_, _| None);
        assert_eq!(replace(&mut frame, &packet, 60..61, b"x"), None);
        assert_eq!(put_option(&mut frame, &packet, &[1; 4]), None);
        assert_eq!(frame.packet(), bytes);
    }
}

#[test]
fn payload_is_replaced_by_more_and_by_less() {
    for build in [segment(), segment().tcp_options(SYN_OPTIONS), segment6()] {
        for (range, with) in
            [(2..5, &b"ZYXWVUT"[..]), (0..10, b""), (0..0, b"!"), (10..10, b"end"), (1..2, b"?")]
        {
            let build = build.clone().payload(b"0123456789");
            let mut expected = b"0123456789".to_vec();
            expected.splice(range.clone(), with.iter().copied());
            for_each_form(
                &build,
                |frame, packet| {
                    let at = packet.header_len();
                    let after = replace(frame, packet, range.start + at..range.end + at, with);
                    assert_eq!(after, Packet::parse(frame.packet()).ok());
                },
                |frame, packet| {
                    assert_eq!(packet.payload(frame.packet()), expected);
                    assert_eq!(frame.len(), packet.total_len);
                },
            );
        }
    }
}

#[test]
fn a_sibling_has_the_headers_and_other_data() {
    for build in
        [segment().tcp_options(SYN_OPTIONS).ipv4_options(&[1; 4]), segment6().extension(60, &[1, 4, 0])]
    {
        for_each_form(
            &build.fin().payload_len(3000),
            |frame, packet| {
                let bytes = sibling(frame, packet, 7, b"hello").unwrap();
                assert_eq!(checksum::verify(&bytes), Ok(()));
                let other = Packet::parse(&bytes).unwrap();
                assert_eq!(other.payload(&bytes), b"hello");
                let L4::Tcp { seq, ack, flags, .. } = other.l4 else { panic!("{other}") };
                assert_eq!((seq, ack, flags), (7, 2000, TcpFlags::ACK | TcpFlags::PSH));
                assert_eq!(
                    (other.src, other.ttl, other.header_len()),
                    (packet.src, packet.ttl, packet.header_len())
                );
                let original = frame.packet();
                assert_eq!(
                    bytes[packet.l4_offset + 20..packet.header_len()],
                    original[packet.l4_offset + 20..packet.header_len()]
                );
            },
            |_, _| {},
        );
    }
    let udp = build::udp("10.0.0.1:1", "10.0.0.2:2").frame();
    assert_eq!(sibling(&udp, &Packet::parse(udp.packet()).unwrap(), 1, b""), None);
}

#[test]
fn what_cannot_be_replaced_stays() {
    let mut frame = segment().payload_len(65_495).gso(1000).frame();
    let packet = Packet::parse(frame.packet()).unwrap();
    let before = frame.packet().to_vec();
    assert_eq!(replace(&mut frame, &packet, 40..41, b"xx"), None);
    assert_eq!(replace(&mut frame, &packet, 39..41, b"xx"), None);
    assert_eq!(replace(&mut frame, &packet, 65_534..65_536, b"xx"), None);
    assert_eq!(frame.packet(), before);
    assert!(replace(&mut frame, &packet, 65_533..65_535, b"xx").is_some());
}

#[test]
fn options_are_read_up_to_where_they_make_no_sense() {
    let kinds = |list: &[u8]| {
        let frame = segment().tcp_options(list).frame();
        let packet = Packet::parse(frame.packet()).unwrap();
        options(&frame, &packet).map(|option| (option.kind, option.data.len())).collect::<Vec<_>>()
    };
    assert_eq!(kinds(SYN_OPTIONS), [(2, 2), (3, 1), (4, 0), (8, 8)]);
    assert_eq!(kinds(&[1, 1, 4, 2, 0, 4, 2]), [(4, 0)]);
    assert_eq!(kinds(&[4, 2, 8, 1]), [(4, 0)]);
    assert_eq!(kinds(&[4, 2, 8, 10]), [(4, 0)]);
    assert_eq!(kinds(&[1, 1, 1, 4]), []);
    assert_eq!(kinds(&[]), []);
}

#[test]
fn an_option_is_put_behind_the_others_while_there_is_room() {
    let toa = [254, 8, 3, 232, 192, 0, 2, 1];
    for build in [segment().payload(b"abc"), segment6().tcp_options(SYN_OPTIONS).payload(b"abc")] {
        for_each_form(
            &build,
            |frame, packet| {
                let hint = frame.offload.hdr_len;
                assert!(put_option(frame, packet, &toa).is_some());
                assert_eq!(frame.offload.hdr_len, if hint == 0 { 0 } else { hint + 8 });
                if let Checksum::Partial { start, .. } = frame.offload.checksum {
                    assert_eq!(usize::from(start), packet.l4_offset);
                }
            },
            |frame, packet| {
                assert_eq!(packet.payload(frame.packet()), b"abc");
                let last = options(frame, packet).last().unwrap();
                assert_eq!((last.kind, last.data), (254, &toa[2..]));
            },
        );
    }
    let mut full = segment().tcp_options(&[1; 36]).frame();
    let packet = Packet::parse(full.packet()).unwrap();
    let before = full.packet().to_vec();
    assert_eq!(put_option(&mut full, &packet, &toa), None);
    assert_eq!(put_option(&mut full, &packet, &toa[..3]), None);
    assert_eq!(full.packet(), before);
}

#[test]
fn removed_options_leave_nothing() {
    let list = [1, 254, 8, 1, 2, 3, 4, 5, 6, 4, 2, 254, 4, 9, 9];
    for_each_form(
        &segment().syn().tcp_options(&list),
        |frame, packet| remove_options(frame, packet, |option| option.kind == 254),
        |frame, packet| {
            assert_eq!(options(frame, packet).map(|o| (o.kind, o.at)).collect::<Vec<_>>(), [(4, 9)]);
        },
    );
}

#[test]
fn the_largest_segment_is_lowered_but_never_raised() {
    for (limit, expected) in [(1400, 1400), (1460, 1460), (9000, 1460)] {
        for_each_form(
            &segment().flags(TcpFlags::SYN).tcp_options(SYN_OPTIONS),
            |frame, packet| clamp_mss(frame, packet, limit),
            |frame, packet| assert_eq!(mss(frame, packet), Some(expected)),
        );
    }
    // At an odd place, and none.
    for (list, expected) in [(&[1, 2, 4, 5, 0xb4][..], Some(536)), (&[4, 2], None)] {
        for_each_form(
            &segment().syn().tcp_options(list),
            |frame, packet| clamp_mss(frame, packet, 536),
            |frame, packet| assert_eq!(mss(frame, packet), expected),
        );
    }
}

#[test]
fn windows_are_shifted_by_what_the_syn_says() {
    let scale = |list: &[u8]| {
        let frame = segment().syn().tcp_options(list).frame();
        window_scale(&frame, &Packet::parse(frame.packet()).unwrap())
    };
    assert_eq!(scale(SYN_OPTIONS), Some(7));
    assert_eq!(scale(&[3, 3, 200]), Some(14));
    assert_eq!(scale(&[4, 2]), None);
}

#[test]
fn blocks_are_rewritten_and_left_out() {
    let block = |left: u32, right: u32| [left.to_be_bytes(), right.to_be_bytes()].concat();
    let list = [vec![1, 1, 5, 26], block(10, 20), block(30, 40), block(50, 60)].concat();
    let blocks = |frame: &Frame, packet: &Packet| {
        let sack = options(frame, packet).find(|option| option.kind == 5);
        sack.map(|option| option.data.chunks(8).map(|b| get32(b, 0)).collect::<Vec<_>>())
    };
    for (drop, expected) in
        [(&[30][..], Some(vec![9, 49])), (&[], Some(vec![9, 29, 49])), (&[10, 30, 50], None)]
    {
        for_each_form(
            &segment().tcp_options(&list),
            |frame, packet| {
                map_sack(frame, packet, |l, r| (!drop.contains(&l)).then_some((l - 1, r - 1)));
            },
            |frame, packet| assert_eq!(blocks(frame, packet), expected),
        );
    }
}
