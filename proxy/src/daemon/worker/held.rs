//! Packets that wait while their next hop's link address is found out.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use netio::link::NextHop;
use wire::frame::{Frame, Offload};
use wire::packet::Family;

/// How long one waits: as long as the kernel tries (three questions, a second apart).
const PATIENCE: Duration = Duration::from_secs(3);
/// How soon its neighbour is called for again, in case the kernel was told to forget whom it was asking for.
const AGAIN: Duration = Duration::from_millis(250);
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

/// Source and destination of a packet, as they are in its header.
type Ends = [u8; 32];

/// All that wait, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Held {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// When to call for their neighbours again.
    again: Option<Instant>,
    /// How many wait between two addresses.
    between: HashMap<Ends, usize>,
    /// Who has not answered yet, while packets are handed out.
    silent: HashSet<NextHop>,
    /// What they are handed out in.
    frame: Frame,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the first has waited long enough, or is to be looked after.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.front().map(|w| self.again.map_or(w.until, |again| again.min(w.until)))
    }

    /// Whether one of the same flow waits, which this one must not overtake.
    #[inline]
    pub(super) fn precedes(&self, packet: &[u8]) -> bool {
        !self.is_empty() && self.between.contains_key(&ends(packet))
    }

    /// Keeps a copy; false when there is no room.
    pub(super) fn hold(&mut self, hop: NextHop, family: Family, frame: &Frame, now: Instant) -> bool {
        if self.waiting.len() >= MOST_FRAMES || self.bytes + frame.len() > MOST_BYTES {
            return false;
        }
        if self.is_empty() {
            self.again = Some(now + AGAIN);
        }
        self.bytes += frame.len();
        *self.between.entry(ends(frame.packet())).or_default() += 1;
        self.waiting.push_back(Waiting {
            hop,
            family,
            until: now + PATIENCE,
            bytes: frame.packet().into(),
            offload: frame.offload,
        });
        true
    }

    /// Gives up those that have waited too long, and says how many. The others have been looked after now.
    pub(super) fn expire(&mut self, now: Instant) -> usize {
        if self.again.is_some_and(|again| again <= now) {
            self.again = Some(now + AGAIN);
        }
        let expired = self.waiting.iter().take_while(|w| w.until <= now).count();
        for gone in self.waiting.drain(..expired) {
            forget(&mut self.bytes, &mut self.between, &gone);
        }
        expired
    }

    /// Hands out those for which `ready` has a way, in their order.
    pub(super) fn release<T>(
        &mut self,
        mut ready: impl FnMut(NextHop) -> Option<T>,
        mut send: impl FnMut(&mut Frame, Family, u32, T),
    ) {
        let Self { waiting, bytes, between, silent, frame, .. } = self;
        silent.clear();
        waiting.retain(|waiting| {
            // One who answers in between would let the later ones go first.
            let answer = if silent.contains(&waiting.hop) { None } else { ready(waiting.hop) };
            let Some(way) = answer else {
                silent.insert(waiting.hop);
                return true;
            };
            frame.set_packet(&waiting.bytes);
            frame.offload = waiting.offload;
            send(frame, waiting.family, waiting.hop.0, way);
            forget(bytes, between, waiting);
            false
        });
    }
}

fn forget(bytes: &mut usize, between: &mut HashMap<Ends, usize>, gone: &Waiting) {
    *bytes -= gone.bytes.len();
    if let Entry::Occupied(mut count) = between.entry(ends(&gone.bytes)) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

fn ends(packet: &[u8]) -> Ends {
    let mut ends = [0; 32];
    let at = if packet.first().is_some_and(|first| first >> 4 == 4) { 12..20 } else { 8..40 };
    if let Some(both) = packet.get(at) {
        ends[..both.len()].copy_from_slice(both);
    }
    ends
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
        let mut sent = Vec::new();
        let only = |device| move |hop: NextHop| (hop.0 == device).then_some(());
        held.release(only(1), |frame, _, _, ()| sent.push(frame.packet()[0]));
        assert_eq!(sent, [1, 3]);
        held.release(only(0), |frame, _, _, ()| sent.push(frame.packet()[0]));
        assert_eq!((sent, held.is_empty(), held.bytes), (vec![1, 3, 0, 2], true, 0));
    }

    #[test]
    fn who_answers_while_packets_are_handed_out_gets_all_of_them_the_next_time() {
        let (mut held, now) = (Held::default(), Instant::now());
        (0..3).for_each(|n| assert!(held.hold(hop(1), Family::V4, &Frame::from_packet(&[n]), now)));
        let (mut asked, mut sent) = (0, Vec::new());
        for _ in 0..2 {
            let late = |_| {
                asked += 1;
                (asked > 1).then_some(())
            };
            held.release(late, |frame, _, _, ()| sent.push(frame.packet()[0]));
        }
        assert_eq!(sent, [0, 1, 2]);
    }

    #[test]
    fn what_waits_precedes_its_own_flow_alone() {
        let (mut held, now) = (Held::default(), Instant::now());
        let packet = |version: u8, to: u8| {
            let mut packet = [0; 60];
            packet[0] = version << 4;
            packet[if version == 4 { 19 } else { 39 }] = to;
            packet
        };
        let all = [packet(4, 1), packet(4, 2), packet(6, 1), packet(6, 2)];
        let waiting = |held: &Held| all.each_ref().map(|packet| held.precedes(packet));
        assert_eq!(waiting(&held), [false; 4]);
        for packet in [&all[0], &all[3], &all[3]] {
            assert!(held.hold(hop(1), Family::V4, &Frame::from_packet(packet), now));
            assert!(held.precedes(packet));
        }
        assert_eq!(waiting(&held), [true, false, false, true]);
        held.release(|_| Some(()), |_, _, _, ()| {});
        assert_eq!(waiting(&held), [false; 4]);
        assert!(held.between.is_empty());
        assert!(held.hold(hop(1), Family::V4, &Frame::from_packet(&all[1]), now));
        assert_eq!(held.expire(now + PATIENCE), 1);
        assert_eq!((waiting(&held), held.between.len()), ([false; 4], 0));
    }

    #[test]
    fn nobody_waits_for_ever_or_without_bounds() {
        let (mut held, now) = (Held::default(), Instant::now());
        let frame = Frame::from_packet(&[0; 1500]);
        let taken = (0..10_000).take_while(|_| held.hold(hop(1), Family::V4, &frame, now)).count();
        assert_eq!(taken, MOST_FRAMES);
        let almost = now + PATIENCE - Duration::from_millis(1);
        assert_eq!(held.next_due(), Some(now + AGAIN), "their neighbours are called for again");
        assert_eq!((held.expire(now + AGAIN), held.next_due()), (0, Some(now + 2 * AGAIN)));
        assert_eq!((held.expire(almost), held.next_due()), (0, Some(now + PATIENCE)));
        assert_eq!(held.expire(now + PATIENCE), MOST_FRAMES);
        let large = Frame::from_packet(&[0; 65_000]);
        let taken = (0..10_000).take_while(|_| held.hold(hop(1), Family::V4, &large, now)).count();
        assert_eq!(taken, MOST_BYTES / 65_000);
    }
}
