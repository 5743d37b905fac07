//! Packets that wait while their next hop's link address is found out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use netio::link::NextHop;
use wire::frame::{Frame, Offload};
use wire::packet::Family;

/// How long one waits: as long as the kernel tries (three questions, a second apart).
const PATIENCE: Duration = Duration::from_secs(3);
/// Bounds for all neighbours of a worker together; the kernel holds about 200 kB for each.
const MOST_FRAMES: usize = 512;
const MOST_BYTES: usize = 2 << 20;

/// One that waits.
#[derive(Debug)]
struct Waiting {
    hop: NextHop,
    family: Family,
    until: Instant,
    bytes: Box<[u8]>,
    offload: Offload,
}

/// All that wait, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Held {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the first has waited long enough.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.front().map(|w| w.until)
    }

    /// Keeps a copy; false when there is no room.
    pub(super) fn hold(&mut self, hop: NextHop, family: Family, frame: &Frame, now: Instant) -> bool {
        if self.waiting.len() >= MOST_FRAMES || self.bytes + frame.len() > MOST_BYTES {
            return false;
        }
        self.bytes += frame.len();
        self.waiting.push_back(Waiting {
            hop,
            family,
            until: now + PATIENCE,
            bytes: frame.packet().into(),
            offload: frame.offload,
        });
        true
    }

    /// Gives up those that have waited too long, and says how many.
    pub(super) fn expire(&mut self, now: Instant) -> usize {
        let expired = self.waiting.iter().take_while(|w| w.until <= now).count();
        for gone in self.waiting.drain(..expired) {
            self.bytes -= gone.bytes.len();
        }
        expired
    }

    /// Hands out those for which `ready` has a way, in their order, each in `frame`.
    pub(super) fn release<T>(
        &mut self,
        frame: &mut Frame,
        mut ready: impl FnMut(NextHop) -> Option<T>,
        mut send: impl FnMut(&mut Frame, Family, u32, T),
    ) {
        let bytes = &mut self.bytes;
        self.waiting.retain(|waiting| {
            let Some(way) = ready(waiting.hop) else { return true };
            frame.set_packet(&waiting.bytes);
            frame.offload = waiting.offload;
            send(frame, waiting.family, waiting.hop.0, way);
            *bytes -= waiting.bytes.len();
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(device: u32) -> NextHop {
        (device, "10.0.0.2".parse().unwrap())
    }

    #[test]
    fn packets_leave_in_their_order_once_there_is_a_way() {
        let (mut held, now) = (Held::default(), Instant::now());
        for n in 0..4 {
            assert!(held.hold(hop(n % 2), Family::V4, &Frame::from_packet(&[n as u8]), now));
        }
        let (mut frame, mut sent) = (Frame::new(), Vec::new());
        let only = |device| move |hop: NextHop| (hop.0 == device).then_some(());
        held.release(&mut frame, only(1), |frame, _, _, ()| sent.push(frame.packet()[0]));
        assert_eq!(sent, [1, 3]);
        held.release(&mut frame, only(0), |frame, _, _, ()| sent.push(frame.packet()[0]));
        assert_eq!((sent, held.is_empty(), held.bytes), (vec![1, 3, 0, 2], true, 0));
    }

    #[test]
    fn nobody_waits_for_ever_or_without_bounds() {
        let (mut held, now) = (Held::default(), Instant::now());
        let frame = Frame::from_packet(&[0; 1500]);
        let taken = (0..10_000).take_while(|_| held.hold(hop(1), Family::V4, &frame, now)).count();
        assert_eq!(taken, MOST_FRAMES);
        assert_eq!(held.next_due(), Some(now + PATIENCE));
        assert_eq!(held.expire(now + PATIENCE - Duration::from_millis(1)), 0);
        assert_eq!(held.expire(now + PATIENCE), MOST_FRAMES);
        let large = Frame::from_packet(&[0; 65_000]);
        let taken = (0..10_000).take_while(|_| held.hold(hop(1), Family::V4, &large, now)).count();
        assert_eq!(taken, MOST_BYTES / 65_000);
    }
}
