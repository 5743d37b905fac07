//! Sequence numbers of a connection whose streams are not received as they were sent: bytes of ours have been put into
//! them (PROXY protocol), or in the place of others (FTP).
//!
//! Each stream has two numberings, the sender's and the receiver's. What a segment says about its own stream (its
//! sequence number) is translated from the first to the second; what it says about the other one (acknowledgment,
//! SACK blocks of RFC 2018, window) back from the receiver's to the sender's. Of bytes that the sender has not sent
//! it never hears: an acknowledgment of some of them stands still before what they have replaced until all are there,
//! and a window ends where it ends for the receiver.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sched::Direction;
use wire::frame::Frame;
use wire::packet::{L4, Packet};
use wire::tcp::{self, Numbers, TcpOption};

/// Changes of a stream that are known by their place. Of older ones the sum is: what they were about is long past.
const KEPT: usize = 8;

/// Numbers further apart than this cannot be told from those of a time before or after (half the space, RFC 9293
/// section 3.4), less the largest window. Changes that far behind are forgotten but for their sum.
const FAR: u32 = 1 << 30;

/// A change of a stream.
#[derive(Clone, Copy, Debug)]
struct Splice {
    /// Where it begins, in the sender's numbering.
    at: u32,
    /// So many bytes of the sender's ...
    old: u32,
    /// ... have become so many for the receiver.
    new: u32,
}

impl Splice {
    fn change(self) -> u32 {
        self.new.wrapping_sub(self.old)
    }
}

/// One direction's stream.
#[derive(Clone, Debug, Default)]
struct Stream {
    /// What is added to a number before the first of the splices.
    base: u32,
    /// In the order of their places.
    splices: Vec<Splice>,
    /// By how many bits the windows of the *sender of this stream* are shifted, if its SYN has said so.
    scale: Option<u8>,
}

impl Stream {
    fn replace(&mut self, at: u32, old: u32, new: u32) {
        let place = self.splices.partition_point(|splice| before(splice.at, at));
        if self.splices.get(place).is_some_and(|splice| splice.at == at) {
            return;
        }
        self.splices.insert(place, Splice { at, old, new });
        if self.splices.len() > KEPT {
            self.forget_first();
        }
    }

    /// The receiver's number for one of the sender's.
    fn shifted(&self, seq: u32) -> u32 {
        let mut shift = self.base;
        for splice in &self.splices {
            if before(seq, splice.at.wrapping_add(splice.old)) {
                // In the middle of what has been replaced there is no true answer.
                let into = seq.wrapping_sub(splice.at);
                let excess = if into < splice.old { into.saturating_sub(splice.new) } else { 0 };
                return seq.wrapping_add(shift).wrapping_sub(excess);
            }
            shift = shift.wrapping_add(splice.change());
        }
        seq.wrapping_add(shift)
    }

    /// The sender's number for one of the receiver's. One amid bytes that the sender has not sent becomes the `Inside`
    /// of the sender's bytes in their place.
    fn original(&self, number: u32, inside: Inside) -> u32 {
        let mut shift = self.base;
        for splice in &self.splices {
            let at = splice.at.wrapping_add(shift);
            if !before(at, number) {
                break;
            }
            if number.wrapping_sub(at) < splice.new {
                return match inside {
                    Inside::Begin => splice.at,
                    Inside::End => splice.at.wrapping_add(splice.old),
                };
            }
            shift = shift.wrapping_add(splice.change());
        }
        number.wrapping_sub(shift)
    }

    /// The receiver has acknowledged up to here.
    fn acknowledged(&mut self, ack: u32) {
        while let Some(first) = self.splices.first() {
            let end = first.at.wrapping_add(self.base).wrapping_add(first.new);
            if !before(end.wrapping_add(FAR), ack) {
                break;
            }
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let first = self.splices.remove(0);
        self.base = self.base.wrapping_add(first.change());
    }
}

/// Which end of the sender's bytes stands for a place amid the receiver's.
#[derive(Clone, Copy, Debug)]
enum Inside {
    Begin,
    End,
}

/// The shifts of both streams of a connection. The workers that see its two directions share them.
#[derive(Debug, Default)]
pub(crate) struct Shifts(Mutex<[Stream; 2]>);

impl Shifts {
    pub(crate) fn copied(&self) -> Self {
        Self(Mutex::new(self.streams().clone()))
    }

    /// From now on the `old` bytes at `at` of what `direction` sends, in the sender's numbering, are `new` bytes for the
    /// receiver. For a place that is known nothing changes: the segment came again. Tell it before the first segment
    /// behind that place, and of the same packet, is translated.
    pub(crate) fn replace(&self, direction: Direction, at: u32, old: u32, new: u32) {
        self.streams()[direction as usize].replace(at, old, new);
    }

    /// What `direction` sends begins at `at`, in its own numbering, behind `new` bytes of ours. Nothing of it has gone on
    /// yet but its SYN.
    pub(crate) fn begin(&self, direction: Direction, at: u32, new: u32) {
        let stream = &mut self.streams()[direction as usize];
        stream.splices.clear();
        stream.replace(at, 0, new);
    }

    /// The receiver's number for one that the sender in `direction` has given.
    pub(crate) fn shifted(&self, direction: Direction, seq: u32) -> u32 {
        self.streams()[direction as usize].shifted(seq)
    }

    /// The sender's number for one that a receiver of what is sent in `direction` has been given: of a segment that an
    /// ICMP error quotes.
    pub(crate) fn original(&self, direction: Direction, seq: u32) -> u32 {
        self.streams()[direction as usize].original(seq, Inside::End)
    }

    /// Translates all numbers of a segment on its way in `direction`.
    pub(crate) fn apply(&self, frame: &mut Frame, packet: &Packet, direction: Direction) {
        let (L4::Tcp { flags, .. }, Some(said)) = (packet.l4, tcp::numbers(frame, packet)) else { return };
        let mut streams = self.streams();
        let [of_client, of_server] = &mut *streams;
        let (own, other) = match direction {
            Direction::In => (of_client, of_server),
            Direction::Out => (of_server, of_client),
        };
        if flags.syn() {
            own.scale = tcp::window_scale(frame, packet);
            tcp::remove_options(frame, packet, counts_bytes);
        }
        let mut numbers = Numbers { seq: own.shifted(said.seq), ..said };
        if flags.ack() {
            // The window of a SYN is not shifted, nor is any unless both ends want it (RFC 7323 section 2.2).
            let scale = if flags.syn() { None } else { own.scale.filter(|_| other.scale.is_some()) };
            let scale = scale.unwrap_or(0);
            let edge = said.ack.wrapping_add(u32::from(said.window) << scale);
            numbers.ack = other.original(said.ack, Inside::Begin);
            let window = other.original(edge, Inside::Begin).wrapping_sub(numbers.ack) >> scale;
            numbers.window = u16::try_from(window).unwrap_or(u16::MAX);
            let block = |left, right| {
                let (left, right) = (other.original(left, Inside::End), other.original(right, Inside::Begin));
                before(left, right).then_some((left, right))
            };
            tcp::map_sack(frame, packet, block);
            other.acknowledged(said.ack);
        }
        if numbers != said {
            tcp::set_numbers(frame, packet, numbers);
        }
    }

    fn streams(&self) -> MutexGuard<'_, [Stream; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Multipath TCP (RFC 8684) numbers a stream a second time, and Fast Open (RFC 7413, and its experimental number) sends
/// data before anybody is known: who speaks to somebody else's bytes does without.
fn counts_bytes(option: &TcpOption<'_>) -> bool {
    const MULTIPATH: u8 = 30;
    const FAST_OPEN: u8 = 34;
    const EXPERIMENTS: [u8; 2] = [253, 254];
    matches!(option.kind, MULTIPATH | FAST_OPEN)
        || EXPERIMENTS.contains(&option.kind) && option.data.starts_with(&[0xf9, 0x89])
}

/// `a` comes before `b` (RFC 9293 section 3.4).
pub(crate) fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

#[cfg(test)]
mod tests;
