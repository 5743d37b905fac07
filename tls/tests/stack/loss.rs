//! Networks that lose, repeat, delay and reorder.

use std::time::Duration;

use tls::stack::Limits;

use super::net::{CLIENT, FAIR, Net, SERVER, Weather, transfer};

const MS: Duration = Duration::from_millis(1);

/// Bits per second of one long download, server to client.
fn goodput(seed: u64, weather: Weather, len: usize) -> (f64, String) {
    let mut net = Net::new(seed, weather, Limits { receive: 4 << 20, ..Limits::default() });
    let (client, server) = net.connect("10.0.0.1:40000", "10.0.0.99:443");
    let took = transfer(&mut net, (SERVER, server), (CLIENT, client), len);
    let counters = net.counters()[SERVER];
    let told = format!("{} frames, {} again, {} timeouts", counters.sent, counters.resent, counters.timeouts);
    (len as f64 * 8.0 / took.as_secs_f64(), told)
}

/// A stream arrives whole in both directions, in any weather.
#[test]
fn bytes_arrive_exactly_in_any_weather() {
    for seed in 1..=48 {
        let weather = Weather {
            delay: MS * (seed as u32 % 30),
            lost: [0, 1_000, 10_000, 50_000, 150_000][seed as usize % 5],
            doubled: [0, 20_000][seed as usize % 2],
            late: [0, 50_000, 300_000][seed as usize % 3],
            jitter: MS * 30,
            rate: [10_000_000, 1_000_000_000][seed as usize / 2 % 2],
            queue: [20_000, 4 << 20][seed as usize / 4 % 2],
            mtu: [1500, 576, 9000][seed as usize / 8 % 3],
        };
        let mtu = weather.mtu as u16;
        let mut net = Net::new(seed, weather, Limits { mtu, ..Limits::default() });
        net.gro = seed % 4 != 0;
        let ends = [("10.0.0.1:40000", "10.0.0.99:443"), ("[fd00::1]:40000", "[fd00::99]:443")];
        let (from, to) = ends[if weather.mtu < 1280 { 0 } else { seed as usize % 2 }];
        let (client, server) = net.connect(from, to);
        transfer(&mut net, (CLIENT, client), (SERVER, server), 30_000);
        transfer(&mut net, (SERVER, server), (CLIENT, client), 300_000);
        net.stacks[CLIENT].release(client);
        net.stacks[SERVER].release(server);
        net.run_for(Duration::from_secs(300));
        for counters in net.counters() {
            assert_eq!((counters.flows, counters.ring_bytes, counters.bad), (0, 0, 0), "seed {seed}");
        }
    }
}

/// What is left of 1 Gbit/s: everything while nothing gets lost, and what CUBIC's response function leaves otherwise
/// (RFC 9438 section 5: at 10 ms and one packet in a thousand about 45 packets in flight, 50 Mbit/s).
#[test]
fn loss_costs_what_the_window_says_and_no_more() {
    let table = [
        (10, 0, 8 << 20, 200e6),
        (10, 1_000, 4 << 20, 30e6),
        (10, 10_000, 2 << 20, 8e6),
        (50, 0, 8 << 20, 60e6),
        (50, 1_000, 4 << 20, 8e6),
        (50, 10_000, 1 << 20, 1.5e6),
    ];
    for (rtt, lost, len, least) in table {
        let weather = Weather { delay: MS * rtt / 2, lost, ..FAIR };
        let (reached, told) = goodput(1, weather, len);
        println!("{rtt} ms, {:.1} % lost: {:.1} Mbit/s ({told})", f64::from(lost) / 1e4, reached / 1e6);
        assert!(reached > least, "{rtt} ms, {lost} of a million lost: {:.1} Mbit/s", reached / 1e6);
    }
}

/// A queue of one round trip is found before it overflows much: what slow start sends too much is repaired in a few
/// round trips, not by timeouts.
#[test]
fn a_short_queue_costs_a_long_download_little() {
    let round_trip = 10 * MS;
    let weather = Weather { delay: round_trip / 2, queue: 1_250_000, ..FAIR };
    let (reached, told) = goodput(1, weather, 24 << 20);
    println!("{:.1} Mbit/s ({told})", reached / 1e6);
    assert!(reached > 600e6, "{:.1} Mbit/s ({told})", reached / 1e6);
    assert!(told.ends_with(" 0 timeouts"), "{told}");
}
