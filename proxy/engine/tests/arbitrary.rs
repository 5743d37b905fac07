//! Anything may come in: arbitrary bytes, and packets of live connections with bytes changed, under any offload
//! metadata, to services of every method. The engine does not panic, counts each frame once, lets nothing leave with a
//! wrong checksum that came with a right one, and forgets everything in the end. (The fuzz targets look for the same with
//! more patience.)

use std::time::Duration;

use engine::Verdict;
use fuzz::{Session, packets};
use proptest::collection::vec;
use proptest::prelude::*;
use wire::frame::{Checksum, Frame, GsoKind, HEADROOM, MIN_ROOM, Offload};

fn offload() -> impl Strategy<Value = Offload> {
    let checksum = prop_oneof![
        2 => Just(Checksum::Complete),
        1 => (any::<u16>(), any::<u16>()).prop_map(|(start, offset)| Checksum::Partial { start, offset }),
        2 => (prop::sample::select(vec![20_u16, 24, 40, 48]), prop::sample::select(vec![2_u16, 6, 16]))
            .prop_map(|(start, offset)| Checksum::Partial { start, offset }),
    ];
    let gso = prop::sample::select(vec![GsoKind::None, GsoKind::TcpV4, GsoKind::TcpV6, GsoKind::Udp]);
    let size = prop_oneof![0_u16..3, 500_u16..1500, any::<u16>()];
    (checksum, gso, size, any::<u16>(), any::<bool>())
        .prop_map(|(checksum, gso, gso_size, hdr_len, ecn)| Offload { checksum, gso, gso_size, hdr_len, ecn })
}

/// A frame out of nothing, or one of [`packets`] with a few bytes changed, cut or lengthened.
fn frame() -> impl Strategy<Value = (Vec<u8>, Offload)> {
    let bytes = vec(any::<u8>(), 0..300).prop_map(|bytes| (bytes, Offload::default()));
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let cut = prop_oneof![3 => Just(0_isize), 1 => -60_isize..60];
    let changed =
        (prop::sample::select(packets().to_vec()), changes, cut).prop_map(|(frame, changes, cut)| {
            let (mut bytes, offload) = (frame.packet().to_vec(), frame.offload);
            for (index, byte) in changes {
                // Headers and quotes rather than payload.
                let len = bytes.len().min(100);
                bytes[index.index(len)] = byte;
            }
            let len = bytes.len().saturating_add_signed(cut);
            bytes.resize(len, 0);
            (bytes, offload)
        });
    let any = prop_oneof![1 => bytes, 6 => changed];
    (any, prop::option::weighted(0.4, offload()))
        .prop_map(|((bytes, own), other)| (bytes, other.unwrap_or(own)))
}

proptest! {
    #[test]
    fn nothing_panics_and_everything_is_counted_once(
        frames in vec((frame(), 0_u64..20_000), 1..40),
        host in any::<u8>(),
    ) {
        let mut session = begun();
        session.host(host);
        for ((bytes, offload), millis) in frames {
            let mut frame = in_slot(&bytes);
            frame.offload = offload;
            session.wait(Duration::from_millis(millis));
            let _ = session.frame(frame);
        }
        session.end();
    }
}

/// Where there is no more room than a port has to see to.
fn in_slot(packet: &[u8]) -> Frame {
    const SPARE: usize = 512;
    let room = (packet.len() + SPARE).max(MIN_ROOM);
    let mut frame = Frame::in_memory(vec![0; HEADROOM + room].leak());
    frame.set_packet(packet);
    frame
}

/// With the connections that the packets belong to.
fn begun() -> Session {
    let mut session = Session::new();
    for frame in packets() {
        let _ = session.frame(frame.clone());
    }
    assert!(session.engine().connections_held() > 20);
    session
}

#[test]
fn the_packets_to_be_changed_are_known_to_the_engine() {
    let mut session = begun();
    let transmitted = packets()
        .iter()
        .filter(|frame| matches!(session.frame((*frame).clone()), Verdict::Transmit(_)))
        .count();
    assert!(transmitted > packets().len() / 3, "{transmitted} of {}", packets().len());
}
