use super::*;
use crate::build::{self, Build};
use crate::checksum::verify_frame;
use crate::gso;

fn cut(frame: &Frame, finish: bool) -> Vec<Frame> {
    let packet = Packet::parse(frame.packet()).unwrap();
    let mut segments = Segments::of(frame, &packet, finish).unwrap();
    let mut out = Vec::new();
    let mut frame = Frame::new();
    while segments.next_into(&mut frame) {
        out.push(frame.clone());
    }
    out
}

fn tcp(v6: bool) -> Build {
    let (client, server) =
        if v6 { ("[fd00::1]:1024", "[fd00::2]:80") } else { ("10.0.0.1:1024", "10.0.0.2:80") };
    build::tcp(client, server).ack(9).seq(u32::MAX - 1000).tcp_options(&[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8])
}

#[test]
fn each_segment_is_what_its_sender_would_have_built() {
    for v6 in [false, true] {
        let all = Build::payload_len(tcp(v6).id(0xffff).class(0xb9), 2500).bytes();
        let body = &all[all.len() - 2500..];
        let super_packet = tcp(v6)
            .id(0xffff)
            .class(0xb9)
            .payload(body)
            .flags(TcpFlags::PSH | TcpFlags::FIN | TcpFlags::CWR | TcpFlags::ECE)
            .gso(1000)
            .frame();
        let want = [(0, 1000), (1000, 1000), (2000, 500)].map(|(at, len)| {
            let mut flags = TcpFlags::ECE;
            if at == 0 {
                flags = flags | TcpFlags::CWR;
            }
            if at == 2000 {
                flags = flags | TcpFlags::PSH | TcpFlags::FIN;
            }
            tcp(v6)
                .id(0xffff_u16.wrapping_add(at as u16 / 1000))
                .class(0xb9)
                .seq((u32::MAX - 1000).wrapping_add(at as u32))
                .payload(&body[at..at + len])
                .flags(flags)
        });
        for finish in [true, false] {
            let got = cut(&super_packet, finish);
            assert_eq!(got.len(), 3);
            for (got, want) in got.iter().zip(&want) {
                let want = if finish { want.clone() } else { want.clone().partial() }.frame();
                assert_eq!((got.packet(), got.offload), (want.packet(), want.offload));
            }
        }
    }
}

#[test]
fn datagrams_are_cut_too() {
    for (src, dst) in [("10.0.0.1:7", "10.0.0.2:8"), ("[fd00::1]:7", "[fd00::2]:8")] {
        let got = cut(&build::udp(src, dst).payload_len(3001).gso(1500).frame(), true);
        let lens: Vec<_> = got.iter().map(|f| Packet::parse(f.packet()).unwrap().payload_len()).collect();
        assert_eq!(lens, [1500, 1500, 1]);
        assert!(got.iter().all(|frame| verify_frame(frame) == Ok(())));
    }
}

#[test]
fn a_datagram_whose_sum_is_zero_says_all_ones() {
    // The payload's first word makes the sum zero, whatever the rest is.
    let with = |word: u16| build::udp("10.0.0.1:7", "10.0.0.2:8").payload(&word.to_be_bytes());
    let sum = get16(&with(0).bytes(), 26);
    let got = cut(&with(sum).gso(100).frame(), true);
    assert_eq!(get16(got[0].packet(), 26), 0xffff);
    assert_eq!(verify_frame(&got[0]), Ok(()));
}

#[test]
fn the_numbers_are_those_that_were_promised() {
    for (payload, size) in [(0, 1000), (1, 1000), (1000, 1000), (1001, 1000), (65_000, 1448), (900, 1)] {
        for v6 in [false, true] {
            let frame = tcp(v6).payload_len(payload).gso(size).frame();
            let packet = Packet::parse(frame.packet()).unwrap();
            let got = cut(&frame, true);
            assert_eq!(got.len() as u32, gso::segments(&frame, &packet));
            assert_eq!(got.iter().map(Frame::len).sum::<usize>() as u64, gso::wire_bytes(&frame, &packet));
            assert_eq!(got.iter().map(Frame::len).max(), Some(gso::largest(&frame, &packet)));
            assert!(got.iter().all(|frame| verify_frame(frame) == Ok(())));
        }
    }
}

#[test]
fn what_is_no_super_packet_is_left_alone() {
    let no = |frame: Frame| {
        let packet = Packet::parse(frame.packet()).unwrap();
        assert!(Segments::of(&frame, &packet, true).is_none());
    };
    no(tcp(false).payload_len(10).frame());
    for kind in [GsoKind::TcpV6, GsoKind::Udp] {
        let mut lies = tcp(false).payload_len(10).gso(5).frame();
        lies.offload.gso = kind;
        no(lies);
    }
    let mut padded = build::udp("10.0.0.1:7", "10.0.0.2:8").payload_len(10).gso(5).frame();
    padded.packet_mut()[25] = 17;
    no(padded);
}
