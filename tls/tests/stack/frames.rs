//! Single frames: what a stack takes, and what it sends.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tls::stack::{Limits, Stack};
use wire::frame::{Checksum, Frame, GsoKind};
use wire::packet::{L4, Packet};
use wire::segment::Segments;

use super::net::{CLIENT, FAIR, Net, Random, SERVER, stream};

/// Bulk leaves in super-packets, over IPv4 and IPv6, that are cut into the segments of the stream.
#[test]
fn bulk_leaves_in_super_packets() {
    let ends = [
        ("10.0.0.1:40000", "10.0.0.99:443", GsoKind::TcpV4, 1460),
        ("[fd00::1]:40000", "[fd00::99]:443", GsoKind::TcpV6, 1440),
    ];
    for (from, to, kind, mss) in ends {
        let mut net = Net::new(1, FAIR, Limits::default());
        let (_, server) = net.connect(from, to);
        let all = stream(0, 14_000);
        assert_eq!(net.write(SERVER, server, &all), Ok(all.len()));
        let mut frame = Frame::new();
        let now = net.time();
        assert!(net.stacks[SERVER].poll_transmit(&mut frame, now));
        let packet = Packet::parse(frame.packet()).unwrap();
        // Timestamps take twelve bytes of each segment.
        let size = mss - 12;
        assert_eq!((frame.offload.gso, frame.offload.gso_size), (kind, size));
        assert_eq!(usize::from(frame.offload.hdr_len), packet.header_len());
        let at = packet.l4_offset as u16;
        assert_eq!(frame.offload.checksum, Checksum::Partial { start: at, offset: 16 });
        assert_eq!(packet.payload(frame.packet()), all);
        let L4::Tcp { seq: first, .. } = packet.l4 else { panic!("{packet}") };

        let (mut cut, mut got) = (Frame::new(), Vec::new());
        let mut segments = Segments::of(&frame, &packet, true).expect("a super-packet");
        while segments.next_into(&mut cut) {
            wire::checksum::verify(cut.packet()).unwrap();
            let packet = Packet::parse(cut.packet()).unwrap();
            let L4::Tcp { seq, flags, .. } = packet.l4 else { panic!("{packet}") };
            assert_eq!(seq, first.wrapping_add(got.len() as u32));
            got.extend_from_slice(packet.payload(cut.packet()));
            assert_eq!(flags.contains(wire::packet::TcpFlags::PSH), got.len() == all.len());
            assert!(cut.len() <= 1500);
        }
        assert_eq!(got, all);
        assert!(!net.stacks[SERVER].poll_transmit(&mut frame, now));
        assert_eq!(net.counters()[SERVER].super_packets, 1);
    }
}

/// An answer goes with the data that it causes; alone it waits for a while, or for a second segment.
#[test]
fn acknowledgments_travel_with_data_or_wait() {
    let mut net = Net::new(1, FAIR, Limits::default());
    let (client, server) = net.connect("10.0.0.1:40000", "10.0.0.99:443");
    net.run_for(Duration::from_secs(1));
    let before = net.packets;
    for round in 0..100 {
        net.write(CLIENT, client, b"question").unwrap();
        net.run_until(Duration::from_secs(1), |net| {
            net.read(SERVER, server).unwrap() == Some(b"question".to_vec())
        });
        net.write(SERVER, server, b"answer").unwrap();
        net.run_until(Duration::from_secs(1), |net| {
            net.read(CLIENT, client).unwrap() == Some(b"answer".to_vec())
        });
        let expected = before + 2 * (round + 1);
        assert_eq!(net.packets, expected, "a question and an answer are two packets");
    }
    net.run_for(Duration::from_millis(11));
    assert_eq!(net.packets, before + 201);
}

#[test]
fn damaged_frames_are_counted_and_left() {
    let now = Instant::now();
    let mut stack = Stack::new([1, 2, 3], Limits::default(), now);
    let syn = wire::build::tcp("10.0.0.1:1", "10.0.0.99:443").syn();
    stack.receive(&mut syn.clone().wrong_checksum().frame(), now);
    stack.receive(&mut wire::build::udp("10.0.0.1:1", "10.0.0.99:443").frame(), now);
    stack.receive(&mut wire::build::tcp("10.0.0.1:0", "10.0.0.99:443").syn().frame(), now);
    stack.receive(&mut Frame::new(), now);
    assert_eq!((stack.counters().bad, stack.counters().sent), (4, 0));
    // An unfinished checksum is the sender's word.
    stack.receive(&mut syn.partial().frame(), now);
    assert_eq!((stack.counters().bad, stack.counters().sent), (4, 1));
}

/// Segments of a living connection with anything changed in them, between what it really says.
#[test]
fn nothing_that_comes_makes_a_connection_panic() {
    for seed in 0..40 {
        let mut net = Net::new(seed, FAIR, Limits::default());
        let (client, server) = net.connect("10.0.0.1:40000", "10.0.0.99:443");
        let mut random = Random::new(seed + 1);
        let mut frame = Frame::new();
        for round in 0..200 {
            let _ = net.write(CLIENT, client, &stream(0, random.below(5000) as usize));
            let _ = net.write(SERVER, server, &stream(0, random.below(5000) as usize));
            let now = net.time();
            let to = (round % 2) as usize;
            if net.stacks[1 - to].poll_transmit(&mut frame, now) {
                frame.offload = wire::frame::Offload::default();
                let mut bytes = frame.packet().to_vec();
                for _ in 0..random.below(4) {
                    // What identifies the connection stays.
                    let at = 24 + random.below(bytes.len() as u64 - 24) as usize;
                    bytes[at] = random.next() as u8;
                }
                if random.below(10) == 0 {
                    bytes.truncate(40 + random.below(bytes.len() as u64 - 40) as usize);
                    let len = bytes.len() as u16;
                    bytes[2..4].copy_from_slice(&len.to_be_bytes());
                }
                // It is taken for whole, whatever its checksum.
                let mut changed = Frame::from_packet(&bytes);
                changed.offload.gso = GsoKind::TcpV4;
                changed.offload.gso_size = 1;
                net.stacks[to].receive(&mut changed, now);
            }
            net.run_for(Duration::from_millis(random.below(20)));
            let _ = (net.read(CLIENT, client), net.read(SERVER, server));
            if round == 150 {
                net.shutdown(CLIENT, client);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), v6: bool, gso: bool) {
        let now = Instant::now();
        let mut stack = Stack::new([1, 2, 3], Limits::default(), now);
        let mut bytes = bytes;
        // As most of it would be no TCP at all.
        for (at, value) in if v6 { [(0, 0x60), (6, 6)] } else { [(0, 0x45), (9, 6)] } {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let mut frame = Frame::from_packet(&bytes);
        if gso {
            frame.offload.gso = GsoKind::TcpV4;
        }
        stack.receive(&mut frame, now);
        let mut out = Frame::new();
        while stack.poll_transmit(&mut out, now) {}
        prop_assert!(stack.counters().flows == 0);
    }
}
