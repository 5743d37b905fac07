//! What is on the way, in pieces, and what became of each.

mod lost;

use std::collections::VecDeque;
use std::ops::AddAssign;
use std::time::Duration;

/// What was sent at one time and had one fate.
#[derive(Clone, Copy, Debug)]
struct Piece {
    from: u64,
    to: u64,
    at: Duration,
    fate: Fate,
    resent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    OnTheWay,
    /// Acknowledged, behind a gap.
    Selected,
    Lost,
}

/// The pieces, in order and without gaps.
#[derive(Debug, Default)]
pub(super) struct Flight {
    pieces: VecDeque<Piece>,
    /// Bytes on the way, acknowledged behind gaps, and lost.
    bytes: u64,
    selected: u64,
    lost: u64,
    /// Nothing before this position is lost.
    intact: u64,
    /// When the latest-sent segment that has arrived was sent, its end, and its round trip.
    latest: (Duration, u64),
    rtt: Duration,
    /// Highest position acknowledged in whatever way.
    highest: u64,
    reordered: bool,
}

/// What an acknowledgment told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    /// Bytes that had not been acknowledged before.
    pub(super) bytes: u64,
    /// The longest and the latest round trip, of what was sent once.
    pub(super) rtt: Option<Duration>,
    pub(super) latest: Option<Duration>,
    /// Something was sent again of what is acknowledged without a gap now.
    pub(super) resent: bool,
}

/// When something is acknowledged, and what else is known then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Duration,
    pub(super) least_rtt: Duration,
    /// The millisecond in which what the other end answers to was sent.
    pub(super) echoed: Option<Duration>,
}

impl AddAssign for Heard {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.rtt = self.rtt.max(other.rtt);
        self.latest = other.latest.or(self.latest);
        self.resent |= other.resent;
    }
}

impl Flight {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Gives the memory back that an empty one keeps.
    pub(super) fn sleep(&mut self) {
        if self.pieces.is_empty() {
            self.pieces = VecDeque::new();
        }
    }

    /// Bytes on the way.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes that have not arrived, as far as is known.
    pub(super) fn outstanding(&self) -> u64 {
        self.bytes + self.lost
    }

    /// When the first piece was sent.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.pieces.front().map(|piece| piece.at)
    }

    /// Segments of `mss` bytes acknowledged behind gaps.
    pub(super) fn selected_segments(&self, mss: usize) -> u64 {
        self.selected.div_ceil(mss as u64)
    }

    /// Segments have arrived in another order than they were sent.
    pub(super) fn reordered(&self) -> bool {
        self.reordered
    }

    pub(super) fn sent(&mut self, from: u64, to: u64, at: Duration) {
        self.bytes += to - from;
        match self.pieces.back_mut() {
            Some(last) if last.at == at && last.fate == Fate::OnTheWay && !last.resent => last.to = to,
            _ => self.pieces.push_back(Piece { from, to, at, fate: Fate::OnTheWay, resent: false }),
        }
    }

    /// What is lost between these positions, the first of which begins a piece, was sent again.
    pub(super) fn sent_again(&mut self, from: u64, to: u64, now: Duration) {
        let at = self.cut(from);
        self.cut(to);
        if let Some(piece) = self.pieces.get_mut(at) {
            (piece.at, piece.resent, piece.fate) = (now, true, Fate::OnTheWay);
            self.lost -= to - from;
            self.bytes += to - from;
        }
    }

    /// All before `ack` has arrived.
    pub(super) fn acknowledge(&mut self, ack: u64, moment: Moment) -> Heard {
        let mut heard = Heard::default();
        if self.pieces.front().is_none_or(|piece| piece.from >= ack) {
            return heard;
        }
        let count = self.cut(ack);
        for _ in 0..count {
            let Some(piece) = self.pieces.pop_front() else { break };
            self.settle(&piece);
            if piece.fate != Fate::Selected {
                heard += self.arrived(&piece, moment);
                heard.resent |= piece.resent;
            }
        }
        self.highest = self.highest.max(ack);
        heard
    }

    /// What is between these positions has arrived, behind a gap.
    pub(super) fn selected(&mut self, from: u64, to: u64, moment: Moment) -> Heard {
        let mut heard = Heard::default();
        let (first, last) = (self.cut(from), self.cut(to));
        for at in first..last {
            let piece = self.pieces[at];
            if piece.fate != Fate::Selected {
                self.settle(&piece);
                self.pieces[at].fate = Fate::Selected;
                self.selected += piece.to - piece.from;
                // The timestamp is not that of what came behind a gap.
                heard += self.arrived(&piece, Moment { echoed: None, ..moment });
            }
        }
        // It is reported again and again: as one piece from now on.
        if last > first + 1 {
            self.pieces[first].to = self.pieces[last - 1].to;
            self.pieces.drain(first + 1..last);
        }
        self.highest = self.highest.max(to);
        heard
    }

    /// RFC 8985 section 6.2 steps 1 to 3.
    fn arrived(&mut self, piece: &Piece, moment: Moment) -> Heard {
        let rtt = moment.now.saturating_sub(piece.at);
        let bytes = piece.to - piece.from;
        if piece.resent {
            let first = moment.echoed.is_some_and(|echoed| echoed.as_millis() < piece.at.as_millis());
            if !first && rtt >= moment.least_rtt && (piece.at, piece.to) > self.latest {
                (self.latest, self.rtt) = ((piece.at, piece.to), rtt);
            }
            return Heard { bytes, ..Heard::default() };
        }
        self.reordered |= piece.to < self.highest;
        if (piece.at, piece.to) > self.latest {
            (self.latest, self.rtt) = ((piece.at, piece.to), rtt);
        }
        Heard { bytes, rtt: Some(rtt), latest: Some(rtt), resent: false }
    }

    /// Takes a piece out of the sums.
    fn settle(&mut self, piece: &Piece) {
        let len = piece.to - piece.from;
        match piece.fate {
            Fate::OnTheWay => self.bytes -= len,
            Fate::Selected => self.selected -= len,
            Fate::Lost => self.lost -= len,
        }
    }

    /// Makes a piece begin at this position, and says which.
    fn cut(&mut self, at: u64) -> usize {
        let index = self.pieces.partition_point(|piece| piece.to <= at);
        match self.pieces.get_mut(index) {
            Some(piece) if piece.from < at => {
                let rest = Piece { from: at, ..*piece };
                piece.to = at;
                self.pieces.insert(index + 1, rest);
                index + 1
            }
            _ => index,
        }
    }
}
