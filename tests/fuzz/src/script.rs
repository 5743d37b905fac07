//! A script of what happens to an engine, one step after the other. The first byte of a step says which:
//!
//! | first byte | step | bytes that follow |
//! |---|---|---|
//! | 0-159 | a packet of [`packets`] | which one; how it is changed (see [`changed`]); its changes |
//! | 160-191 | a frame of any bytes | ten of a virtio header, a length, as many bytes |
//! | 192-207 | time passes | a word of 16 ms |
//! | 208-215 | the host's addresses change | bits of those that there are |
//! | 216-223 | the MTU towards the servers changes | a word |
//! | 224-239 | a service loses a server, or gets one again, or its weight changes | which service; which server, and how |
//! | 240-255 | a setting is turned over | which one |

use std::time::Duration;

use engine::{Defence, Knobs};
use sched::{DestSpec, Op, Weight};
use wire::frame::Frame;
use wire::vnet;

use crate::input::Input;
use crate::session::{Session, packets};

/// Plays the script on two fresh engines, one of which takes notes.
pub fn engine(data: &[u8]) {
    let (mut input, mut pair, packets) = (Input(data), Session::pair(), packets());
    let mut knobs = Knobs::default();
    while !input.is_empty() {
        match input.byte() {
            0..160 => {
                let frame = &packets[usize::from(input.byte()) % packets.len()];
                let _ = Session::frame_to_both(&mut pair, &changed(frame, &mut input));
            }
            160..192 => {
                let (header, len) = (input.array::<{ vnet::LEN }>(), input.byte());
                let mut frame = Frame::from_packet(input.take(len.into()));
                frame.offload = vnet::parse(&header).unwrap_or_default();
                let _ = Session::frame_to_both(&mut pair, &frame);
            }
            192..208 => {
                let time = Duration::from_millis(16) * input.word().into();
                pair.iter_mut().for_each(|session| session.wait(time));
            }
            208..216 => {
                let bits = input.byte();
                pair.iter().for_each(|session| session.host(bits));
            }
            216..224 => {
                let mtu = input.word().into();
                pair.iter().for_each(|session| session.mtu(mtu));
            }
            224..240 => {
                let (which, how) = (input.byte(), input.byte());
                pair.iter_mut().for_each(|session| edit(session, which.into(), how));
            }
            240..=255 => {
                turn(&mut knobs, input.byte());
                pair.iter().for_each(|session| session.engine().set_knobs(knobs));
            }
        }
    }
    Session::compare(&mut pair, false);
    pair.iter_mut().for_each(Session::end);
}

/// A packet, and of a byte's bits: two say how many of its bytes are changed, one that it is cut or lengthened, one that
/// it has other offload metadata.
fn changed(frame: &Frame, input: &mut Input<'_>) -> Frame {
    let how = input.byte();
    let (mut bytes, mut offload) = (frame.packet().to_vec(), frame.offload);
    for _ in 0..how & 3 {
        let (at, value) = (usize::from(input.byte()), input.byte());
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
    }
    if how & 4 != 0 {
        let len = bytes.len().saturating_add_signed((input.byte() as i8).into());
        bytes.resize(len, 0);
    }
    if how & 8 != 0 {
        offload = vnet::parse(&input.array()).unwrap_or(offload);
    }
    let mut frame = Frame::from_packet(&bytes);
    frame.offload = offload;
    frame
}

/// One of the service's servers is taken away (0), comes (1), or has its weight changed. Some of it is not possible, and
/// then nothing happens.
fn edit(session: &mut Session, which: usize, how: u8) {
    let service = session.origin(which);
    let dest = service.dests[usize::from(how & 1)].clone();
    session.edit(&[match how >> 1 {
        0 => Op::DelDest { key: service.key, addr: dest.addr },
        1 => Op::AddDest { key: service.key, dest },
        weight => Op::EditDest {
            key: service.key,
            dest: DestSpec { weight: Weight(u32::from(weight) - 2), ..dest },
        },
    }]);
}

fn turn(knobs: &mut Knobs, which: u8) {
    let turned = |defence| if defence == Defence::Off { Defence::Always } else { Defence::Off };
    match which % 16 {
        0 => *knobs = Knobs::default(),
        1 => *knobs = Knobs::ipvs(),
        2 => knobs.drop_entry = turned(knobs.drop_entry),
        3 => knobs.drop_packet = turned(knobs.drop_packet),
        4 => knobs.secure_tcp = turned(knobs.secure_tcp),
        5 => knobs.conn_reuse_mode = (knobs.conn_reuse_mode + 1) % 4,
        6 => knobs.expire_nodest_conn ^= true,
        7 => knobs.expire_quiescent_template ^= true,
        8 => knobs.sloppy_tcp ^= true,
        9 => knobs.sloppy_sctp ^= true,
        10 => knobs.nat_icmp_send ^= true,
        11 => knobs.pmtu_disc ^= true,
        12 => knobs.schedule_icmp ^= true,
        13 => knobs.reset_on_end ^= true,
        14 => knobs.move_udp ^= true,
        _ => knobs.reuse_ports ^= true,
    }
}
