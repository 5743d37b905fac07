//! What each end of a TCP connection has said last: enough for a reset in the other one's name that it believes.
//!
//! A host believes a reset whose sequence number is exactly the next one that it expects (RFC 5961, section 3.2). That is
//! what it has acknowledged last, or, if its acknowledgment is still on the way, what the other end has said up to.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

use wire::packet::TcpFlags;

use super::shift::before;

/// Sequence number of its SYN.
const BEGUN: usize = 0;
/// The one behind all that it has said.
const NEXT: usize = 1;
/// What it acknowledges.
const HEARD: usize = 2;

/// One end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spoken<'a> {
    /// A bit for each number that is known.
    pub(super) known: &'a AtomicU8,
    pub(super) said: &'a [AtomicU32; 3],
}

impl Spoken<'_> {
    #[inline]
    fn get(self, which: usize) -> Option<u32> {
        (self.known.load(Relaxed) & 1 << which != 0).then(|| self.said[which].load(Relaxed))
    }

    #[inline]
    fn set(self, which: usize, number: u32) {
        self.said[which].store(number, Relaxed);
        if self.known.load(Relaxed) & 1 << which == 0 {
            self.known.fetch_or(1 << which, Relaxed);
        }
    }

    /// Takes `number` if it is later than what was known.
    #[inline(always)]
    fn advance(self, which: usize, number: u32) {
        if self.get(which).is_none_or(|known| (number.wrapping_sub(known) as i32) > 0) {
            self.set(which, number);
        }
    }

    /// It sends this segment, with `len` bytes of data.
    #[inline]
    pub(crate) fn says(self, flags: TcpFlags, seq: u32, ack: u32, len: usize) {
        // What a reset carries need not be true.
        if flags.rst() {
            return;
        }
        let end = seq.wrapping_add(len as u32 + u32::from(flags.syn()) + u32::from(flags.fin()));
        if flags.syn() {
            // What it has heard before was somebody else's.
            if self.get(BEGUN) != Some(seq) {
                self.known.store(0, Relaxed);
            }
            self.set(BEGUN, seq);
            self.set(NEXT, end);
        } else {
            self.advance(NEXT, end);
        }
        if flags.ack() {
            self.advance(HEARD, ack);
        }
    }

    /// The same of a segment amid a connection, which has no flag but ACK that counts here.
    #[inline(always)]
    pub(crate) fn goes_on(self, seq: u32, ack: u32, len: usize) {
        self.advance(NEXT, seq.wrapping_add(len as u32));
        self.advance(HEARD, ack);
    }

    /// The sequence number that it has begun with.
    pub(crate) fn begun(self) -> Option<u32> {
        self.get(BEGUN)
    }

    /// Whether it has acknowledged all before `number`.
    pub(crate) fn has_heard(self, number: u32) -> bool {
        self.get(HEARD).is_some_and(|heard| !before(heard, number))
    }

    /// Whether it has acknowledged the SYN that the other end has begun with, and nothing after that.
    pub(crate) fn has_answered(self, other: Self) -> bool {
        self.get(HEARD).is_some_and(|heard| other.begun().is_some_and(|begun| heard == begun.wrapping_add(1)))
    }

    /// Whether it has begun with this sequence number.
    pub(crate) fn has_begun_with(self, seq: u32) -> bool {
        self.get(BEGUN) == Some(seq)
    }

    /// The sequence numbers of resets to this end in the name of `other`, the likelier one first, and what they
    /// acknowledge. Nothing for an end that has acknowledged nothing: it may not even exist. `shifted` makes of a number
    /// of the other's what this end knows it by.
    pub(super) fn resets(self, other: Self, shifted: impl Fn(u32) -> u32) -> Option<([Option<u32>; 2], u32)> {
        let heard = self.get(HEARD)?;
        let said = other.get(NEXT).map(shifted).filter(|said| *said != heard);
        Some(([Some(heard), said], self.get(NEXT)?))
    }

    /// Sequence number of a reset in the name of this end, and what it acknowledges, where nobody has heard what the
    /// other end acknowledges: right unless something is on its way.
    pub(crate) fn last_words(self) -> Option<(u32, u32)> {
        Some((self.get(NEXT)?, self.get(HEARD)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACK: TcpFlags = TcpFlags::ACK;
    const SYN: TcpFlags = TcpFlags::SYN;

    #[derive(Default)]
    struct End(AtomicU8, [AtomicU32; 3]);

    impl End {
        fn silent() -> Spoken<'static> {
            let end = Box::leak(Box::new(Self::default()));
            Spoken { known: &end.0, said: &end.1 }
        }
    }

    fn handshake() -> [Spoken<'static>; 2] {
        let ends = [End::silent(), End::silent()];
        ends[0].says(SYN, u32::MAX, 0, 0);
        ends[1].says(SYN | ACK, 500, 0, 0);
        ends[0].says(ACK, 0, 501, 0);
        ends
    }

    #[test]
    fn who_has_acknowledged_nothing_is_not_reset() {
        let ends = [End::silent(), End::silent()];
        ends[0].says(SYN, 7, 0, 0);
        assert_eq!(ends[0].resets(ends[1], |said| said), None);
        assert_eq!(ends[1].resets(ends[0], |said| said), None);
    }

    #[test]
    fn when_all_is_acknowledged_there_is_one_number() {
        let [client, server] = handshake();
        assert_eq!(client.resets(server, |said| said), Some(([Some(501), None], 0)));
        assert_eq!(server.resets(client, |said| said), Some(([Some(0), None], 501)));
    }

    #[test]
    fn with_data_on_the_way_there_are_two() {
        let [client, server] = handshake();
        client.says(ACK, 0, 501, 100);
        assert_eq!(server.resets(client, |said| said), Some(([Some(0), Some(100)], 501)));
        server.says(ACK | TcpFlags::FIN, 501, 100, 0);
        assert_eq!(server.resets(client, |said| said), Some(([Some(100), None], 502)));
        assert_eq!(client.resets(server, |said| said), Some(([Some(501), Some(502)], 100)));
    }

    #[test]
    fn what_has_been_said_is_known_by_the_number_of_who_hears_it() {
        let [client, server] = handshake();
        client.says(ACK, 0, 501, 100);
        assert_eq!(server.resets(client, |said| said + 50), Some(([Some(0), Some(150)], 501)));
    }

    #[test]
    fn what_is_old_or_a_reset_changes_nothing() {
        let [client, server] = handshake();
        client.says(ACK, 0, 501, 100);
        client.says(ACK, u32::MAX - 5, 400, 3);
        client.says(TcpFlags::RST | ACK, 5000, 9000, 0);
        assert_eq!(client.resets(server, |said| said), Some(([Some(501), None], 100)));
        assert!(client.has_begun_with(u32::MAX) && !client.has_begun_with(0));
    }

    #[test]
    fn a_new_syn_begins_anew_and_a_late_one_does_not() {
        let [client, _] = handshake();
        let resets = || client.resets(End::silent(), |said| said);
        client.says(SYN, u32::MAX, 0, 0);
        assert_eq!(resets(), Some(([Some(501), None], 0)));
        client.says(SYN, 1 << 31, 0, 0);
        assert!(client.has_begun_with(1 << 31));
        assert_eq!(resets(), None, "what it had heard was of another connection");
        client.says(ACK, (1 << 31) + 1, 9, 0);
        assert_eq!(resets(), Some(([Some(9), None], (1 << 31) + 1)));
    }
}
