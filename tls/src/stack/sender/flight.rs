//! What is on the way, in pieces, and what became of each.

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
    /// A round trip, of something sent once.
    pub(super) rtt: Option<Duration>,
}

impl AddAssign for Heard {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.rtt = self.rtt.or(other.rtt);
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
        self.pieces.push_back(Piece { from, to, at, fate: Fate::OnTheWay, resent: false });
    }

    /// The first part that is lost.
    pub(super) fn lost(&self) -> Option<(u64, u64)> {
        if self.lost == 0 {
            return None;
        }
        self.pieces.iter().find(|piece| piece.fate == Fate::Lost).map(|piece| (piece.from, piece.to))
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
    pub(super) fn acknowledge(&mut self, ack: u64, least_rtt: Duration, now: Duration) -> Heard {
        let mut heard = Heard::default();
        if self.pieces.front().is_none_or(|piece| piece.from >= ack) {
            return heard;
        }
        let count = self.cut(ack);
        for _ in 0..count {
            let Some(piece) = self.pieces.pop_front() else { break };
            self.settle(&piece);
            if piece.fate != Fate::Selected {
                heard += self.arrived(&piece, least_rtt, now);
            }
        }
        self.highest = self.highest.max(ack);
        heard
    }

    /// What is between these positions has arrived, behind a gap.
    pub(super) fn selected(&mut self, from: u64, to: u64, least_rtt: Duration, now: Duration) -> Heard {
        let mut heard = Heard::default();
        let (first, last) = (self.cut(from), self.cut(to));
        for at in first..last {
            let piece = self.pieces[at];
            if piece.fate != Fate::Selected {
                self.settle(&piece);
                self.pieces[at].fate = Fate::Selected;
                self.selected += piece.to - piece.from;
                heard += self.arrived(&piece, least_rtt, now);
            }
        }
        self.highest = self.highest.max(to);
        heard
    }

    /// Which pieces have to be taken for lost, when others that were sent `window` later have arrived: whether some
    /// are newly so, and when to look again (RFC 8985 section 6.2 step 5).
    pub(super) fn detect(&mut self, window: Duration, now: Duration) -> (bool, Option<Duration>) {
        let (mut found, mut look_at) = (false, None);
        if self.bytes == 0 || (self.selected == 0 && self.latest.1 == 0) {
            return (false, None);
        }
        for piece in &mut self.pieces {
            if piece.fate != Fate::OnTheWay || (piece.at, piece.to) >= self.latest {
                continue;
            }
            let until = piece.at + self.rtt + window;
            if until <= now {
                piece.fate = Fate::Lost;
                self.bytes -= piece.to - piece.from;
                self.lost += piece.to - piece.from;
                found = true;
            } else {
                look_at = Some(look_at.map_or(until, |at: Duration| at.max(until)));
            }
        }
        (found, look_at)
    }

    /// A timeout: nothing is on the way any more. If the first piece was said to have arrived, the other end has
    /// thrown it away again (RFC 2018 section 8): then nothing of what it said counts.
    pub(super) fn lose_all(&mut self) {
        let reneged = self.pieces.front().is_some_and(|piece| piece.fate == Fate::Selected);
        for piece in &mut self.pieces {
            if piece.fate == Fate::OnTheWay || (reneged && piece.fate == Fate::Selected) {
                piece.fate = Fate::Lost;
            }
        }
        self.count();
    }

    /// The first segment is lost.
    pub(super) fn lose_first(&mut self, mss: u64) {
        let Some(first) = self.pieces.front().copied() else { return };
        self.cut((first.from + mss).min(first.to));
        if let Some(first) = self.pieces.front_mut().filter(|first| first.fate == Fate::OnTheWay) {
            first.fate = Fate::Lost;
        }
        self.count();
    }

    /// The last segment is to be sent again, though it may not be lost.
    pub(super) fn repeat_last(&mut self, mss: u64) {
        let Some(last) = self.pieces.back().copied() else { return };
        self.cut(last.to.saturating_sub(mss).max(last.from));
        if let Some(last) = self.pieces.back_mut().filter(|last| last.fate == Fate::OnTheWay) {
            last.fate = Fate::Lost;
        }
        self.count();
    }

    /// RFC 8985 section 6.2 steps 1 to 3.
    fn arrived(&mut self, piece: &Piece, least_rtt: Duration, now: Duration) -> Heard {
        let rtt = now.saturating_sub(piece.at);
        let bytes = piece.to - piece.from;
        if piece.resent {
            if rtt >= least_rtt && (piece.at, piece.to) > self.latest {
                (self.latest, self.rtt) = ((piece.at, piece.to), rtt);
            }
            return Heard { bytes, rtt: None };
        }
        self.reordered |= piece.to < self.highest;
        if (piece.at, piece.to) > self.latest {
            (self.latest, self.rtt) = ((piece.at, piece.to), rtt);
        }
        Heard { bytes, rtt: Some(rtt) }
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

    fn count(&mut self) {
        (self.bytes, self.selected, self.lost) = (0, 0, 0);
        for piece in &self.pieces {
            let len = piece.to - piece.from;
            match piece.fate {
                Fate::OnTheWay => self.bytes += len,
                Fate::Selected => self.selected += len,
                Fate::Lost => self.lost += len,
            }
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
