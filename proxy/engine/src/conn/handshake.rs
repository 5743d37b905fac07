//! How a client's question fares, once for each connection: how long the server takes to answer its SYN, or whether it does
//! at all. Tells the server ([`sched::DestLive::met`]).
//!
//! Kept beside the slot, in a word that only packets with SYN, FIN or RST look at: the time of the SYN that has not been
//! answered yet, and whether the server has been told of that.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use sched::{Direction, Proto};

use super::Conn;
use crate::state::{State, tcp};

/// Microseconds that count for a handshake which the server refused: a client's first wait before it tries again
/// (RFC 6298 section 2). A server that is quick to say no is not a quick server.
const REFUSED_US: u32 = 1_000_000;

/// A SYN that comes again so soon is one that the network has doubled: no client waits for less (RFC 6298 section 2 has it
/// wait for a second).
const DOUBLED_US: u32 = 200_000;

/// Set once the server has been told that the client waits.
const TOLD: u32 = 1;

/// A time as it is kept: microseconds, wrapping, never 0, with room for [`TOLD`].
fn word(elapsed: Duration) -> u32 {
    ((elapsed.as_micros() as u32).wrapping_add(1) << 1).max(2)
}

/// Microseconds between two of them.
const fn between(asked: u32, now: u32) -> u32 {
    now.wrapping_sub(asked & !TOLD) >> 1
}

impl Conn<'_> {
    /// A packet with an event has been seen, after the state has moved. `elapsed` is the time since the engine was made.
    #[inline]
    pub(crate) fn time_handshake(&self, direction: Direction, event: tcp::Event, elapsed: Duration) {
        if event != tcp::Event::Ack {
            self.shake(direction, event, elapsed);
        }
    }

    #[inline(never)]
    fn shake(&self, direction: Direction, event: tcp::Event, elapsed: Duration) {
        let Some(asked) = self.asked() else { return };
        match (direction, event) {
            // A SYN that is sent again does not start the clock again; one amid a connection asks nothing, nor does one
            // whose answer has been lost on its way to the client.
            (Direction::In, tcp::Event::Syn)
                if self.state().is_opening() && !self.server().has_answered(self.client()) =>
            {
                let now = word(elapsed);
                if let Err(since) = asked.compare_exchange(0, now, Relaxed, Relaxed)
                    && since & TOLD == 0
                    && between(since, now) >= DOUBLED_US
                    && asked.compare_exchange(since, since | TOLD, Relaxed, Relaxed).is_ok()
                {
                    self.is_unanswered();
                }
            }
            (Direction::Out, tcp::Event::Syn) => {
                let since = asked.swap(0, Relaxed);
                if since != 0 {
                    self.legs.dest.count_handshake(between(since, word(elapsed)));
                    self.legs.dest.count_answered();
                }
            }
            (Direction::Out, tcp::Event::Rst) if asked.swap(0, Relaxed) != 0 => {
                self.legs.dest.count_handshake(REFUSED_US);
                self.legs.dest.count_refused();
            }
            _ => {}
        }
    }

    /// The server has answered past us.
    pub(super) fn is_answered(&self) {
        if self.asked().is_some_and(|asked| asked.swap(0, Relaxed) != 0) {
            self.legs.dest.count_answered();
        }
    }

    /// The client has had no answer. Whoever answers past us may have sent one to an address that was forged.
    fn is_unanswered(&self) {
        self.legs.dest.count_unanswered(self.legs.method.sees_replies());
    }

    /// Somebody has said that a packet of the client's finds nobody. Through a tunnel both may be forged by whoever knows
    /// its ends, which are mostly public: there it is hearsay.
    #[cold]
    pub(crate) fn is_refused(&self) {
        let hearsay = !self.legs.method.sees_replies();
        match self.legs.proto {
            Proto::Udp if hearsay => self.legs.dest.count_hearsay(),
            Proto::Udp => self.legs.dest.count_refused_datagram(),
            Proto::Tcp if self.asked().is_some_and(|asked| asked.swap(0, Relaxed) != 0) => {
                if hearsay {
                    self.legs.dest.count_hearsay();
                } else {
                    self.legs.dest.count_refused();
                }
            }
            Proto::Tcp | Proto::Sctp => {}
        }
    }

    /// Its time is over.
    pub(crate) fn is_given_up(&self) {
        let untold = |since: u32| since != 0 && since & TOLD == 0;
        if matches!(self.state(), State::SynRecv | State::SynAck)
            && self.asked().is_some_and(|asked| untold(asked.swap(0, Relaxed)))
        {
            self.is_unanswered();
        }
    }

    /// When the client has asked. Whoever has been told to connect (FTP) asks nobody that a scheduler has chosen.
    fn asked(&self) -> Option<&AtomicU32> {
        self.slab.asked(self.id.at).filter(|_| !self.is_data())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact_and_wrap() {
        for (from, took) in
            [(0, 300), (1, 1), (u64::from(u32::MAX / 2) - 5, 17), (u64::from(u32::MAX), 900_000)]
        {
            let [asked, now] = [from, from + took].map(|micros| word(Duration::from_micros(micros)));
            assert!(asked != 0 && asked & TOLD == 0, "{from}");
            // The microsecond in which the clock wraps is not told from the next one.
            let exact = u64::from(between(asked | TOLD, now)) + u64::from(from == u64::from(u32::MAX));
            assert_eq!(exact, took, "{from}");
        }
    }
}
