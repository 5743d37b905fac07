use std::net::SocketAddr;

use super::*;
use crate::build;
use crate::checksum::verify_frame;
use crate::packet::head::Head;

#[test]
fn nat_keeps_every_kind_of_checksum_right() {
    let tcp = build::tcp("10.0.0.1:1024", "10.0.0.2:80").ack(5).payload(b"hello");
    let udp = build::udp("10.0.0.1:1024", "10.0.0.2:53").payload(b"hello");
    let tcp6 = build::tcp("[fd00::1]:1024", "[fd00::2]:80").ack(5).payload(b"hello");
    let udp6 = build::udp("[fd00::1]:1024", "[fd00::2]:53").payload(b"hello");
    for build in [
        tcp.clone(),
        tcp.clone().partial(),
        tcp.payload_len(30_000).gso(1448),
        udp.clone(),
        udp.clone().partial(),
        udp.clone().no_checksum(),
        udp.payload_len(30_000).gso(1448),
        tcp6.clone(),
        tcp6.clone().partial(),
        tcp6.payload_len(30_000).gso(1428),
        udp6.clone(),
        udp6.partial(),
    ] {
        let mut frame = build.frame();
        verify_frame(&frame).unwrap();
        let packet = Packet::parse(frame.packet()).unwrap();
        let (from, to): (IpAddr, IpAddr) = match packet.family {
            Family::V4 => ("192.0.2.7".parse().unwrap(), "198.51.100.9".parse().unwrap()),
            Family::V6 => ("2001:db8::7".parse().unwrap(), "2001:db8:ffff::9".parse().unwrap()),
        };
        set_destination(&mut frame, &packet, to, 8080);
        verify_frame(&frame).unwrap();
        set_source(&mut frame, &packet, from, 40_000);
        set_ttl(&mut frame, &packet, 9);
        verify_frame(&frame).unwrap();
        let after = Packet::parse(frame.packet()).unwrap();
        assert_eq!((after.src, after.dst, after.ttl, after.ports()), (from, to, 9, Some((40_000, 8080))));
    }
}

#[test]
fn a_hop_is_taken_while_there_is_one_to_go_on_with() {
    for build in [build::udp("10.0.0.1:1024", "10.0.0.2:53"), build::udp("[fd00::1]:1024", "[fd00::2]:53")] {
        for ttl in [255, 3, 2, 1, 0] {
            let mut frame = build.clone().ttl(ttl).frame();
            assert_eq!(take_hop(&mut frame), ttl > 1);
            verify_frame(&frame).unwrap();
            let left = Packet::parse(frame.packet()).unwrap().ttl;
            assert_eq!(left, if ttl > 1 { ttl - 1 } else { ttl });
        }
    }
}

#[test]
fn what_is_known_before_is_done_as_if_it_were_not() {
    let ends = [
        ["10.0.0.1:1024", "192.0.2.7:80", "172.16.255.254:8080"],
        ["[2001:db8::1]:1024", "[2001:db8:ffff::7]:80", "[fd00:1:2:3:4:5:6:7]:8080"],
    ];
    for [client, vip, server] in ends {
        let (to, from) = ((client, vip), (vip, client));
        for (side, (src, dst)) in [(Side::Destination, to), (Side::Source, from)] {
            let packets = [
                build::tcp(src, dst).ack(1).payload(b"abc"),
                build::tcp(src, dst).ack(1).payload_len(5000).gso(1000),
                build::tcp(src, dst).syn().partial(),
                build::udp(src, dst).payload(b"abc"),
                build::udp(src, dst).payload(b"abc").partial(),
                build::udp(src, dst).payload(b"abc").ttl(255),
                build::sctp(src, dst).chunk(0, b"data"),
            ];
            let rewrite = Rewrite::new(side, vip.parse().unwrap(), server.parse().unwrap());
            for built in packets {
                let (mut one, mut other) = (built.frame(), built.frame());
                let packet = Packet::parse(one.packet()).unwrap();
                rewrite.apply(&mut one, &packet);
                let server: SocketAddr = server.parse().unwrap();
                set(&mut other, &packet, side, server.ip(), server.port());
                assert_eq!(one.packet(), other.packet(), "{packet}");
                assert_eq!(one.offload, other.offload);
                assert!(verify_frame(&one).is_ok());
            }
        }
    }
}

#[test]
fn what_is_done_at_once_is_what_is_done_one_by_one() {
    let ends = [
        ["10.0.0.1:1024", "192.0.2.7:80", "172.16.255.254:8080", "10.9.9.9:40000"],
        ["[2001:db8::1]:1024", "[2001:db8:ffff::7]:80", "[fd00:1:2:3:4:5:6:7]:8080", "[fd00::9]:40000"],
    ];
    for ends in ends {
        let [client, vip, server, local]: [SocketAddr; 4] = ends.map(|end| end.parse().unwrap());
        let to_server = Rewrite::new(Side::Destination, vip, server);
        let from_local = Rewrite::new(Side::Source, client, local);
        let tcp = build::tcp(client, vip).ack(1);
        let udp = build::udp(client, vip).payload(b"abc");
        let mut packets = vec![
            tcp.clone().payload(b"abc"),
            tcp.clone().payload_len(5000).gso(1000),
            tcp.clone().tcp_options(&[1, 1, 1, 1]).partial(),
            tcp.payload(b"abc").wrong_checksum(),
            udp.clone(),
            udp.clone().partial(),
        ];
        if client.is_ipv4() {
            packets.push(udp.no_checksum());
        }
        let edits = [(None, None), (Some(&to_server), None), (Some(&to_server), Some(&from_local))];
        for (built, (one, other), hop) in packets.iter().flat_map(|built| {
            edits.into_iter().flat_map(move |edits| [false, true].map(|hop| (built, edits, hop)))
        }) {
            let (mut at_once, mut one_by_one) = (built.frame(), built.frame());
            let packet = Packet::parse(at_once.packet()).unwrap();
            if client.is_ipv4() {
                let head = Head::<false>::of(at_once.packet()).expect("a usual packet");
                head.forward(&mut at_once, one, other, hop);
            } else {
                let head = Head::<true>::of(at_once.packet()).expect("a usual packet");
                head.forward(&mut at_once, one, other, hop);
            }
            if one.is_some() {
                set_destination(&mut one_by_one, &packet, server.ip(), server.port());
            }
            if other.is_some() {
                set_source(&mut one_by_one, &packet, local.ip(), local.port());
            }
            set_ttl(&mut one_by_one, &packet, packet.ttl + u8::from(hop));
            assert_eq!(at_once.packet(), one_by_one.packet(), "{packet}");
        }
    }
}
