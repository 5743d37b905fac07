//! The numbers of both streams, whatever is said and however often, in whatever segments.

use engine::HostView;
use sched::{Direction, ForwardMethod, Op, Proto, ProxyProtocol, ServiceKey, ServiceSpec};
use wire::build::tcp;
use wire::packet::{L4, Packet};

use crate::director::{Director, METHODS, Net, SENT, nets, with_port};
use crate::for_each;
use crate::talk::{Talk, command, port_of, reply};

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % n
    }
}

/// A session of many transfers, with parts of it sent again at any time: each end checks what it gets and what is
/// acknowledged. Addresses of the server are shorter than the VIP, those of the client longer than the local ones.
#[test]
fn many_replacements_that_grow_and_shrink_leave_no_trace() {
    for seed in 0..20 {
        for_each(|net, method| {
            let mut rng = Rng(seed);
            let mut director = Director::new(net, method);
            let mut talk = Talk::open(&mut director, net, 4000);
            for _ in 0..40 {
                let port = 1024 + rng.below(64_000) as u16;
                match rng.below(4) {
                    0 => drop(talk.asks(&mut director, &command(with_port(net.client, port)))),
                    1 => {
                        talk.asks(&mut director, "PASV");
                        let named = with_port(talk.server_addr, port);
                        let told = talk.answers(&mut director, &reply(named));
                        assert_eq!(told, reply(with_port(net.vip, port)));
                    }
                    2 => drop(talk.asks(&mut director, "RETR a.file")),
                    _ => drop(talk.answers(&mut director, "226-So\r\n226 Transfer complete.")),
                }
                for who in [Direction::In, Direction::Out] {
                    let said = if who == Direction::In { &talk.client.said } else { &talk.server.said }.len();
                    if said > 0 && rng.below(2) == 0 {
                        let from = rng.below(said as u64) as usize;
                        let to = from + 1 + rng.below((said - from) as u64) as usize;
                        assert_eq!(talk.sends(&mut director, who, from..to), [], "nothing new");
                    }
                }
            }
            let longer = |end: &[u8], said: &[u8]| end.len() as i64 - said.len() as i64;
            let [of_client, of_server] = [
                longer(&talk.server.heard, &talk.client.said),
                longer(&talk.client.heard, &talk.server.said),
            ];
            assert_eq!(of_client != 0, method == ForwardMethod::FullNat, "{of_client}");
            assert_eq!(of_server != 0, net.client.is_ipv4(), "{of_server}");
        });
    }
}

/// What has been replaced is the same when it comes again, though its port is expected no more.
#[test]
fn a_segment_that_comes_again_says_the_same() {
    for_each(|net, method| {
        let mut director = Director::new(net, method);
        let mut talk = Talk::open(&mut director, net, 4000);
        let told = talk.asks(&mut director, &command(with_port(net.client, 6000)));
        let peer = with_port(talk.peer, port_of(&told));
        director.sends(&tcp(with_port(talk.server_addr, 20), peer).syn());
        let len = talk.client.said.len();
        assert_eq!(talk.sends(&mut director, Direction::In, 0..len), []);
        assert_eq!(director.engine.connections_held(), 2, "nothing is expected again");
        talk.asks(&mut director, "PASV");
        let said = talk.server.said.len();
        talk.answers(&mut director, &reply(with_port(talk.server_addr, 40_001)));
        director.sends(&tcp(with_port(net.client, 5000), with_port(net.vip, 40_001)).syn());
        assert_eq!(talk.sends(&mut director, Direction::Out, said..talk.server.said.len()), []);
        assert_eq!(director.engine.connections_held(), 3);
    });
}

#[test]
fn a_line_in_two_segments_is_left_alone() {
    for_each(|net, method| {
        let line = format!("{}\r\n", command(with_port(net.client, 6000)));
        for at in 1..line.len() {
            let mut director = Director::new(net, method);
            let mut talk = Talk::open(&mut director, net, 4000);
            let parts = line.as_bytes().split_at(at);
            for part in [parts.0, parts.1] {
                assert_eq!(talk.says_raw(&mut director, Direction::In, part), part);
            }
            assert_eq!(director.engine.connections_held(), 1);
            assert_eq!(talk.sends(&mut director, Direction::In, 0..line.len()), [], "in one piece, but late");
            assert_eq!(director.engine.connections_held(), 1);
        }
    });
}

#[test]
fn several_commands_in_a_segment_are_several() {
    for_each(|net, method| {
        for gso in [0, 30] {
            let mut director = Director::new(net, method);
            let mut talk = Talk::open(&mut director, net, 4000);
            talk.gso = gso;
            let named = [6000, 6001, 6002].map(|port| command(with_port(net.client, port)));
            let told = talk.asks(&mut director, &format!("NOOP\r\n{}", named.join("\r\nRETR a\r\n")));
            let lines: Vec<_> = told.split("\r\n").collect();
            for (line, port) in [(lines[1], 6000), (lines[3], 6001), (lines[5], 6002)] {
                let peer = with_port(talk.peer, port_of(line));
                assert_eq!(line, command(peer));
                let [_, client] = director.sends(&tcp(with_port(talk.server_addr, 20), peer).syn());
                assert_eq!(client, with_port(net.client, port));
            }
            talk.gso = 0;
            assert_eq!(talk.sends(&mut director, Direction::In, 0..talk.client.said.len()), []);
        }
    });
}

/// More than are remembered, and none of them acknowledged: those that there is no room for stay.
#[test]
fn a_client_that_waits_for_nothing_is_told_no_lies() {
    for net in nets() {
        let mut director = Director::new(&net, ForwardMethod::FullNat);
        let mut talk = Talk::open(&mut director, &net, 4000);
        let named: Vec<_> = (6000..6020).map(|port| command(with_port(net.client, port))).collect();
        let told = talk.asks(&mut director, &named.join("\r\n"));
        let told: Vec<_> = told.split("\r\n").collect();
        let stay = told.iter().zip(&named).filter(|(told, named)| told == named).count();
        assert_eq!((told.len(), stay), (20, 14));
        assert_eq!(talk.sends(&mut director, Direction::In, 0..talk.client.said.len()), []);
        // The server has them all, and there is room again.
        talk.answers(&mut director, "200 Yes.");
        let named = command(with_port(net.client, 7000));
        assert_ne!(talk.asks(&mut director, &named), named);
        assert_eq!(talk.sends(&mut director, Direction::In, 0..talk.client.said.len()), []);
    }
}

/// Each end sends segments that may get longer on their way.
#[test]
fn a_full_segment_has_room_to_grow() {
    for_each(|net, method| {
        let mut director = Director::new(net, method);
        let mss = |from, to| tcp(from, to).syn().seq(99).tcp_options(&[2, 4, 5, 0xb4]);
        let invited = |director: &mut Director, build| {
            let (_, frame) = director.process(&build);
            wire::tcp::mss(&frame, &Packet::parse(frame.packet()).unwrap())
        };
        assert_eq!(invited(&mut director, mss(net.client, net.vip)), Some(1460 - 64));
        let [peer, server] = director.sends(&tcp(net.client, net.vip).syn().seq(99));
        assert_eq!(invited(&mut director, mss(server, peer).ack(100)), Some(1460 - 64));
    });
}

/// 27 bytes more for each command.
#[test]
fn a_segment_grows_by_what_fits_every_way_or_by_what_it_has_been_shortened_by() {
    let [_, net] = nets();
    let net = Net { lip: "2001:db8:2222:3333:4444:5555:6666:7777".parse().unwrap(), ..net };
    let client = "[2001:db8::1]:4000".parse().unwrap();
    let net = Net { client, ..net };
    for (filler, gso, replaced) in [(0, 0, 5), (1200, 0, 2), (1200, 1000, 5), (990, 0, 3)] {
        let mut director = Director::new(&net, ForwardMethod::FullNat);
        director.engine.set_local_ports(&[], &(7000..8000).collect::<Vec<_>>());
        director.engine.set_host(HostView::new([net.lip]));
        let mut talk = Talk::open(&mut director, &net, 4000);
        talk.gso = gso;
        let named = command(with_port(client, 6000));
        let asked = format!("NOOP {}\r\n{}", " ".repeat(filler), [named.as_str(); 5].join("\r\n"));
        let told = talk.asks(&mut director, &asked);
        let stay = told.split("\r\n").filter(|line| *line == named).count();
        assert_eq!(5 - stay, replaced, "{filler} {gso}");
        assert_eq!(told.len() - asked.len(), replaced * 27);
    }
}

/// The header of the PROXY protocol comes before all of it.
#[test]
fn what_the_server_is_told_first_does_not_mix_with_it() {
    for net in nets() {
        for method in METHODS {
            let mut director = Director::new(&net, method);
            let key = ServiceKey::addr(Proto::Tcp, net.vip);
            let mut service = ServiceSpec::new(key, "rr");
            service.tcp.proxy_protocol = Some(ProxyProtocol::V1);
            director.edit(&[Op::EditService { service }]);
            let [peer, server] = director.sends(&tcp(net.client, net.vip).syn().seq(99));
            // Before anybody has answered, nothing is heard.
            let line = format!("{}\r\n", command(with_port(net.client, 6000)));
            director.gives(
                &tcp(net.client, net.vip).seq(100).ack(1).payload(line.as_bytes()),
                &tcp(peer, server).seq(100).ack(1).payload(line.as_bytes()).ttl(65),
            );
            director.sends(&tcp(server, peer).syn().seq(499).ack(100));
            let (_, frame) = director.process(&tcp(net.client, net.vip).seq(100).ack(500));
            let header = Packet::parse(frame.packet()).unwrap().payload_len() as u32;
            assert!(header > 20);
            director.sends(&tcp(server, peer).seq(500).ack(100 + header));
            let ask = tcp(net.client, net.vip).seq(100).ack(500).payload(line.as_bytes());
            let (_, frame) = director.process(&ask);
            let packet = Packet::parse(frame.packet()).unwrap();
            let told = String::from_utf8(packet.payload(frame.packet()).to_vec()).unwrap();
            let L4::Tcp { seq, .. } = packet.l4 else { panic!("{packet}") };
            assert_eq!(seq, 100 + header);
            assert_eq!(told.trim_end(), command(with_port(peer, port_of(&told.replace("\r\n", "")))));
            let ack = 100 + header + told.len() as u32;
            let (_, frame) = director.process(&tcp(server, peer).seq(500).ack(ack));
            let L4::Tcp { ack, .. } = Packet::parse(frame.packet()).unwrap().l4 else { panic!("no TCP") };
            assert_eq!(ack, 100 + line.len() as u32);
            // Data has no header.
            let data = with_port(peer, port_of(told.trim_end()));
            let [vip, client] = director.sends(&tcp(with_port(server, 20), data).syn().seq(7));
            director.sends(&tcp(client, vip).syn().seq(8).ack(8));
            director.gives(
                &tcp(with_port(server, 20), data).seq(8).ack(9).payload(b"x"),
                &tcp(vip, client).seq(8).ack(9).payload(b"x").ttl(65),
            );
            let mut frame = wire::frame::Frame::new();
            assert!(director.worker.next_own(&mut frame).is_none());
        }
    }
}

/// Segments of anything, in any order, of both ends.
#[test]
fn no_segments_are_too_strange() {
    const PIECES: [&str; 14] = [
        "PORT 198,51,100,10,4,1",
        "EPRT |1|198.51.100.10|1025|",
        "EPRT |2|2001:db8:1::10|1025|",
        "PASV",
        "EPSV",
        "227 (10,0,0,11,4,1)",
        "227 (10,0,0,12,200,1)",
        "229 (|||40001|)",
        "213-",
        "213 ",
        "\r\n",
        "\r\n",
        "\n",
        "\u{ff}",
    ];
    for seed in 0..300 {
        for_each(|net, method| {
            let mut rng = Rng(seed);
            let mut director = Director::new(net, method);
            let talk = Talk::open(&mut director, net, 4000);
            for _ in 0..30 {
                let (from, to, begin) = match rng.below(2) {
                    0 => (talk.client_addr, net.vip, u32::MAX - 40),
                    _ => (talk.server_addr, talk.peer, 5000),
                };
                let text: String = (0..rng.below(12)).map(|_| PIECES[rng.below(14) as usize]).collect();
                let seq = if rng.below(20) == 0 { rng.below(1 << 32) as u32 } else { rng.below(300) as u32 };
                let segment = tcp(from, to).seq(begin.wrapping_add(seq)).ack(rng.below(1 << 32) as u32);
                let segment = segment.payload(text.as_bytes());
                let segment = if rng.below(4) == 0 { segment.gso(1 + rng.below(60) as u16) } else { segment };
                let (verdict, _) = director.process(&segment);
                assert_eq!(verdict, SENT);
            }
        });
    }
}
