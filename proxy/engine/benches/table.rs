//! The connection table by its size: what a packet costs by itself and in a batch that is looked ahead at, how many bytes
//! a connection takes, how many can begin in a second, and how long calls last in which they begin or end, or in which
//! `drop_entry` looks at them: the longest but one in ten thousand, as the machine interrupts some, and the longest.

#![expect(clippy::print_stdout, reason = "what it is for")]

mod director;

use std::time::{Duration, Instant};

use engine::{Coming, Defence, Knobs};
use sched::ForwardMethod;
use wire::build::udp;
use wire::frame::Frame;
use wire::packet::head::AnyHead;

use director::{Director, come_from, vip};

const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];
const PACKETS: u32 = 3_000_000;
/// Packets that are processed together.
const BATCH: u32 = 64;

fn main() {
    println!(
        "nat  connections  bytes each  ns/packet   in batches   begin/s  us, but few  at most     end/s  us, but few  at most  drop_entry, but few  at most"
    );
    for (name, v6) in [("IPv4", false), ("IPv6", true)] {
        for size in SIZES {
            measure(name, v6, size);
        }
    }
}

fn measure(name: &str, v6: bool, size: u32) {
    let mut director = Director::new(ForwardMethod::Masq, v6, 1);
    let client = director::client(v6, 0);
    // Datagrams: nothing but the time ends such flows.
    let mut first = udp(client, vip(v6, 0)).payload_len(100).frame();
    let rest = first.packet().to_vec();
    let mut begin = Vec::with_capacity(size as usize);
    let bytes = allocation_counter::measure(|| {
        for n in 0..size {
            let start = Instant::now();
            put(&mut director, &mut first, &rest, v6, n);
            begin.push(start.elapsed());
        }
    });
    let mut random = 1_u32;
    let mut any = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((u64::from(random) * u64::from(size)) >> 32) as u32
    };
    let start = Instant::now();
    for _ in 0..PACKETS {
        put(&mut director, &mut first, &rest, v6, any());
    }
    let packet = start.elapsed() / PACKETS;
    let mut frames: Vec<_> = director::ring(BATCH as usize).collect();
    frames.iter_mut().for_each(|frame| frame.set_packet(&rest));
    let mut batch = Vec::with_capacity(BATCH as usize);
    let start = Instant::now();
    for _ in 0..PACKETS / BATCH {
        batch.clear();
        for frame in &mut frames {
            make(frame, &rest, v6, any());
            batch.extend(AnyHead::of(frame.packet()).map(Coming::new));
        }
        director.worker.look_ahead(&mut batch);
        for (frame, coming) in frames.iter_mut().zip(&batch) {
            let verdict = director.worker.process_coming(frame, coming, director.now);
            assert!(matches!(verdict, engine::Verdict::Transmit(_)), "{verdict:?}");
        }
    }
    let in_batches = start.elapsed() / PACKETS;
    assert_eq!(director.engine.connections_held(), size as usize);
    let knobs = director.engine.knobs();
    director.engine.set_knobs(Knobs { drop_entry: Defence::Always, ..knobs });
    put(&mut director, &mut first, &rest, v6, 0);
    // Everybody has been idle for long enough to be let go.
    let defend = time_passes(&mut director, 61);
    director.engine.set_knobs(knobs);
    let end = time_passes(&mut director, 400);
    assert_eq!(director.engine.connections_held(), 0);
    let [usual, longest] = longest(defend);
    println!(
        "{name} {size:>12} {:>11.0} {:>10} {:>12} {} {} {:>20.1} {:>8.1}",
        bytes.bytes_current as f64 / f64::from(size),
        packet.as_nanos(),
        in_batches.as_nanos(),
        calls(begin, size),
        calls(end, size),
        usual,
        longest,
    );
}

/// Has so many seconds pass, and says how long the calls of the timers last.
fn time_passes(director: &mut Director, seconds: u64) -> Vec<Duration> {
    director.now += Duration::from_secs(seconds);
    let mut took = Vec::new();
    while director.worker.poll_timeout().is_some_and(|due| due <= director.now) {
        let start = Instant::now();
        director.worker.handle_timeout(director.now);
        took.push(start.elapsed());
    }
    took
}

/// How many a second all calls together make of `size`, and how long the longest last.
fn calls(took: Vec<Duration>, size: u32) -> String {
    let rate = f64::from(size) / took.iter().sum::<Duration>().as_secs_f64();
    let [usual, longest] = longest(took);
    format!("{rate:>9.0} {usual:>12.1} {longest:>8.1}")
}

/// Microseconds of the longest call but one in ten thousand, and of the longest.
fn longest(mut took: Vec<Duration>) -> [f64; 2] {
    took.sort_unstable();
    let micros = |took: &Duration| took.as_nanos() as f64 / 1000.0;
    [took.len() / 10_000, 0].map(|beyond| took.iter().rev().nth(beyond).map_or(0.0, micros))
}

#[inline]
fn put(director: &mut Director, frame: &mut Frame, rest: &[u8], v6: bool, n: u32) {
    make(frame, rest, v6, n);
    process(director, frame);
}

/// Makes it a packet of the `n`th client.
#[inline]
fn make(frame: &mut Frame, rest: &[u8], v6: bool, n: u32) {
    frame.packet_mut()[..64].copy_from_slice(&rest[..64]);
    come_from(frame.packet_mut(), v6, n);
}

#[inline]
fn process(director: &mut Director, frame: &mut Frame) {
    let verdict = director.worker.process(frame, director.now);
    assert!(matches!(verdict, engine::Verdict::Transmit(_)), "{verdict:?}");
}
