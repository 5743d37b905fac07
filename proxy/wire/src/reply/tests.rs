use super::*;
use crate::build::{self, Build};
use crate::checksum::verify;
use crate::icmp;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What `answer` makes of the packet; a refusal leaves the frame alone.
fn answer(build: &Build, answer: impl Fn(&mut Frame, &Packet) -> bool) -> Option<(Frame, Packet)> {
    let before = build.frame();
    let mut frame = before.clone();
    let packet = Packet::parse(frame.packet()).unwrap();
    if answer(&mut frame, &packet) {
        verify(frame.packet()).unwrap();
        assert_eq!(frame.offload, Default::default());
        let reply = Packet::parse(frame.packet()).unwrap();
        assert_eq!((reply.ttl, reply.total_len), (64, frame.len()));
        Some((frame, reply))
    } else {
        assert_eq!((frame.packet(), frame.offload), (before.packet(), before.offload));
        None
    }
}

#[test]
fn a_reset_answers_as_the_rfc_says() {
    for tcp in [build::tcp("10.0.0.1:1024", "10.0.0.2:80"), build::tcp("[fd00::1]:1024", "[fd00::2]:80")] {
        let reset = |build: &Build| {
            let (_, reply) = answer(build, tcp_reset).unwrap();
            let original = Packet::parse(&build.bytes()).unwrap();
            assert_eq!((reply.src, reply.dst, reply.ports()), (original.dst, original.src, Some((80, 1024))));
            let L4::Tcp { seq, ack, flags, header_len: 20, .. } = reply.l4 else { panic!("{reply}") };
            (seq, ack, flags)
        };
        let tcp = tcp.seq(0xffff_ffff).payload_len(10);
        assert_eq!(reset(&tcp.clone().ack(77)), (77, 0, TcpFlags::RST));
        assert_eq!(reset(&tcp.clone().syn().ack(77)), (77, 0, TcpFlags::RST));
        assert_eq!(reset(&tcp), (0, 9, TcpFlags::RST | TcpFlags::ACK));
        assert_eq!(reset(&tcp.clone().syn()), (0, 10, TcpFlags::RST | TcpFlags::ACK));
        assert_eq!(reset(&tcp.clone().fin()), (0, 10, TcpFlags::RST | TcpFlags::ACK));
        let large = tcp.clone().payload_len(40_000).gso(1400);
        assert_eq!(reset(&large), (0, 39_999, TcpFlags::RST | TcpFlags::ACK), "all of a super-packet");
        assert!(answer(&tcp.clone().rst(), tcp_reset).is_none());
        assert!(answer(&tcp.clone().rst().ack(1), tcp_reset).is_none());
        assert!(answer(&tcp.wrong_checksum(), tcp_reset).is_none());
    }
    assert!(answer(&build::udp("10.0.0.1:1", "10.0.0.2:2"), tcp_reset).is_none());
}

#[test]
fn errors_quote_the_packet() {
    for (udp, from, room) in [
        (build::udp("10.0.0.1:1024", "10.0.0.2:53"), ip("10.0.0.2"), 548),
        (build::udp("[fd00::1]:1024", "[fd00::2]:53"), ip("fd00::2"), 1232),
    ] {
        for build in [udp.clone(), udp.clone().partial(), udp.clone().payload_len(1400)] {
            let (frame, reply) =
                answer(&build, |frame, packet| icmp_unreachable_port(frame, packet, from)).unwrap();
            let original = Packet::parse(&build.bytes()).unwrap();
            assert_eq!((reply.src, reply.dst), (from, original.src));
            assert_eq!(reply.payload_len(), original.total_len.min(room));
            let quoted = icmp::quoted(frame.packet(), &reply).unwrap();
            assert_eq!((quoted.src, quoted.dst), (original.src, original.dst));
            assert_eq!((quoted.src_port, quoted.dst_port, quoted.mtu), (1024, 53, None));
            if original.total_len < room {
                verify(&frame.packet()[quoted.offset..]).unwrap();
            }
        }
        let (frame, reply) = answer(&udp, |frame, packet| icmp_too_big(frame, packet, from, 1300)).unwrap();
        assert_eq!(icmp::quoted(frame.packet(), &reply).unwrap().mtu, Some(1300));
    }
}

#[test]
fn of_a_super_packet_the_first_segment_is_quoted() {
    for build in [
        build::tcp("10.0.0.1:1024", "10.0.0.2:80").ack(1),
        build::udp("10.0.0.1:1024", "10.0.0.2:53"),
        build::tcp("[fd00::1]:1024", "[fd00::2]:80").ack(1),
        build::udp("[fd00::1]:1024", "[fd00::2]:53"),
    ] {
        // Small segments, so that the whole of the first fits the quote.
        let build = build.payload_len(9001).gso(500);
        let from = Packet::parse(&build.bytes()).unwrap().dst;
        let (frame, reply) = answer(&build, |frame, packet| icmp_too_big(frame, packet, from, 400)).unwrap();
        let quote = &frame.packet()[icmp::quoted(frame.packet(), &reply).unwrap().offset..];
        verify(quote).unwrap();
        let first = Packet::parse(quote).unwrap();
        assert_eq!((first.payload_len(), first.total_len), (500, quote.len()));
    }
}

#[test]
fn a_ping_is_answered_in_place() {
    for ping in [build::ping("10.0.0.1", "10.0.0.2", 7, 8), build::ping("fd00::1", "fd00::2", 7, 8)] {
        for ping in [ping.clone(), ping.clone().partial(), ping.payload_len(1400)] {
            let (frame, reply) = answer(&ping, echo).unwrap();
            let (before, original) = (ping.bytes(), Packet::parse(&ping.bytes()).unwrap());
            assert_eq!((reply.src, reply.dst), (original.dst, original.src));
            assert!(matches!(reply.l4, L4::Icmp { kind: 0, code: 0 } | L4::Icmp6 { kind: 129, code: 0 }));
            assert_eq!(frame.packet()[reply.l4_offset + 4..], before[reply.l4_offset + 4..]);
        }
    }
    let zeros = build::icmp("10.0.0.1", "10.0.0.2", 8, 0, 0).payload(&[0; 56]);
    let (frame, _) = answer(&zeros, echo).unwrap();
    assert_eq!(frame.packet()[22..24], [0xff, 0xff], "a sum of zero is all ones");
    let wrong = build::ping("10.0.0.1", "10.0.0.2", 7, 8).wrong_checksum();
    let (mut frame, packet) = (wrong.frame(), Packet::parse(&wrong.bytes()).unwrap());
    assert!(echo(&mut frame, &packet));
    assert!(verify(frame.packet()).is_err(), "damage is not covered up");
    for other in [
        build::icmp("10.0.0.1", "10.0.0.2", 0, 0, 0),
        build::icmp("fd00::1", "fd00::2", 8, 0, 0),
        build::tcp("10.0.0.1:1", "10.0.0.2:2"),
        build::ping("10.0.0.1", "224.0.0.1", 7, 8),
        build::ping("0.0.0.0", "10.0.0.1", 7, 8),
    ] {
        assert!(answer(&other, echo).is_none());
    }
}

#[test]
fn where_no_error_is_due() {
    let unreachable = |from: &'static str| {
        move |frame: &mut Frame, packet: &Packet| icmp_unreachable_port(frame, packet, ip(from))
    };
    let udp = build::udp("10.0.0.1:1", "10.0.0.2:2").may_fragment().payload_len(30);
    assert!(answer(&udp, unreachable("10.0.0.2")).is_some());
    assert!(answer(&udp, unreachable("fd00::2")).is_none(), "from an address of the other family");
    assert!(answer(&build::ping("10.0.0.1", "10.0.0.2", 1, 1), unreachable("10.0.0.2")).is_some());
    assert!(answer(&build::ping("fd00::1", "fd00::2", 1, 1), unreachable("fd00::2")).is_some());
    for kind in [3, 4, 5, 11, 12, 42] {
        let error = build::icmp("10.0.0.1", "10.0.0.2", kind, 0, 0);
        assert!(answer(&error, unreachable("10.0.0.2")).is_none());
    }
    for kind in [1, 2, 3, 4, 100, 127, 137] {
        assert!(answer(&build::icmp("fd00::1", "fd00::2", kind, 0, 0), unreachable("fd00::2")).is_none());
    }
    for (src, dst) in
        [("10.0.0.1:1", "239.0.0.1:2"), ("10.0.0.1:1", "255.255.255.255:2"), ("0.0.0.0:1", "10.0.0.2:2")]
    {
        assert!(answer(&build::udp(src, dst), unreachable("10.0.0.2")).is_none());
    }
    for (src, dst) in
        [("[fd00::1]:1", "[ff02::1]:2"), ("[::]:1", "[fd00::1]:2"), ("[ff02::1]:1", "[fd00::1]:2")]
    {
        assert!(answer(&build::udp(src, dst), unreachable("fd00::2")).is_none());
    }
    let pieces = udp.fragments(16);
    let mut frame = Frame::from_packet(&pieces[0]);
    let packet = Packet::parse(&pieces[0]).unwrap();
    assert!(icmp_unreachable_port(&mut frame, &packet, ip("10.0.0.2")), "a first fragment is answered");
    let mut frame = Frame::from_packet(&pieces[1]);
    let packet = Packet::parse(&pieces[1]).unwrap();
    assert!(!icmp_unreachable_port(&mut frame, &packet, ip("10.0.0.2")));
}
