use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::*;
use crate::client::{self, Connection, UdpClient};
use crate::node::Node;
use crate::pattern::Pattern;

fn local(v6: bool, l4_port: u16) -> SocketAddr {
    let addr: IpAddr = if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    SocketAddr::new(addr, l4_port)
}

fn http() -> (Node, Http) {
    let node = Node::new("web").unwrap();
    let http = Http::start(&node, 80).unwrap();
    (node, http)
}

#[test]
fn http_answers_in_both_families_and_keeps_the_connection() {
    let (node, http) = http();
    for v6 in [false, true] {
        let mut connection = Connection::open(&node, local(v6, 80)).unwrap();
        for _ in 0..3 {
            let reply = connection.get("/").unwrap();
            assert_eq!((reply.status, reply.body.as_str()), (200, "web\n"));
        }
        let me = connection.stream().local_addr().unwrap();
        assert_eq!(connection.get("/whoami").unwrap().body, format!("{me}\n"));
        assert_eq!(connection.get("/nothing").unwrap().status, 404);
    }
    assert_eq!(http.counters().connections(), 2);
    assert_eq!(http.counters().requests(), 10);
}

#[test]
fn all_who_come_while_nothing_is_accepted_wait() {
    let node = Node::new("busy").unwrap();
    let _listener = node.run(|| listen_any(80)).unwrap().unwrap();
    // Of one for whom there is no room the kernel ignores the first packet, and it is sent again a second later.
    let connect = || std::net::TcpStream::connect_timeout(&local(false, 80), Duration::from_millis(900));
    let waiting: Result<Vec<_>, _> = node.run(|| (0..300).map(|_| connect()).collect()).unwrap();
    assert_eq!(waiting.unwrap().len(), 300);
}

#[test]
fn http_moves_streams_both_ways_with_the_right_digest() {
    let (node, _http) = http();
    for bytes in [0, 1, 1_048_573, 5_000_000] {
        let mut seen = 0;
        let down = client::download(&node, local(false, 80), bytes, |done| seen = done).unwrap();
        let up = client::upload(&node, local(true, 80), bytes, |_| ()).unwrap();
        assert_eq!(down.sha256, Pattern::default().sha256(bytes));
        assert_eq!(up.sha256, down.sha256);
        assert!(seen == bytes || bytes < 100, "progress ended at {seen} of {bytes}");
    }
}

#[test]
fn http_understands_requests_in_pieces_and_in_heaps() {
    let (node, _http) = http();
    let mut stream = client::connect(&node, local(false, 80)).unwrap();
    for byte in b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    stream.write_all(b"POST /upload HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("web\n").count(), 2, "{answers}");
    // FIPS 180-4's example of SHA-256("abc").
    assert!(
        answers.contains("3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        "{answers}"
    );
}

#[test]
fn http_refuses_what_it_does_not_speak() {
    let (node, _http) = http();
    for request in ["nonsense\r\n\r\n", "PUT /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"] {
        let mut stream = client::connect(&node, local(false, 80)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}

#[test]
fn tcp_echo_sink_and_source() {
    let node = Node::new("n").unwrap();
    let (echo, sink, source) = (
        TcpEcho::start(&node, 7).unwrap(),
        Sink::start(&node, 9).unwrap(),
        Source::start(&node, 19).unwrap(),
    );
    let pattern = Pattern::default();
    let sent = pattern.at(0, 200_000);

    let mut stream = client::connect(&node, local(true, 7)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut received = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(sent).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        stream.read_to_end(&mut received).unwrap();
    });
    assert!(received == sent);
    assert_eq!(echo.counters().received(), 200_000);

    let mut stream = client::connect(&node, local(false, 9)).unwrap();
    stream.write_all(sent).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(sink.counters().received(), 200_000);

    let mut stream = client::connect(&node, local(false, 19)).unwrap();
    let mut received = vec![0; 2_000_000];
    stream.read_exact(&mut received).unwrap();
    assert!(received[1_048_573..][..100_000] == *pattern.at(0, 100_000));
    assert!(source.counters().sent() >= 2_000_000);
}

#[test]
fn udp_echo_answers_from_empty_to_the_largest_datagram() {
    let node = Node::new("n").unwrap();
    let echo = UdpEcho::start(&node, 53).unwrap();
    let patience = Duration::from_secs(5);
    for v6 in [false, true] {
        let client = UdpClient::open(&node, local(v6, 53)).unwrap();
        for len in [0, 1, 1472, 9000, 65_507] {
            let payload: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
            assert!(client.exchange(&payload, patience).unwrap() == payload, "{len} bytes");
        }
        assert_eq!(client.exchange(UdpEcho::WHO, patience).unwrap(), b"n");
    }
    assert_eq!(echo.counters().requests(), 12);
}

#[test]
fn a_dropped_server_frees_its_port() {
    let (node, http) = http();
    drop(http);
    client::get(&node, local(false, 80), "/").unwrap_err();
    Http::start(&node, 80).unwrap();
}
