//! What is taken for lost, and what is not any more.

use std::time::Duration;

use super::{Fate, Flight};

impl Flight {
    /// The first part that is lost.
    pub(in super::super) fn lost(&mut self) -> Option<(u64, u64)> {
        if self.lost == 0 {
            return None;
        }
        let intact = self.intact;
        let from = self.pieces.partition_point(|piece| piece.to <= intact);
        let first = self.pieces.range(from..).find(|piece| piece.fate == Fate::Lost)?;
        self.intact = first.from;
        Some((first.from, first.to))
    }

    /// Which pieces have to be taken for lost, when others that were sent `window` later have arrived: whether some
    /// are newly so, and when to look again (RFC 8985 section 6.2 step 5).
    pub(in super::super) fn detect(&mut self, window: Duration, now: Duration) -> (bool, Option<Duration>) {
        let (mut found, mut look_at) = (false, None);
        if self.bytes == 0 || (self.selected == 0 && self.latest.1 == 0) {
            return (false, None);
        }
        for piece in &mut self.pieces {
            if (piece.at, piece.to) >= self.latest {
                if piece.resent {
                    continue;
                }
                // What is behind it was sent later.
                break;
            }
            if piece.fate != Fate::OnTheWay {
                continue;
            }
            let until = piece.at + self.rtt + window;
            if until <= now {
                piece.fate = Fate::Lost;
                self.bytes -= piece.to - piece.from;
                self.lost += piece.to - piece.from;
                self.intact = self.intact.min(piece.from);
                found = true;
            } else {
                look_at = Some(look_at.map_or(until, |at: Duration| at.max(until)));
            }
        }
        (found, look_at)
    }

    /// A timeout: nothing is on the way any more. If the first piece was said to have arrived, the other end has
    /// thrown it away again (RFC 2018 section 8): then nothing of what it said counts.
    pub(in super::super) fn lose_all(&mut self) {
        let reneged = self.pieces.front().is_some_and(|piece| piece.fate == Fate::Selected);
        for piece in &mut self.pieces {
            if piece.fate == Fate::OnTheWay || (reneged && piece.fate == Fate::Selected) {
                piece.fate = Fate::Lost;
            }
        }
        self.count();
    }

    /// The first segment is lost.
    pub(in super::super) fn lose_first(&mut self, mss: u64) {
        let Some(first) = self.pieces.front().copied() else { return };
        self.cut((first.from + mss).min(first.to));
        if let Some(first) = self.pieces.front_mut().filter(|first| first.fate == Fate::OnTheWay) {
            first.fate = Fate::Lost;
        }
        self.count();
    }

    /// The last segment is to be sent again, though it may not be lost.
    pub(in super::super) fn repeat_last(&mut self, mss: u64) {
        let Some(last) = self.pieces.back().copied() else { return };
        self.cut(last.to.saturating_sub(mss).max(last.from));
        if let Some(last) = self.pieces.back_mut().filter(|last| last.fate == Fate::OnTheWay) {
            last.fate = Fate::Lost;
        }
        self.count();
    }

    /// What was taken for lost was late.
    pub(in super::super) fn find_all(&mut self) {
        for piece in &mut self.pieces {
            if piece.fate == Fate::Lost {
                piece.fate = Fate::OnTheWay;
            }
        }
        self.reordered = true;
        self.count();
    }

    fn count(&mut self) {
        (self.bytes, self.selected, self.lost, self.intact) = (0, 0, 0, 0);
        for piece in &self.pieces {
            let len = piece.to - piece.from;
            match piece.fate {
                Fate::OnTheWay => self.bytes += len,
                Fate::Selected => self.selected += len,
                Fate::Lost => self.lost += len,
            }
        }
    }
}
