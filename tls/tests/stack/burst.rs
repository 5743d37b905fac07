//! Many at once: floods, bursts, and what idle connections cost.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tls::stack::{Event, Limits, Received, Stack};
use wire::build;
use wire::frame::Frame;
use wire::packet::{L4, Packet, TcpFlags};

use super::net::{CLIENT, FAIR, Net, SERVER, transfer};

const TO: &str = "10.0.0.99:443";
const OPTIONS: [u8; 20] = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];

fn client(number: u32) -> SocketAddr {
    SocketAddr::from(([10, 1, (number >> 8) as u8, number as u8], 1024 + (number >> 16) as u16))
}

/// Sends a SYN and says what the answer acknowledges it with.
fn greet(stack: &mut Stack, number: u32, now: Instant) -> Option<u32> {
    let mut frame = build::tcp(client(number), TO).syn().seq(number).tcp_options(&OPTIONS).frame();
    (stack.receive(&mut frame, now) == Received::Answer).then(|| {
        let packet = Packet::parse(frame.packet()).unwrap();
        let L4::Tcp { seq, ack, flags, .. } = packet.l4 else { panic!("{packet}") };
        assert_eq!((flags, ack), (TcpFlags::SYN | TcpFlags::ACK, number.wrapping_add(1)));
        assert_eq!(wire::tcp::mss(&frame, &packet), Some(1460));
        seq
    })
}

#[test]
fn a_flood_of_syns_leaves_nothing_behind() {
    let now = Instant::now();
    let mut stack = Stack::new([1, 2, 3], Limits::default(), now);
    for number in 0..100_000 {
        assert!(greet(&mut stack, number, now).is_some());
    }
    let counters = stack.counters();
    assert_eq!((counters.flows, counters.ring_bytes, counters.cookies_sent), (0, 0, 100_000));
    assert_eq!(stack.next_event(), None);
    assert_eq!(stack.poll_timeout(), None);
    // Those who guess get nothing but a reset.
    for number in 0..10_000 {
        let mut frame = build::tcp(client(number), TO).seq(number).ack(number * 77).frame();
        assert_eq!(stack.receive(&mut frame, now), Received::Answer);
    }
    assert_eq!((stack.counters().flows, stack.counters().resets), (0, 10_000));
}

#[test]
fn a_burst_of_clients_is_served_whole_up_to_the_limit() {
    let now = Instant::now();
    let mut stack = Stack::new([1, 2, 3], Limits { flows: 5000, ..Limits::default() }, now);
    let cookies = (0..6000).map(|number| greet(&mut stack, number, now).unwrap()).collect::<Vec<_>>();
    for (number, cookie) in (0..).zip(&cookies) {
        let ack =
            build::tcp(client(number), TO).seq(number + 1).ack(cookie.wrapping_add(1)).payload(b"hello");
        assert_eq!(stack.receive(&mut ack.frame(), now), Received::Taken);
    }
    let counters = stack.counters();
    assert_eq!((counters.flows, counters.cookies_accepted, counters.refused), (5000, 5000, 1000));
    // Silence for those who come now: they will try again.
    assert_eq!(greet(&mut stack, 7000, now), None);
    let mut accepted = 0;
    let mut released = Vec::new();
    while let Some(event) = stack.next_event() {
        match event {
            Event::Accepted { client: from, .. } => {
                assert_eq!(from, client(accepted));
                accepted += 1;
            }
            Event::Ready(flow) => released.push(flow),
        }
    }
    assert_eq!((accepted, released.len()), (5000, 5000));
    released.into_iter().for_each(|flow| stack.release(flow));
    // Nobody has read their greeting.
    let (mut frame, mut resets) = (Frame::new(), 0);
    while stack.poll_transmit(&mut frame, now) {
        let L4::Tcp { flags, .. } = Packet::parse(frame.packet()).unwrap().l4 else { panic!() };
        resets += u32::from(flags.rst());
    }
    assert_eq!((resets, stack.counters().flows, stack.counters().ring_bytes), (5000, 0, 0));
    assert!(greet(&mut stack, 7000, now).is_some());
}

#[test]
fn idle_connections_give_their_rings_back_and_go_on() {
    let mut net = Net::new(5, FAIR, Limits::default());
    let mut flows = Vec::new();
    for port in 1..=50 {
        flows.push(net.connect(&format!("10.0.0.1:{port}"), TO));
    }
    assert!(net.counters()[SERVER].awake > 0 && net.counters()[SERVER].ring_bytes > 0);
    net.run_for(Duration::from_secs(3));
    for counters in net.counters() {
        assert_eq!((counters.flows, counters.awake, counters.ring_bytes), (50, 0, 0));
    }
    let packets = net.packets;
    net.run_for(Duration::from_secs(3600));
    assert_eq!(net.packets, packets, "idle connections say nothing");
    for (client, server) in flows {
        transfer(&mut net, (CLIENT, client), (SERVER, server), 200_000);
        transfer(&mut net, (SERVER, server), (CLIENT, client), 200_000);
    }
}

#[test]
fn rings_grow_with_use_and_shrink_after_it() {
    let mut net = Net::new(5, FAIR, Limits::default());
    let (client, server) = net.connect("10.0.0.1:40000", TO);
    let small = net.counters()[CLIENT].ring_bytes;
    transfer(&mut net, (SERVER, server), (CLIENT, client), 10 << 20);
    assert!(small < 50_000);
    assert!(net.counters()[CLIENT].ring_bytes >= 1 << 20, "{:?}", net.counters());
    net.run_for(Duration::from_secs(3));
    assert_eq!(net.counters().map(|counters| counters.ring_bytes), [0, 0]);
}
