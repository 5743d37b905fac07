//! What each end of a TCP connection has said last: enough for a reset in the other one's name that it believes.
//!
//! A host believes a reset whose sequence number is exactly the next one that it expects (RFC 5961, section 3.2). That is
//! what it has acknowledged last, or, if its acknowledgment is still on the way, what the other end has said up to.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use wire::packet::TcpFlags;

use super::shift::before;

/// A sequence number, or none yet.
#[derive(Debug, Default)]
struct Number(AtomicU64);

const KNOWN: u64 = 1 << 32;

impl Number {
    fn get(&self) -> Option<u32> {
        let word = self.0.load(Relaxed);
        (word & KNOWN != 0).then_some(word as u32)
    }

    fn set(&self, number: u32) {
        self.0.store(KNOWN | u64::from(number), Relaxed);
    }

    /// Takes `number` if it is later than what was known.
    fn advance(&self, number: u32) {
        if self.get().is_none_or(|known| (number.wrapping_sub(known) as i32) > 0) {
            self.set(number);
        }
    }
}

/// One end.
#[derive(Debug, Default)]
pub(crate) struct Spoken {
    /// Sequence number of its SYN.
    begun: Number,
    /// The one behind all that it has said.
    next: Number,
    /// What it acknowledges.
    heard: Number,
}

impl Spoken {
    /// It sends this segment, with `len` bytes of data.
    pub(crate) fn says(&self, flags: TcpFlags, seq: u32, ack: u32, len: usize) {
        // What a reset carries need not be true.
        if flags.rst() {
            return;
        }
        let end = seq.wrapping_add(len as u32 + u32::from(flags.syn()) + u32::from(flags.fin()));
        if flags.syn() {
            self.begun.set(seq);
            self.next.set(end);
        } else {
            self.next.advance(end);
        }
        if flags.ack() {
            self.heard.advance(ack);
        }
    }

    /// The sequence number that it has begun with.
    pub(crate) fn begun(&self) -> Option<u32> {
        self.begun.get()
    }

    /// Whether it has acknowledged all before `number`.
    pub(crate) fn has_heard(&self, number: u32) -> bool {
        self.heard.get().is_some_and(|heard| !before(heard, number))
    }

    /// Whether it has begun with this sequence number.
    pub(crate) fn has_begun_with(&self, seq: u32) -> bool {
        self.begun.get() == Some(seq)
    }

    /// The sequence numbers of resets to this end in the name of `other`, the likelier one first, and what they
    /// acknowledge. Nothing for an end that has acknowledged nothing: it may not even exist. `shifted` makes of a number
    /// of the other's what this end knows it by.
    pub(super) fn resets(
        &self,
        other: &Self,
        shifted: impl Fn(u32) -> u32,
    ) -> Option<([Option<u32>; 2], u32)> {
        let heard = self.heard.get()?;
        let said = other.next.get().map(shifted).filter(|said| *said != heard);
        Some(([Some(heard), said], self.next.get()?))
    }

    /// Sequence number of a reset in the name of this end, and what it acknowledges, where nobody has heard what the
    /// other end acknowledges: right unless something is on its way.
    pub(crate) fn last_words(&self) -> Option<(u32, u32)> {
        Some((self.next.get()?, self.heard.get()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACK: TcpFlags = TcpFlags::ACK;
    const SYN: TcpFlags = TcpFlags::SYN;

    fn handshake() -> [Spoken; 2] {
        let ends = [Spoken::default(), Spoken::default()];
        ends[0].says(SYN, u32::MAX, 0, 0);
        ends[1].says(SYN | ACK, 500, 0, 0);
        ends[0].says(ACK, 0, 501, 0);
        ends
    }

    #[test]
    fn who_has_acknowledged_nothing_is_not_reset() {
        let ends = [Spoken::default(), Spoken::default()];
        ends[0].says(SYN, 7, 0, 0);
        assert_eq!(ends[0].resets(&ends[1], |said| said), None);
        assert_eq!(ends[1].resets(&ends[0], |said| said), None);
    }

    #[test]
    fn when_all_is_acknowledged_there_is_one_number() {
        let [client, server] = handshake();
        assert_eq!(client.resets(&server, |said| said), Some(([Some(501), None], 0)));
        assert_eq!(server.resets(&client, |said| said), Some(([Some(0), None], 501)));
    }

    #[test]
    fn with_data_on_the_way_there_are_two() {
        let [client, server] = handshake();
        client.says(ACK, 0, 501, 100);
        assert_eq!(server.resets(&client, |said| said), Some(([Some(0), Some(100)], 501)));
        server.says(ACK | TcpFlags::FIN, 501, 100, 0);
        assert_eq!(server.resets(&client, |said| said), Some(([Some(100), None], 502)));
        assert_eq!(client.resets(&server, |said| said), Some(([Some(501), Some(502)], 100)));
    }

    #[test]
    fn what_has_been_said_is_known_by_the_number_of_who_hears_it() {
        let [client, server] = handshake();
        client.says(ACK, 0, 501, 100);
        assert_eq!(server.resets(&client, |said| said + 50), Some(([Some(0), Some(150)], 501)));
    }

    #[test]
    fn what_is_old_or_a_reset_changes_nothing() {
        let [client, server] = handshake();
        client.says(ACK, 0, 501, 100);
        client.says(ACK, u32::MAX - 5, 400, 3);
        client.says(TcpFlags::RST | ACK, 5000, 9000, 0);
        assert_eq!(client.resets(&server, |said| said), Some(([Some(501), None], 100)));
        assert!(client.has_begun_with(u32::MAX) && !client.has_begun_with(0));
    }

    #[test]
    fn a_new_syn_begins_anew() {
        let [client, _] = handshake();
        client.says(SYN, 1 << 31, 0, 0);
        assert!(client.has_begun_with(1 << 31));
        assert_eq!(client.resets(&Spoken::default(), |said| said), Some(([Some(501), None], (1 << 31) + 1)));
    }
}
