//! The way of most packets does what the long way does: two engines get the same frames, edits and time, and notes are
//! taken in one of them, which goes the long way with each. Packets, verdicts, counters, connections and timers are the
//! same, to the last byte. Most frames are of connections that are established, by every method; and each may have what
//! makes it unusual: flags, few hops, no room on its way, a broken checksum, another arrival, a tag.

use std::time::Duration;

use engine::{Defence, Knobs, Verdict};
use fuzz::{Session, packets};
use sched::Op;
use wire::edit;
use wire::frame::{Arrival, Frame, Tagged};
use wire::packet::{L4, Packet};

#[allow(dead_code, reason = "the simulation uses all of it")]
#[path = "simulation/rng.rs"]
mod rng;

use rng::Rng;

const SEEDS: u64 = 3;
const STEPS: u64 = 3000;

/// What begins or ends a connection.
fn is_rare(frame: &Frame) -> bool {
    match Packet::parse(frame.packet()).map(|packet| packet.l4) {
        Ok(L4::Tcp { flags, .. }) => flags.syn() || flags.fin() || flags.rst(),
        Ok(L4::Udp { .. }) => false,
        _ => true,
    }
}

/// One of the packets, which may have been made unusual.
fn some_frame(rng: &mut Rng) -> Frame {
    let mut frame = rng.pick(packets());
    while is_rare(frame) && !rng.one_in(12) {
        frame = rng.pick(packets());
    }
    let mut frame = frame.clone();
    let Ok(packet) = Packet::parse(frame.packet()) else { return frame };
    if rng.one_in(3) {
        edit::set_ttl(&mut frame, &packet, *rng.pick(&[0, 1, 2, 3, 254, 255]));
    }
    if rng.one_in(3)
        && let L4::Tcp { .. } = packet.l4
    {
        // Sequence and acknowledgment numbers, so that what was said last moves to and fro.
        let at = packet.l4_offset + 4 + rng.below(8) as usize;
        frame.packet_mut()[at] = rng.next() as u8;
    }
    if rng.one_in(12) {
        let at = rng.below(frame.len().min(60) as u64) as usize;
        frame.packet_mut()[at] = rng.next() as u8;
    }
    if rng.one_in(40) {
        frame.resize(frame.len().saturating_sub(1 + rng.below(30) as usize));
    }
    if rng.one_in(3) {
        frame.arrival = Arrival::Link;
    }
    if rng.one_in(40) {
        frame.tagged = Some(Tagged { device: 2, ours: [2; 6], theirs: [4; 6], tag: [0x81, 0, 0, 7] });
    }
    frame
}

/// An operator, or the world around, does something.
fn something(rng: &mut Rng, pair: &mut [Session; 2]) {
    match rng.below(10) {
        0..5 => {
            let millis = *rng.pick(&[0, 1, 1, 20, 700, 1500, 30_000]);
            pair.iter_mut().for_each(|session| session.wait(Duration::from_millis(millis)));
        }
        5 => {
            let bits = if rng.one_in(3) { rng.next() as u8 } else { 0 };
            pair.iter().for_each(|session| session.host(bits));
        }
        6 => {
            let mtu = *rng.pick(&[0, 600, 1400, 1500, 9000]);
            pair.iter().for_each(|session| session.mtu(mtu));
        }
        7 | 8 => {
            let (which, server, removes) = (rng.next() as usize, rng.below(2) as usize, rng.one_in(3));
            for session in pair.iter_mut() {
                let service = session.origin(which);
                let dest = service.dests[server].clone();
                session.edit(&[if removes {
                    Op::DelDest { key: service.key, addr: dest.addr }
                } else {
                    Op::AddDest { key: service.key, dest }
                }]);
            }
        }
        _ => {
            let knobs = Knobs {
                tcp_timeout: Duration::from_millis(*rng.pick(&[900_000, 900_000, 1500, 200_000])),
                udp_timeout: Duration::from_millis(*rng.pick(&[300_000, 300_000, 999, 100_000])),
                drop_entry: *rng.pick(&[Defence::Off, Defence::Off, Defence::Always]),
                secure_tcp: *rng.pick(&[Defence::Off, Defence::Always]),
                pmtu_disc: !rng.one_in(3),
                ..*rng.pick(&[Knobs::default(), Knobs::ipvs()])
            };
            pair.iter().for_each(|session| session.engine().set_knobs(knobs));
        }
    }
    Session::compare(pair, false);
}

#[test]
fn most_packets_take_a_shorter_way_to_the_same() {
    let (mut transmitted, mut all) = (0, 0);
    for seed in 0..SEEDS {
        let (mut rng, mut pair) = (Rng::new(seed), Session::pair());
        for frame in packets() {
            let _ = Session::frame_to_both(&mut pair, frame);
        }
        for step in 0..STEPS {
            if rng.one_in(12) {
                something(&mut rng, &mut pair);
            }
            let verdict = Session::frame_to_both(&mut pair, &some_frame(&mut rng));
            transmitted += u64::from(matches!(verdict, Verdict::Transmit(_)));
            all += 1;
            if step % 8 == 0 {
                Session::compare(&mut pair, step == STEPS / 2);
            }
        }
        Session::compare(&mut pair, true);
        pair.iter_mut().for_each(Session::end);
    }
    assert!(transmitted * 3 > all, "{transmitted} of {all} belong to a connection");
}
