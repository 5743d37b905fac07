//! The header of the PROXY protocol, case by case.

use std::time::Duration;

use engine::{Counters, Knobs};
use sched::{ForwardMethod, OnDown, ProxyProtocol, TcpOptions};
use wire::build::{too_big, unreachable_port};
use wire::frame::Frame;
use wire::icmp;
use wire::packet::{L4, Packet, TcpFlags};
use wire::tcp;

use crate::client::{CLIENT, METHODS, SERVER, acknowledged, arrived};
use crate::director::{Director, Net, nets};
use crate::end_all::end_all;

const TIMESTAMPS: &[u8] = &[1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8];

fn director(net: Net, method: ForwardMethod, version: ProxyProtocol) -> Director {
    Director::new(net, method, TcpOptions { proxy_protocol: Some(version), ..TcpOptions::default() })
}

fn simple() -> Director {
    let mut director = director(nets()[0], ForwardMethod::Masq, ProxyProtocol::V1);
    director.greet();
    director
}

/// Of the connection in [`simple`].
const HEADER: &[u8] = b"PROXY TCP4 198.51.100.10 203.0.113.1 4000 80\r\n";
const LEN: u32 = HEADER.len() as u32;

fn each(test: impl Fn(Director, usize)) {
    for net in nets() {
        for method in METHODS {
            let len = if net.client.is_ipv4() { 28 } else { 52 };
            test(director(net, method, ProxyProtocol::V2), len);
        }
    }
}

fn counters(director: &Director) -> Counters {
    director.engine.counters()
}

#[test]
fn it_takes_the_place_of_the_first_acknowledgment() {
    each(|mut director, len| {
        director.greet();
        let (frame, _) = director.one(&director.client(0, 0).tcp_options(TIMESTAMPS));
        let (at, flags, header) = arrived(&frame, CLIENT);
        assert_eq!((at, flags, header.len()), (0, TcpFlags::ACK | TcpFlags::PSH, len));
        assert_eq!(header[..12], *b"\r\n\r\n\0\r\nQUIT\n");
        let (frame, packet) = director.one(&director.client(0, 0).payload(b"hello"));
        assert_eq!(arrived(&frame, CLIENT), (len as u32, TcpFlags::ACK, b"hello".to_vec()));
        assert_eq!(packet.dst, director.net.server.ip());
        let len = len as u32;
        for (heard, known) in [(0, 0), (1, 0), (len, 0), (len + 3, 3), (len + 5, 5)] {
            let (frame, _) = director.one(&director.server(0, heard));
            assert_eq!((acknowledged(&frame, CLIENT), arrived(&frame, SERVER).0), (known, 0));
        }
        assert_eq!(counters(&director).greetings, 1);
        assert_eq!(director.wait(Duration::from_secs(1)).len(), 0, "nothing is left to be sent");
    });
}

#[test]
fn it_goes_before_data_that_comes_with_the_first_acknowledgment() {
    each(|mut director, len| {
        director.greet();
        let data = director.client(0, 0).flags(TcpFlags::PSH).tcp_options(TIMESTAMPS).payload_len(5000);
        let sent = director.pass(&data.gso(1000));
        assert_eq!(sent.len(), 2);
        let (at, _, header) = arrived(&sent[0], CLIENT);
        assert_eq!((at, header.len(), sent[0].offload.gso_size), (0, len, 0));
        let (at, _, data) = arrived(&sent[1], CLIENT);
        assert_eq!((at, data.len(), sent[1].offload.gso_size), (len as u32, 5000, 1000));
        for frame in &sent {
            let packet = Packet::parse(frame.packet()).unwrap();
            let option = tcp::options(frame, &packet).next().unwrap();
            assert_eq!((option.kind, option.data), (8, &TIMESTAMPS[4..]), "or it would be dropped by some");
        }
    });
}

#[test]
fn a_server_that_speaks_first_gets_it_until_it_acknowledges_it() {
    let mut director = simple();
    let (first, _) = director.one(&director.client(0, 0));
    for _ in 0..3 {
        director.one(&director.server(0, 0).payload(b"220 who are you?"));
        director.one(&director.client(0, 16));
    }
    let mut again = Vec::new();
    for _ in 0..40 {
        again.extend(director.wait(Duration::from_millis(100)));
    }
    assert_eq!(again.len(), 3, "after 0.3, 0.6 and 1.2 seconds more");
    assert!(again.iter().all(|frame| frame.packet() == first.packet()));
    director.one(&director.server(16, LEN));
    assert_eq!(director.wait(Duration::from_secs(300)).len(), 0);
    assert_eq!(counters(&director).greetings, 4);
}

#[test]
fn nobody_waits_for_ever_nor_for_what_is_over() {
    let mut director = simple();
    director.one(&director.client(0, 0));
    let sent = (0..300).map(|_| director.wait(Duration::from_secs(1)).len()).sum::<usize>();
    assert_eq!(sent, 8);

    let mut director = simple();
    director.one(&director.client(0, 0));
    let reset = director.server(0, 0).rst();
    director.one(&reset);
    assert_eq!(director.wait(Duration::from_secs(5)).len(), 0);
}

#[test]
fn a_client_that_repeats_its_first_bytes_has_it_repeated() {
    let mut director = simple();
    director.one(&director.client(0, 0));
    let data = director.client(0, 0).payload(b"GET /");
    assert_eq!(director.pass(&data).len(), 1);
    director.now += Duration::from_millis(99);
    assert_eq!(director.pass(&data).len(), 1, "it may still be on its way");
    director.now += Duration::from_millis(1);
    let sent = director.pass(&data);
    assert_eq!(sent.len(), 2);
    assert_eq!(arrived(&sent[0], CLIENT), (0, TcpFlags::ACK | TcpFlags::PSH, HEADER.to_vec()));
    assert_eq!(arrived(&sent[1], CLIENT).0, LEN);
    director.now += Duration::from_secs(1);
    assert_eq!(director.pass(&director.client(5, 0).payload(b"more")).len(), 1, "not its first bytes");
    director.one(&director.server(0, LEN));
    assert_eq!(director.pass(&data).len(), 1, "the server has it");
}

#[test]
fn a_client_whose_first_segment_is_its_last_has_it_repeated() {
    for data in [b"".as_slice(), b"bye"] {
        let mut director = simple();
        let last = director.client(0, 0).payload(data).fin();
        assert_eq!(director.pass(&last).len(), 2);
        // By the clock, and with what the client repeats.
        assert_eq!(director.wait(Duration::from_millis(400)).len(), 1);
        director.now += Duration::from_millis(100);
        let sent = director.pass(&last);
        assert_eq!((sent.len(), arrived(&sent[0], CLIENT).2), (2, HEADER.to_vec()));
        director.one(&director.server(0, LEN));
        assert_eq!(director.wait(Duration::from_secs(5)).len(), 0);
    }
}

#[test]
fn a_reset_is_believed_before_and_after_it() {
    let mut director = simple();
    let mut reset = director.client(0, 0).rst();
    assert_eq!(arrived(&director.one(&reset).0, CLIENT).0, 0);

    let mut director = simple();
    director.one(&director.client(0, 0));
    reset = reset.flags(TcpFlags::ACK);
    let sent = director.pass(&reset);
    assert_eq!(sent.len(), 2, "the header may have been lost, and the reset would come too far ahead");
    assert_eq!(arrived(&sent[0], CLIENT).2, HEADER);
    assert_eq!(arrived(&sent[1], CLIENT).0, LEN);
}

#[test]
fn who_has_not_heard_the_server_gets_nothing_from_it() {
    let mut director = director(nets()[0], ForwardMethod::Masq, ProxyProtocol::V1);
    director.one(&director.syn());
    assert_eq!(arrived(&director.one(&director.client(0, 0)).0, CLIENT).2, b"", "no answer has been sent");
    director.one(&director.syn_ack());
    let stranger = director.client(0, 0).ack(SERVER);
    assert_eq!(arrived(&director.one(&stranger).0, CLIENT).2, b"");
    assert_eq!(arrived(&director.one(&director.client(0, 0)).0, CLIENT).2, HEADER);
}

#[test]
fn a_client_that_begins_again_is_counted_anew() {
    let mut director = director(nets()[0], ForwardMethod::Masq, ProxyProtocol::V1);
    director.one(&director.syn().seq(99));
    director.greet();
    director.one(&director.client(0, 0));
    assert_eq!(arrived(&director.one(&director.client(0, 0).payload(b"x")).0, CLIENT).0, LEN);
}

#[test]
fn a_connection_from_before_we_knew_it_has_none() {
    let mut director = director(nets()[0], ForwardMethod::Masq, ProxyProtocol::V1);
    director.set_knobs(Knobs { sloppy_tcp: true, ..Knobs::default() });
    for build in [director.client(0, 0), director.client(0, 0).payload(b"data")] {
        let (frame, _) = director.one(&build);
        let (at, _, data) = arrived(&frame, CLIENT);
        assert_eq!(
            (at, data),
            (0, if at == 0 && build.bytes().len() > 40 { b"data".to_vec() } else { vec![] })
        );
    }
}

#[test]
fn the_window_leaves_room_for_it_from_the_beginning() {
    let mut director = director(nets()[0], ForwardMethod::Masq, ProxyProtocol::V1);
    director.one(&director.syn());
    let (frame, packet) = director.one(&director.syn_ack().window(1000));
    assert_eq!(tcp::numbers(&frame, &packet).unwrap().window, 1000 - LEN as u16);
}

#[test]
fn early_data_and_second_numberings_wait_until_it_is_known() {
    let mut director = director(nets()[0], ForwardMethod::Masq, ProxyProtocol::V1);
    // Fast Open's cookie, the experimental one, Multipath TCP, and what may stay.
    let list = [34, 6, 1, 2, 3, 4, 254, 8, 0xf9, 0x89, 1, 2, 3, 4, 30, 4, 0, 1, 4, 2, 254, 4, 1, 2];
    let (frame, packet) = director.one(&director.syn().tcp_options(&list).payload(b"GET / HTTP/1.0\r\n"));
    assert_eq!(arrived(&frame, CLIENT).2, b"");
    assert_eq!(tcp::options(&frame, &packet).map(|option| option.kind).collect::<Vec<_>>(), [4, 254]);
    director.one(&director.syn_ack());
    let sent = director.pass(&director.client(0, 0).payload(b"GET / HTTP/1.0\r\n"));
    assert_eq!(arrived(&sent[0], CLIENT).2, HEADER);
    assert_eq!(arrived(&sent[1], CLIENT), (LEN, TcpFlags::ACK, b"GET / HTTP/1.0\r\n".to_vec()));
}

#[test]
fn resets_of_ours_have_the_numbers_that_the_server_expects() {
    let mut director = simple();
    director.one(&director.client(0, 0));
    director.one(&director.server(0, LEN));
    director.one(&director.client(0, 0).payload(b"unheard"));
    let table = director.engine.services();
    let dest = &table.services().next().unwrap().dests[0].live;
    assert_eq!(end_all(&director.engine, dest, OnDown::Reset), 1);
    let resets = director.wait(Duration::ZERO);
    let numbers = |to: std::net::IpAddr| {
        let to = resets.iter().filter(|frame| Packet::parse(frame.packet()).unwrap().dst == to);
        to.map(|frame| (frame.packet().to_vec(), Frame::clone(frame)))
            .map(|(_, frame)| frame)
            .collect::<Vec<_>>()
    };
    let to_server = numbers(director.net.server.ip());
    assert_eq!(to_server.iter().map(|f| arrived(f, CLIENT).0).collect::<Vec<_>>(), [LEN, LEN + 7]);
    assert!(to_server.iter().all(|frame| acknowledged(frame, SERVER) == 0));
    let to_client = numbers(director.net.client.ip());
    assert_eq!(to_client.iter().map(|f| arrived(f, SERVER).0).collect::<Vec<_>>(), [0]);
    assert!(to_client.iter().all(|frame| acknowledged(frame, CLIENT) == 7));
    assert_eq!((counters(&director).resets, counters(&director).greetings), (3, 1));
}

#[test]
fn errors_quote_the_numbers_that_their_reader_knows() {
    let mut director = simple();
    director.one(&director.client(0, 0));
    let (frame, _) = director.one(&director.client(0, 0).payload_len(1400));
    let about_request = too_big("10.0.0.254", "198.51.100.10", 1300, frame.packet());
    let (error, packet) = director.one(&about_request);
    let quoted = icmp::quoted(error.packet(), &packet).unwrap();
    let seq = u32::from_be_bytes(error.packet()[quoted.l4_offset + 4..][..4].try_into().unwrap());
    assert_eq!(seq, CLIENT.wrapping_add(1));

    let (frame, _) = director.one(&director.server(0, LEN).payload_len(10));
    let about_reply = unreachable_port("198.51.100.10", "203.0.113.1", frame.packet());
    let (error, packet) = director.one(&about_reply);
    let quoted = icmp::quoted(error.packet(), &packet).unwrap();
    let seq = u32::from_be_bytes(error.packet()[quoted.l4_offset + 4..][..4].try_into().unwrap());
    assert_eq!(seq, SERVER + 1);
}

#[test]
fn servers_whose_replies_nobody_sees_get_none() {
    let mut director = director(nets()[0], ForwardMethod::Route, ProxyProtocol::V1);
    for build in [director.syn(), director.client(0, 0), director.client(0, 0).payload(b"hello")] {
        let expected = build.bytes();
        let (_, sent) = director.frame(build.frame());
        let packet = Packet::parse(&expected).unwrap();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].packet()[packet.l4_offset..], expected[packet.l4_offset..]);
        assert!(matches!(packet.l4, L4::Tcp { .. }));
    }
    assert_eq!(counters(&director).greetings, 0);
}
