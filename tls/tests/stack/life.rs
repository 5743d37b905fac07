//! Opening, closing, and what goes wrong in between.

use std::io::ErrorKind;
use std::time::Duration;

use tls::Leg;
use tls::stack::{ConnectError, Limits};
use wire::build;
use wire::packet::TcpFlags;

use super::net::{CLIENT, FAIR, Net, SERVER, Weather, stream, transfer};

const FROM: &str = "10.0.0.1:40000";
const TO: &str = "10.0.0.99:443";
const SECOND: Duration = Duration::from_secs(1);

fn net() -> Net {
    Net::new(7, FAIR, Limits::default())
}

/// Releases both ends and waits until nothing is left of them.
fn part(net: &mut Net, client: tls::stack::FlowId, server: tls::stack::FlowId) {
    net.stacks[CLIENT].release(client);
    net.stacks[SERVER].release(server);
    net.run_for(SECOND);
    for counters in net.counters() {
        assert_eq!((counters.flows, counters.awake, counters.ring_bytes), (0, 0, 0));
    }
}

#[test]
fn each_direction_ends_for_itself() {
    for (from, to) in [(FROM, TO), ("[fd00::1]:40000", "[fd00::99]:443")] {
        let mut net = net();
        let (client, server) = net.connect(from, to);
        assert_eq!(net.accepted[0].1, from.parse().unwrap());
        assert_eq!(net.accepted[0].2, to.parse().unwrap());
        transfer(&mut net, (CLIENT, client), (SERVER, server), 50_000);
        assert_eq!(net.write(CLIENT, client, b"more"), Err(ErrorKind::BrokenPipe));
        transfer(&mut net, (SERVER, server), (CLIENT, client), 200_000);
        assert_eq!(net.read(SERVER, server), Ok(None));
        part(&mut net, client, server);
        net.run_for(11 * SECOND);
        assert_eq!(net.counters().map(|counters| counters.remnants), [0, 0]);
    }
}

#[test]
fn both_ends_may_close_at_once() {
    let mut net = net();
    let (client, server) = net.connect(FROM, TO);
    net.shutdown(CLIENT, client);
    net.shutdown(SERVER, server);
    net.run_for(SECOND);
    assert_eq!(net.read(CLIENT, client), Ok(None));
    assert_eq!(net.read(SERVER, server), Ok(None));
    part(&mut net, client, server);
}

#[test]
fn what_was_written_before_a_release_still_arrives() {
    let mut net = net();
    let (client, server) = net.connect(FROM, TO);
    let all = stream(0, 100_000);
    assert_eq!(net.write(SERVER, server, &all), Ok(all.len()));
    net.stacks[SERVER].release(server);
    let mut read = Vec::new();
    net.run_until(SECOND, |net| match net.read(CLIENT, client).unwrap() {
        Some(bytes) => {
            read.extend_from_slice(&bytes);
            false
        }
        None => true,
    });
    assert!(read == all);
    part(&mut net, client, server);
}

#[test]
fn an_abort_reaches_the_other_end_and_stays() {
    let mut net = net();
    let (client, server) = net.connect(FROM, TO);
    net.write(CLIENT, client, b"half a request").unwrap();
    net.stacks[CLIENT].leg(client).abort();
    net.run_for(SECOND);
    for _ in 0..2 {
        assert_eq!(net.read(SERVER, server), Err(ErrorKind::ConnectionReset));
        assert_eq!(net.write(SERVER, server, b"answer"), Err(ErrorKind::ConnectionReset));
        assert_eq!(net.read(CLIENT, client), Err(ErrorKind::ConnectionAborted));
    }
    part(&mut net, client, server);
    assert_eq!(net.read(SERVER, server), Err(ErrorKind::NotConnected));
}

#[test]
fn what_nobody_will_read_is_refused() {
    let mut net = net();
    let (client, server) = net.connect(FROM, TO);
    net.stacks[SERVER].release(server);
    net.run_for(SECOND);
    net.write(CLIENT, client, b"one more request").unwrap();
    net.run_for(SECOND);
    assert_eq!(net.read(CLIENT, client), Err(ErrorKind::ConnectionReset));
    part(&mut net, client, server);
}

#[test]
fn a_slow_reader_closes_the_window_and_opens_it_again() {
    let mut net = net();
    let (client, server) = net.connect(FROM, TO);
    let len = 3_000_000;
    let all = stream(0, len);
    let mut written = 0;
    for _ in 0..50 {
        written += net.write(SERVER, server, &all[written..]).unwrap();
        net.run_for(SECOND / 10);
    }
    assert!(written < len, "the window never closed");
    // Probes go on, however long it takes.
    net.run_for(200 * SECOND);
    assert_eq!(net.counters()[SERVER].timeouts, 0);
    let mut read = 0;
    net.run_until(60 * SECOND, |net| {
        written += net.write(SERVER, server, &all[written..]).unwrap();
        let bytes = net.read(CLIENT, client).unwrap().unwrap();
        assert!(bytes == all[read..read + bytes.len()]);
        read += bytes.len();
        read == len
    });
    part(&mut net, client, server);
}

#[test]
fn a_port_can_be_used_again_at_once() {
    let mut net = net();
    for round in 0..20 {
        let (client, server) = net.connect(FROM, TO);
        let (from, to) = ((CLIENT, client), (SERVER, server));
        // Either end may be the first to close.
        let (from, to) = if round % 2 == 0 { (from, to) } else { (to, from) };
        transfer(&mut net, from, to, 100_000);
        net.shutdown(to.0, to.1);
        net.run_for(SECOND / 10);
        part(&mut net, client, server);
    }
    assert_eq!(net.counters()[SERVER].cookies_accepted, 20);
    assert_eq!(net.counters().map(|counters| counters.resets), [0, 0]);
}

#[test]
fn one_pair_of_ends_has_one_connection() {
    let mut net = net();
    net.connect(FROM, TO);
    let (from, to, now) = (FROM.parse().unwrap(), TO.parse().unwrap(), net.time());
    let again = net.stacks[CLIENT].connect(from, to, 1500, now);
    assert_eq!(again, Err(ConnectError::InUse { from, to }));
    let v6 = "[fd00::1]:1".parse().unwrap();
    assert_eq!(net.stacks[CLIENT].connect(v6, to, 1500, now), Err(ConnectError::TwoFamilies));
}

#[test]
fn a_refusal_is_told() {
    let mut net = net();
    let (from, to) = (FROM.parse().unwrap(), TO.parse().unwrap());
    let now = net.time();
    let client = net.stacks[CLIENT].connect(from, to, 1500, now).unwrap();
    assert_eq!(net.read(CLIENT, client), Err(ErrorKind::WouldBlock).or(Ok(Some(Vec::new()))));
    assert_eq!(net.write(CLIENT, client, b"early"), Ok(0));
    // The SYN is eaten, and somebody else answers.
    net.weather.mtu = 0;
    net.flush();
    net.weather.mtu = 1500;
    let mut syn = wire::frame::Frame::new();
    net.now += 2 * SECOND;
    let now = net.time();
    net.stacks[CLIENT].handle_timeout(now);
    assert!(net.stacks[CLIENT].poll_transmit(&mut syn, now), "the SYN comes again");
    let packet = wire::packet::Packet::parse(syn.packet()).unwrap();
    assert!(wire::reply::tcp_reset(&mut syn, &packet));
    net.inject(CLIENT, syn.packet().to_vec());
    net.run_for(SECOND);
    assert_eq!(net.ready[CLIENT], [client]);
    assert_eq!(net.read(CLIENT, client), Err(ErrorKind::ConnectionRefused));
    net.stacks[CLIENT].release(client);
    net.run_for(SECOND);
    assert_eq!(net.counters()[CLIENT].flows, 0);
}

#[test]
fn silence_is_told_in_the_end() {
    let mut net = Net::new(7, Weather { lost: 1_000_000, ..FAIR }, Limits::default());
    let (from, to, now) = (FROM.parse().unwrap(), TO.parse().unwrap(), net.time());
    let client = net.stacks[CLIENT].connect(from, to, 1500, now).unwrap();
    net.run_until(100 * SECOND, |net| !net.ready[CLIENT].is_empty());
    assert!(net.now > 30 * SECOND && net.packets == 6, "{:?}, {}", net.now, net.packets);
    assert_eq!(net.read(CLIENT, client), Err(ErrorKind::TimedOut));

    // An open connection is given up later.
    let mut net = self::net();
    let (client, server) = net.connect(FROM, TO);
    net.weather.lost = 1_000_000;
    net.write(CLIENT, client, b"anybody there?").unwrap();
    net.run_until(1000 * SECOND, |net| net.read(CLIENT, client).is_err());
    assert!(net.now > 100 * SECOND);
    assert_eq!(net.read(CLIENT, client), Err(ErrorKind::TimedOut));
    net.weather.lost = 0;
    part(&mut net, client, server);
}

#[test]
fn the_last_acknowledgment_may_get_lost() {
    let mut net = net();
    let (client, server) = net.connect(FROM, TO);
    net.shutdown(SERVER, server);
    net.run_for(SECOND);
    assert_eq!(net.read(CLIENT, client), Ok(None));
    net.stacks[CLIENT].release(client);
    net.stacks[SERVER].release(server);
    // The client's FIN arrives, the answer does not: the FIN comes again, for a connection that is over.
    net.flush();
    net.weather.lost = 1_000_000;
    net.run_for(SECOND / 10);
    assert_eq!((net.counters()[SERVER].flows, net.counters()[CLIENT].flows), (0, 1));
    net.weather.lost = 0;
    net.run_for(5 * SECOND);
    assert_eq!(net.counters().map(|counters| (counters.flows, counters.resets)), [(0, 0), (0, 0)]);
}

#[test]
fn resets_and_syns_of_those_who_guess_change_nothing() {
    let mut net = net();
    let (client, server) = net.connect(FROM, TO);
    let mut frame = wire::frame::Frame::new();
    net.write(CLIENT, client, b"known").unwrap();
    let now = net.time();
    assert!(net.stacks[CLIENT].poll_transmit(&mut frame, now));
    let packet = wire::packet::Packet::parse(frame.packet()).unwrap();
    let wire::packet::L4::Tcp { seq, ack, .. } = packet.l4 else { panic!("{packet}") };
    for off in [1u32, 1000, u32::MAX, 1 << 31] {
        let reset = build::tcp(FROM, TO).seq(seq.wrapping_add(off)).flags(TcpFlags::RST);
        net.inject(SERVER, reset.bytes());
        net.inject(SERVER, build::tcp(FROM, TO).seq(seq.wrapping_add(off)).ack(ack).syn().bytes());
        // An acknowledgment may be a little old.
        if off != u32::MAX {
            let data = build::tcp(FROM, TO).seq(seq).ack(ack.wrapping_add(off)).payload(b"bad");
            net.inject(SERVER, data.bytes());
        }
    }
    net.run_for(2 * SECOND);
    transfer(&mut net, (SERVER, server), (CLIENT, client), 10_000);
    net.shutdown(CLIENT, client);
    net.run_for(SECOND);
    assert_eq!(net.read(SERVER, server), Ok(Some(b"known".to_vec())));
    // One who knows the number is believed.
    let mut net = self::net();
    let (client, server) = net.connect(FROM, TO);
    net.write(CLIENT, client, b"known").unwrap();
    let now = net.time();
    assert!(net.stacks[CLIENT].poll_transmit(&mut frame, now));
    let packet = wire::packet::Packet::parse(frame.packet()).unwrap();
    let wire::packet::L4::Tcp { seq, .. } = packet.l4 else { panic!("{packet}") };
    net.inject(SERVER, build::tcp(FROM, TO).seq(seq).flags(TcpFlags::RST).bytes());
    net.run_for(SECOND);
    assert_eq!(net.read(SERVER, server), Err(ErrorKind::ConnectionReset));
}

#[test]
fn two_ends_that_disagree_do_not_argue_without_end() {
    let mut net = net();
    net.connect(FROM, TO);
    net.run_for(SECOND);
    // Another connection between the same ends: each of both takes the other's segments for wrong.
    let mut other = Net::new(8, FAIR, Limits::default());
    other.connect(FROM, TO);
    std::mem::swap(&mut net.stacks[SERVER], &mut other.stacks[SERVER]);
    let packets = net.packets;
    net.inject(CLIENT, build::tcp(TO, FROM).seq(1).ack(1).bytes());
    net.run_for(20 * SECOND);
    let packets = net.packets - packets;
    assert!((1..=80).contains(&packets), "{packets} packets");
}

#[test]
fn a_smaller_way_is_learned_and_nothing_is_lost() {
    let mut net = Net::new(3, Weather { mtu: 1400, ..FAIR }, Limits::default());
    let (client, server) = net.connect(FROM, TO);
    net.weather.mtu = 1000;
    let all = stream(0, 50_000);
    assert_eq!(net.write(SERVER, server, &all), Ok(all.len()));
    net.run_for(SECOND / 10);
    assert_eq!(net.read(CLIENT, client), Ok(Some(Vec::new())));
    net.stacks[SERVER].shrink(TO.parse().unwrap(), FROM.parse().unwrap(), 1000);
    let mut read = Vec::new();
    net.run_until(5 * SECOND, |net| {
        read.extend(net.read(CLIENT, client).unwrap().unwrap());
        read.len() == all.len()
    });
    assert!(read == all);
    part(&mut net, client, server);
}
