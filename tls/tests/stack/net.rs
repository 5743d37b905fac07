//! Two stacks with a network between them: a client's that connects, and a server's that accepts.
//!
//! The network cuts super-packets, checks every packet, loses, repeats, delays and reorders as it is told, and has a
//! bottleneck with a queue.

use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tls::Leg;
use tls::stack::{Event, FlowId, Limits, Received, Stack};
use wire::checksum;
use wire::frame::Frame;
use wire::gro::Gro;
use wire::packet::Packet;
use wire::segment::Segments;

pub(crate) const CLIENT: usize = 0;
pub(crate) const SERVER: usize = 1;

/// What the network does to packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// One way.
    pub(crate) delay: Duration,
    /// Of a million packets, how many get lost, come twice, or come later by up to `jitter`.
    pub(crate) lost: u32,
    pub(crate) doubled: u32,
    pub(crate) late: u32,
    pub(crate) jitter: Duration,
    /// Bits per second, and bytes of queue before it.
    pub(crate) rate: u64,
    pub(crate) queue: usize,
    /// Longer packets are lost, as those of a black hole.
    pub(crate) mtu: usize,
}

pub(crate) const FAIR: Weather = Weather {
    delay: Duration::from_millis(1),
    lost: 0,
    doubled: 0,
    late: 0,
    jitter: Duration::ZERO,
    rate: 1_000_000_000,
    queue: 4 << 20,
    mtu: 1500,
};

/// A small random generator (xorshift64*), the same everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound.max(1)
    }

    pub(crate) fn one_of_a_million(&mut self, chances: u32) -> bool {
        self.below(1_000_000) < u64::from(chances)
    }
}

#[derive(PartialEq, Eq)]
struct InTransit {
    at: Duration,
    order: u64,
    to: usize,
    packet: Vec<u8>,
}

impl Ord for InTransit {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl PartialOrd for InTransit {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

pub(crate) struct Net {
    pub(crate) stacks: [Stack; 2],
    pub(crate) weather: Weather,
    pub(crate) random: Random,
    /// Merge what arrives at one time into super-packets.
    pub(crate) gro: bool,
    /// Packets on the wire, in either direction.
    pub(crate) packets: u64,
    start: Instant,
    pub(crate) now: Duration,
    transit: BinaryHeap<InTransit>,
    order: u64,
    free_at: [Duration; 2],
    pub(crate) accepted: Vec<(FlowId, SocketAddr, SocketAddr)>,
    pub(crate) ready: [Vec<FlowId>; 2],
    frame: Frame,
    cut: Frame,
}

impl Net {
    pub(crate) fn new(seed: u64, weather: Weather, limits: Limits) -> Self {
        let start = Instant::now();
        Self {
            stacks: [Stack::new([seed, 1, 2], limits, start), Stack::new([seed, 3, 4], limits, start)],
            weather,
            random: Random::new(seed),
            gro: true,
            packets: 0,
            start,
            now: Duration::ZERO,
            transit: BinaryHeap::new(),
            order: 0,
            free_at: [Duration::ZERO; 2],
            accepted: Vec::new(),
            ready: [Vec::new(), Vec::new()],
            frame: Frame::new(),
            cut: Frame::new(),
        }
    }

    pub(crate) fn time(&self) -> Instant {
        self.start + self.now
    }

    /// Opens a connection, in which the client says the first word, and names both its ends.
    pub(crate) fn connect(&mut self, from: &str, to: &str) -> (FlowId, FlowId) {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let (now, mtu) = (self.time(), self.weather.mtu as u16);
        let client = self.stacks[CLIENT].connect(from, to, mtu, now).unwrap();
        let before = self.accepted.len();
        let mut said = 0;
        self.run_until(Duration::from_secs(90), |net| {
            if said == 0 {
                said = net.write(CLIENT, client, b"!").expect("the server answers");
            }
            net.accepted.len() > before
        });
        let (server, ..) = self.accepted[before];
        self.run_until(Duration::from_secs(90), |net| net.read(SERVER, server) == Ok(Some(b"!".to_vec())));
        (client, server)
    }

    /// Sends what both have to send, and lets the next thing happen; `false` when nothing will.
    pub(crate) fn step(&mut self) -> bool {
        self.flush();
        let arrival = self.transit.peek().map(|packet| packet.at);
        let start = self.start;
        let timeout = self.stacks.iter().filter_map(|stack| stack.poll_timeout()).min();
        let timeout = timeout.map(|at| at.saturating_duration_since(start));
        let Some(next) = arrival.into_iter().chain(timeout).min() else { return false };
        self.now = self.now.max(next);
        let now = self.time();
        let mut arrived: [Vec<Vec<u8>>; 2] = [Vec::new(), Vec::new()];
        while self.transit.peek().is_some_and(|packet| packet.at <= self.now) {
            let packet = self.transit.pop().unwrap();
            arrived[packet.to].push(packet.packet);
        }
        for (to, packets) in arrived.into_iter().enumerate() {
            self.arrive(to, &packets);
        }
        for stack in &mut self.stacks {
            stack.handle_timeout(now);
        }
        self.flush();
        for side in [CLIENT, SERVER] {
            while let Some(event) = self.stacks[side].next_event() {
                match event {
                    Event::Accepted { flow, client, vip } => self.accepted.push((flow, client, vip)),
                    Event::Ready(flow) => self.ready[side].push(flow),
                }
            }
        }
        true
    }

    /// Goes on until `done` says so. Panics when it does not within `limit`, or nothing happens any more.
    pub(crate) fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) {
        let until = self.now + limit;
        while !done(self) {
            assert!(self.step(), "nothing will happen any more at {:?}", self.now);
            assert!(self.now < until, "not done within {limit:?}: {:?}", self.counters());
        }
        self.flush();
    }

    /// Goes on for so long.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.flush();
            let start = self.start;
            let timeout = self.stacks.iter().filter_map(|stack| stack.poll_timeout()).min();
            let timeout = timeout.map(|at| at.saturating_duration_since(start));
            let arrival = self.transit.peek().map(|packet| packet.at);
            let next = arrival.into_iter().chain(timeout).min();
            if next.is_none_or(|next| next > until) {
                break;
            }
            self.step();
        }
        self.now = until;
    }

    pub(crate) fn counters(&self) -> [tls::stack::Counters; 2] {
        [self.stacks[0].counters(), self.stacks[1].counters()]
    }

    /// Reads what there is; `None` at the end.
    pub(crate) fn read(&mut self, side: usize, flow: FlowId) -> Result<Option<Vec<u8>>, ErrorKind> {
        let mut all = Vec::new();
        let mut buf = vec![0; 16 << 10];
        loop {
            match self.stacks[side].leg(flow).read(&mut buf) {
                Ok(0) if all.is_empty() => return Ok(None),
                Ok(0) => return Ok(Some(all)),
                Ok(len) => all.extend_from_slice(&buf[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Some(all)),
                Err(_) if !all.is_empty() => return Ok(Some(all)),
                Err(error) => return Err(error.kind()),
            }
        }
    }

    pub(crate) fn write(&mut self, side: usize, flow: FlowId, bytes: &[u8]) -> Result<usize, ErrorKind> {
        match self.stacks[side].leg(flow).write(bytes) {
            Ok(len) => Ok(len),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error.kind()),
        }
    }

    pub(crate) fn shutdown(&mut self, side: usize, flow: FlowId) {
        self.stacks[side].leg(flow).shutdown();
    }

    /// Puts a packet on the wire by hand.
    pub(crate) fn inject(&mut self, to: usize, packet: Vec<u8>) {
        self.order += 1;
        let at = self.now + self.weather.delay;
        self.transit.push(InTransit { at, order: self.order, to, packet });
    }

    fn arrive(&mut self, to: usize, packets: &[Vec<u8>]) {
        let now = self.time();
        let mut frames = Vec::new();
        let mut gro = Gro::new(if self.gro { 8 } else { 0 });
        for bytes in packets {
            match Packet::parse(bytes) {
                Ok(packet) => {
                    gro.add(bytes, &packet, wire::frame::Checksum::Complete, |frame| {
                        frames.push(frame.clone());
                    });
                }
                Err(_) => frames.push(Frame::from_packet(bytes)),
            }
        }
        gro.flush(|frame| frames.push(frame.clone()));
        for mut frame in frames {
            if self.stacks[to].receive(&mut frame, now) == Received::Answer {
                self.send(1 - to, &frame);
            }
        }
    }

    pub(crate) fn flush(&mut self) {
        let now = self.time();
        for from in [CLIENT, SERVER] {
            let mut frame = std::mem::take(&mut self.frame);
            while self.stacks[from].poll_transmit(&mut frame, now) {
                self.send(1 - from, &frame);
            }
            self.frame = frame;
        }
    }

    fn send(&mut self, to: usize, frame: &Frame) {
        let packet = Packet::parse(frame.packet()).expect("a stack sends packets");
        checksum::verify_frame(frame).expect("a stack's checksums are right");
        let mut cut = std::mem::take(&mut self.cut);
        if let Some(mut segments) = Segments::of(frame, &packet, true) {
            while segments.next_into(&mut cut) {
                self.carry(to, cut.packet().to_vec());
            }
        } else {
            let mut whole = frame.clone();
            assert!(checksum::complete(&mut whole));
            self.carry(to, whole.packet().to_vec());
        }
        self.cut = cut;
    }

    fn carry(&mut self, to: usize, packet: Vec<u8>) {
        checksum::verify(&packet).expect("segments have right checksums");
        self.packets += 1;
        let Weather { delay, lost, doubled, late, jitter, rate, queue, mtu } = self.weather;
        if packet.len() > mtu || self.random.one_of_a_million(lost) {
            return;
        }
        let free = self.free_at[to].max(self.now);
        let backlog = (free - self.now).as_nanos() as u64 * rate / 8 / 1_000_000_000;
        if backlog as usize > queue {
            return;
        }
        let time = Duration::from_nanos(packet.len() as u64 * 8 * 1_000_000_000 / rate);
        self.free_at[to] = free + time;
        let mut at = free + time + delay;
        if self.random.one_of_a_million(late) {
            at += Duration::from_nanos(self.random.below(jitter.as_nanos() as u64));
        }
        let copies = if self.random.one_of_a_million(doubled) { 2 } else { 1 };
        for _ in 0..copies {
            self.order += 1;
            self.transit.push(InTransit { at, order: self.order, to, packet: packet.clone() });
        }
    }
}

/// Bytes that tell at which place of a stream they are.
pub(crate) fn stream(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[1]).collect()
}

/// Sends `len` bytes one way and the end behind them. The reader reads as it likes, `pace` bytes at a time at most, or
/// all. Says how long it took.
pub(crate) fn transfer(net: &mut Net, from: (usize, FlowId), to: (usize, FlowId), len: usize) -> Duration {
    let began = net.now;
    let all = stream(0, len);
    let (mut written, mut read, mut ended, mut shut) = (0, 0, false, false);
    net.run_until(Duration::from_secs(3600), |net| {
        while written < len {
            match net.write(from.0, from.1, &all[written..]).expect("it can be written to") {
                0 => break,
                taken => written += taken,
            }
        }
        if written == len && !shut {
            net.shutdown(from.0, from.1);
            shut = true;
        }
        match net.read(to.0, to.1).expect("it can be read from") {
            Some(bytes) => {
                assert!(bytes == all[read..read + bytes.len()], "other bytes at {read}");
                read += bytes.len();
            }
            None => ended = true,
        }
        ended
    });
    assert_eq!(read, len);
    net.now - began
}
