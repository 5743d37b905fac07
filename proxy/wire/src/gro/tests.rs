use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::build::{self, Build};
use crate::checksum::{verify, verify_frame};
use crate::segment::Segments;

/// Feeds packets as one batch and returns the frames that come out.
fn batch(packets: &[Frame]) -> Vec<Frame> {
    batch_of(&mut Gro::new(8), packets)
}

fn batch_of(gro: &mut Gro, packets: &[Frame]) -> Vec<Frame> {
    let mut out = Vec::new();
    for frame in packets {
        let packet = Packet::parse(frame.packet()).unwrap();
        gro.add(frame.packet(), &packet, frame.offload.checksum, |frame| out.push(frame.clone()));
    }
    gro.flush(|frame| out.push(frame.clone()));
    out
}

fn cut(frame: &Frame) -> Vec<Frame> {
    if frame.offload.gso == GsoKind::None {
        return vec![frame.clone()];
    }
    let packet = Packet::parse(frame.packet()).unwrap();
    let mut segments = Segments::of(frame, &packet, true).unwrap();
    let (mut out, mut segment) = (Vec::new(), Frame::new());
    while segments.next_into(&mut segment) {
        out.push(segment.clone());
    }
    out
}

fn bytes(frames: &[Frame]) -> Vec<Vec<u8>> {
    frames.iter().map(|frame| frame.packet().to_vec()).collect()
}

fn lens(frames: &[Frame]) -> Vec<usize> {
    frames.iter().map(|frame| Packet::parse(frame.packet()).unwrap().payload_len()).collect()
}

fn tcp(v6: bool) -> Build {
    let (client, vip) =
        if v6 { ("[fd00::1]:1024", "[fd00::2]:80") } else { ("10.0.0.1:1024", "10.0.0.2:80") };
    build::tcp(client, vip).ack(9).tcp_options(&[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8])
}

/// The segment of that number, of 100 bytes.
fn nth(v6: bool, number: u16) -> Build {
    tcp(v6)
        .seq((u32::MAX - 150).wrapping_add(100 * u32::from(number)))
        .id(0xfffe_u16.wrapping_add(number))
        .payload_len(100)
}

#[test]
fn what_was_cut_is_whole_again() {
    for v6 in [false, true] {
        let flags = TcpFlags::CWR | TcpFlags::ECE | TcpFlags::PSH | TcpFlags::FIN;
        let sent =
            tcp(v6).seq(u32::MAX - 1500).id(0xfffe).class(0xb9).flags(flags).payload_len(9001).gso(1000);
        let mut want = sent.frame();
        want.offload.ecn = true;
        let got = batch(&cut(&want));
        assert_eq!((bytes(&got), got[0].offload), (bytes(&[want.clone()]), want.offload));
        assert_eq!(verify_frame(&got[0]), Ok(()));
    }
}

#[test]
fn one_segment_alone_stays_as_it_came() {
    for v6 in [false, true] {
        let one = nth(v6, 0).frame();
        let got = batch(std::slice::from_ref(&one));
        assert_eq!((bytes(&got), got[0].offload), (bytes(&[one]), Offload::default()));
    }
}

#[test]
fn a_super_packet_is_a_packet_and_no_longer() {
    for v6 in [false, true] {
        let size = 1448;
        let segments: Vec<_> = (0..100_u16)
            .map(|n| tcp(v6).seq(u32::from(n) * size).id(n).payload_len(size as usize).frame())
            .collect();
        let got = batch(&segments);
        let headers = if v6 { 72 } else { 52 };
        let most = (MAX_PACKET - headers) / 1448;
        assert_eq!(lens(&got), [1448 * most, 1448 * most, 1448 * (100 - 2 * most)]);
        assert!(got.iter().all(|frame| verify_frame(frame) == Ok(())));
        assert_eq!(bytes(&got.iter().flat_map(cut).collect::<Vec<_>>()), bytes(&segments));
    }
}

#[test]
fn what_does_not_continue_begins_anew() {
    let pair = |second: Build| lens(&batch(&[nth(false, 0).frame(), second.frame()]));
    assert_eq!(pair(nth(false, 1)), [200]);
    for (what, second) in [
        ("a gap", nth(false, 2).id(0xffff)),
        ("once more", nth(false, 0).id(0xffff)),
        ("a jump in the identification", nth(false, 1).id(5)),
        ("another window", nth(false, 1).window(5)),
        ("another acknowledgment", nth(false, 1).ack(10)),
        ("other options", nth(false, 1).tcp_options(&[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 9])),
        ("no options", nth(false, 1).tcp_options(&[])),
        ("another class", nth(false, 1).class(1)),
        ("another ttl", nth(false, 1).ttl(63)),
        ("may be cut", nth(false, 1).may_fragment()),
        ("congestion window reduced", nth(false, 1).flags(TcpFlags::CWR)),
        ("echo", nth(false, 1).flags(TcpFlags::ECE)),
        ("urgent", nth(false, 1).flags(TcpFlags::URG)),
        ("reset", nth(false, 1).rst()),
        ("IP options", nth(false, 1).ipv4_options(&[1])),
    ] {
        assert_eq!(pair(second), [100, 100], "{what}");
    }
    assert_eq!(pair(nth(false, 1).payload_len(101)), [100, 101], "longer");
    assert_eq!(pair(nth(false, 1).payload_len(0)), [100, 0], "nothing but an acknowledgment");
    let v6 = |second: Build| lens(&batch(&[nth(true, 0).frame(), second.frame()]));
    assert_eq!(v6(nth(true, 1)), [200]);
    assert_eq!(v6(nth(true, 1).class(1)), [100, 100]);
    assert_eq!(v6(nth(true, 1).ttl(1)), [100, 100]);
    assert_eq!(v6(nth(true, 1).extension(60, &[1, 4])), [100, 100]);
}

#[test]
fn an_identification_that_never_changes_is_none() {
    let with =
        |build: Build| lens(&batch(&[build.clone().id(7).frame(), build.seq(u32::MAX - 50).id(7).frame()]));
    assert_eq!(with(nth(false, 0)), [200]);
    assert_eq!(with(nth(false, 0).may_fragment()), [100, 100]);
}

#[test]
fn some_segments_let_nothing_follow() {
    for last in [nth(false, 1).flags(TcpFlags::PSH), nth(false, 1).fin(), nth(false, 1).payload_len(99)] {
        let len = last.bytes().len() - 52;
        let next = tcp(false).seq((u32::MAX - 50).wrapping_add(len as u32)).id(0).payload_len(100).frame();
        let got = batch(&[nth(false, 0).frame(), last.frame(), next]);
        assert_eq!(lens(&got), [100 + len, 100]);
    }
    // The first of all may be such a one.
    let got = batch(&[nth(false, 0).flags(TcpFlags::PSH).frame(), nth(false, 1).frame()]);
    assert_eq!(lens(&got), [100, 100]);
}

#[test]
fn what_is_wrong_goes_on_as_it_came() {
    for v6 in [false, true] {
        let wrong = nth(v6, 1).wrong_checksum().frame();
        let got = batch(&[nth(v6, 0).frame(), wrong.clone(), nth(v6, 2).frame()]);
        assert_eq!(lens(&got), [100, 100, 100]);
        assert_eq!((got[1].packet(), got[1].offload), (wrong.packet(), Offload::default()));
    }
    let mut header = nth(false, 1).frame();
    header.packet_mut()[10] ^= 1;
    let got = batch(&[nth(false, 0).frame(), header.clone()]);
    assert_eq!((lens(&got), got[1].packet()), (vec![100, 100], header.packet()));
}

#[test]
fn a_checksum_that_was_left_unfinished_is_partial() {
    for v6 in [false, true] {
        // Whether somebody says so or not.
        for told in [true, false] {
            let left = |n| {
                let mut frame = nth(v6, n).partial().frame();
                if !told {
                    frame.offload = Offload::default();
                }
                frame
            };
            let got = batch(&[left(0), nth(v6, 1).frame()]);
            assert_eq!(lens(&got), [200]);
            assert_eq!(bytes(&cut(&got[0])), [nth(v6, 0).bytes(), nth(v6, 1).bytes()]);
            let mut alone = batch(&[left(0)]).remove(0);
            assert!(alone.offload.checksum != Checksum::Complete && checksum::complete(&mut alone));
            assert_eq!(alone.packet(), nth(v6, 0).bytes());
        }
        let (a, b) = if v6 { ("[fd00::1]:1", "[fd00::2]:2") } else { ("10.0.0.1:1", "10.0.0.2:2") };
        let datagram = build::udp(a, b).payload(b"x");
        let mut got = batch(&[Frame::from_packet(&datagram.clone().partial().bytes())]).remove(0);
        assert!(checksum::complete(&mut got) && got.packet() == datagram.bytes());
        // Said to be left, but it is not the one that would have been.
        let mut lies = nth(v6, 0).partial().frame();
        let checksum = lies.offload.checksum;
        lies.set_packet(&nth(v6, 0).bytes());
        lies.offload.checksum = checksum;
        assert_eq!(batch(&[lies])[0].offload, Offload::default(), "for the stack to refuse");
    }
    let unsummed = build::udp("10.0.0.1:1", "10.0.0.2:2").no_checksum().frame();
    assert_eq!(batch(&[unsummed])[0].offload, Offload::default());
}

#[test]
fn flows_are_merged_side_by_side_up_to_a_number() {
    let of = |port: u16, n: u32| {
        build::tcp(("10.0.0.1", port), ("10.0.0.2", 80))
            .ack(1)
            .seq(n * 100)
            .id(n as u16)
            .payload_len(100)
            .frame()
    };
    let in_turn = |flows: u16| (0..3).flat_map(move |n| (0..flows).map(move |port| of(1 + port, n)));
    let packets: Vec<_> = in_turn(8).collect();
    assert_eq!(lens(&batch(&packets)), [300; 8]);
    // With one more than there is room for, each takes the place of the next.
    let packets: Vec<_> = in_turn(9).collect();
    assert_eq!(lens(&batch(&packets)), [100; 27]);
    // A datagram or a short answer needs no place.
    let mut packets: Vec<_> = in_turn(8).collect();
    packets.insert(8, build::udp("10.0.0.1:1", "10.0.0.2:2").frame());
    assert_eq!(lens(&batch(&packets)), [&[0][..], &[300; 8]].concat());
    // Without room nothing is merged, and nothing lost.
    let packets: Vec<_> = in_turn(2).collect();
    assert_eq!(bytes(&batch_of(&mut Gro::new(0), &packets)), bytes(&packets));
}

#[test]
fn a_fragment_overtakes_nothing() {
    let fragments = nth(false, 1).may_fragment().fragments(64);
    let packets: Vec<_> =
        [nth(false, 0).bytes()].iter().chain(&fragments).map(|b| Frame::from_packet(b)).collect();
    assert_eq!(bytes(&batch(&packets)), bytes(&packets));
    let later = [packets[0].clone(), packets[2].clone()];
    assert_eq!(bytes(&batch(&later)), bytes(&later));
}

/// A stretch of what a sender sends: its flow, how much of it, in which sizes, and what befalls a segment.
#[derive(Clone, Debug)]
struct Stretch {
    flow: u16,
    bytes: usize,
    size: u16,
    flags: u8,
    partial: bool,
}

fn stretch() -> impl Strategy<Value = Stretch> {
    let flags =
        prop::sample::select(vec![0, TcpFlags::PSH.0, TcpFlags::FIN.0, TcpFlags::ECE.0, TcpFlags::CWR.0]);
    (0..12_u16, 1..20_000_usize, 100..1500_u16, flags, any::<bool>())
        .prop_map(|(flow, bytes, size, flags, partial)| Stretch { flow, bytes, size, flags, partial })
}

/// The segments of each stretch, as they would come if nothing befell them.
fn sent(stretches: &[Stretch]) -> Vec<Vec<Frame>> {
    let mut at = [0_u32; 12];
    let cut = stretches.iter().map(|s| {
        let (a, b) = if s.flow % 2 == 0 { ("10.0.0.1", "10.0.0.2") } else { ("fd00::1", "fd00::2") };
        let begin = &mut at[usize::from(s.flow)];
        let build = build::tcp((a, 1000 + s.flow), (b, 80)).ack(1).seq(*begin).flags(TcpFlags(s.flags));
        *begin = begin.wrapping_add(s.bytes as u32);
        let whole = build.payload_len(s.bytes).gso(s.size).frame();
        let packet = Packet::parse(whole.packet()).unwrap();
        let mut segments = Segments::of(&whole, &packet, !s.partial).unwrap();
        let (mut out, mut frame) = (Vec::new(), Frame::new());
        while segments.next_into(&mut frame) {
            out.push(frame.clone());
        }
        out
    });
    cut.collect()
}

/// The packets of each flow, in order, every checksum finished.
fn by_flow(frames: &[Frame]) -> std::collections::BTreeMap<u16, Vec<Vec<u8>>> {
    let mut flows = std::collections::BTreeMap::<u16, Vec<Vec<u8>>>::new();
    for frame in frames {
        for mut segment in cut(frame) {
            assert!(checksum::complete(&mut segment) && verify(segment.packet()).is_ok());
            let (port, _) = Packet::parse(segment.packet()).unwrap().ports().unwrap();
            flows.entry(port).or_default().push(segment.packet().to_vec());
        }
    }
    flows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_flow_keeps_its_packets_and_their_order(
        stretches in prop::collection::vec(stretch(), 1..8),
        turns in prop::collection::vec(any::<Index>(), 0..400),
        losses in prop::collection::vec(any::<Index>(), 0..4),
        swaps in prop::collection::vec((any::<Index>(), any::<Index>()), 0..4),
        batch_size in 1..70_usize,
        flows in 0..6_usize,
    ) {
        // The stretches take turns, each in its order.
        let mut queues: Vec<_> = sent(&stretches).into_iter().map(std::collections::VecDeque::from).collect();
        let mut came = Vec::new();
        for turn in turns {
            let at = turn.index(queues.len());
            came.extend(queues[at].pop_front());
        }
        came.extend(queues.into_iter().flatten());
        for lost in losses {
            if came.len() > 1 {
                came.remove(lost.index(came.len()));
            }
        }
        for (a, b) in swaps {
            let (a, b) = (a.index(came.len()), b.index(came.len()));
            came.swap(a, b);
        }
        let mut gro = Gro::new(flows);
        let got: Vec<_> = came.chunks(batch_size).flat_map(|batch| batch_of(&mut gro, batch)).collect();
        prop_assert!(got.len() <= came.len());
        prop_assert!(got.iter().all(|frame| verify_frame(frame).is_ok()));
        prop_assert!(by_flow(&got) == by_flow(&came));
    }

    #[test]
    fn nothing_that_parses_makes_it_panic(
        sample in any::<Index>(), changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        checksum in prop::option::of((any::<u16>(), any::<u16>())),
    ) {
        let samples = [
            nth(false, 1).bytes(),
            nth(true, 1).bytes(),
            build::udp("10.0.0.1:1024", "10.0.0.2:80").payload_len(9).bytes(),
            build::ping("fd00::1", "fd00::2", 1, 2).bytes(),
        ];
        let mut bytes = samples[sample.index(samples.len())].clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(packet) = Packet::parse(&bytes) {
            let mut gro = Gro::new(2);
            let told = checksum.map(|(start, offset)| Checksum::Partial { start, offset }).unwrap_or_default();
            for v6 in [false, true] {
                let first = nth(v6, 0).frame();
                gro.add(first.packet(), &Packet::parse(first.packet()).unwrap(), Checksum::Complete, |_| ());
            }
            gro.add(&bytes, &packet, told, |_| ());
            gro.flush(|_| ());
        }
    }
}
