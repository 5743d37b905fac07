//! What clients' connections meet at a server: whether it answers them. What [`Passive`](crate::Passive) goes by.
//!
//! Counted where connections begin and end, never for the packets between. Each connection counts once at most in each
//! of the three: one whose SYN was repeated counts as unanswered, and as answered if the server takes it after all.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::DestLive;

/// What clients have met since the server was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Connections that the server took: its answer to the SYN was seen, or the client's to that.
    pub answered: u64,
    /// Those that it turned away by a reset, or that it was told of that nobody is there (ICMP). Datagrams too.
    pub refused: u64,
    /// Those whose SYN the client has sent again, or that were given up with no answer.
    pub unanswered: u64,
    /// Of the latter two, those since the last that it took which no stranger can have made up.
    pub in_a_row: u32,
}

#[derive(Debug, Default)]
pub(super) struct Encounters {
    answered: AtomicU64,
    refused: AtomicU64,
    unanswered: AtomicU64,
    in_a_row: AtomicU32,
    /// Packets that the server had sent when a datagram was refused last.
    heard: AtomicU64,
}

impl Encounters {
    pub(super) fn copied(&self) -> Self {
        let Self { answered, refused, unanswered, in_a_row, heard } = self;
        let [answered, refused, unanswered, heard] =
            [answered, refused, unanswered, heard].map(|n| n.load(Relaxed).into());
        Self { answered, refused, unanswered, in_a_row: in_a_row.load(Relaxed).into(), heard }
    }
}

impl DestLive {
    /// What clients have met.
    pub fn met(&self) -> Met {
        let Encounters { answered, refused, unanswered, in_a_row, heard: _ } = &self.encounters;
        let [answered, refused, unanswered] = [answered, refused, unanswered].map(|n| n.load(Relaxed));
        Met { answered, refused, unanswered, in_a_row: in_a_row.load(Relaxed) }
    }

    /// Begins the row anew: it gets another chance.
    pub fn forgive(&self) {
        // All workers share the line, and most of the time there is nothing to write.
        if self.encounters.in_a_row.load(Relaxed) != 0 {
            self.encounters.in_a_row.store(0, Relaxed);
        }
    }

    /// It has taken a connection.
    pub fn count_answered(&self) {
        self.encounters.answered.fetch_add(1, Relaxed);
        self.forgive();
    }

    /// It has turned one away.
    pub fn count_refused(&self) {
        self.encounters.refused.fetch_add(1, Relaxed);
        self.encounters.in_a_row.fetch_add(1, Relaxed);
    }

    /// Somebody who cannot be checked says that it has turned one away, or was not there.
    pub fn count_hearsay(&self) {
        self.encounters.refused.fetch_add(1, Relaxed);
    }

    /// A datagram has found nobody, as an ICMP error says, which has been counted among the packets from the server. What
    /// else came from it since the last one shows that it was there meanwhile.
    pub fn count_refused_datagram(&self) {
        let heard = self.stats.total().out_packets;
        let before = self.encounters.heard.swap(heard, Relaxed);
        if heard > before + 1 {
            self.forgive();
        }
        self.count_refused();
    }

    /// A client has not been answered. Whether that is the server's fault only `certain` ones tell: whoever is answered
    /// past us may just as well have forged the address that it asked from.
    pub fn count_unanswered(&self, certain: bool) {
        self.encounters.unanswered.fetch_add(1, Relaxed);
        self.encounters.in_a_row.fetch_add(certain.into(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Writer};

    fn server() -> DestLive {
        DestLive::new("192.168.1.1:80".parse().unwrap())
    }

    #[test]
    fn a_row_of_failures_ends_with_an_answer_or_in_mercy() {
        let live = server();
        live.count_refused();
        live.count_unanswered(true);
        live.count_unanswered(false);
        assert_eq!(live.met(), Met { answered: 0, refused: 1, unanswered: 2, in_a_row: 2 });
        live.count_answered();
        assert_eq!(live.met(), Met { answered: 1, refused: 1, unanswered: 2, in_a_row: 0 });
        live.count_refused();
        assert_eq!(live.met().in_a_row, 1);
        live.forgive();
        assert_eq!(live.met(), Met { answered: 1, refused: 2, unanswered: 2, in_a_row: 0 });
        live.count_hearsay();
        assert_eq!(live.met(), Met { answered: 1, refused: 3, unanswered: 2, in_a_row: 0 });
    }

    #[test]
    fn refused_datagrams_are_in_a_row_while_the_server_says_nothing_else() {
        let live = server();
        let refused = || {
            live.stats.count(Writer(0), Direction::Out, 1, 56);
            live.count_refused_datagram();
            live.met().in_a_row
        };
        let first = refused();
        assert_eq!([first, refused(), refused()], [1, 2, 3]);
        live.stats.count(Writer(0), Direction::Out, 1, 100);
        assert_eq!([refused(), refused()], [1, 2], "it answered somebody");
        live.stats.zero();
        assert_eq!(refused(), 3, "counters that began anew say nothing");
        live.stats.zero();
        live.stats.count(Writer(0), Direction::Out, 1, 100);
        assert_eq!(refused(), 1, "it answered all the same");
        assert_eq!(live.met().refused, 7);
    }

    #[test]
    fn a_copy_is_like_it_and_changes_nothing_of_it() {
        let live = server();
        (0..3).for_each(|_| live.count_unanswered(true));
        live.count_refused_datagram();
        live.set_down(true);
        let copy = live.copied();
        assert_eq!((copy.met(), copy.is_down()), (live.met(), true));
        copy.count_answered();
        assert_eq!(live.met().in_a_row, 4);
    }
}
