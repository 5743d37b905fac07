//! What is heard on a control connection, and what is told instead.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sched::Direction;

use super::words::{self, Command, Named};
use crate::conn::{FlowKey, before};

/// Replacements of a stream that are remembered, at least until the receiver has acknowledged them. Fewer than what
/// [`crate::conn::Shifts`] know by their place, of which one may be a header of the PROXY protocol.
const KEPT: usize = 6;

/// Questions of the client's that may be open.
const OPEN: u8 = 8;

/// A control connection besides what every connection has.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// Data connections that live.
    data: AtomicU32,
    talk: Mutex<Talk>,
    /// What has been expected last, and may still be.
    pub(super) expected: Mutex<Vec<FlowKey>>,
}

/// The two streams as they are sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Talk {
    ways: [Way; 2],
    /// How often the client has asked where to connect to and has not been told.
    asked: u8,
}

#[derive(Clone, Debug, Default)]
struct Way {
    /// Up to where it has been heard.
    heard: Option<u32>,
    /// There, a line has begun and not ended.
    amid: bool,
    /// There, a reply of several lines has begun and not ended: its code.
    reply: Option<[u8; 3]>,
    replaced: Vec<Replaced>,
    /// Where the last one ends that is remembered no more.
    forgotten: Option<u32>,
}

/// Bytes that are others for the receiver.
#[derive(Clone, Debug)]
struct Replaced {
    at: u32,
    len: u32,
    by: Box<[u8]>,
}

/// What is done to a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Edit<'a> {
    /// A range of its payload becomes this.
    Replace(Range<usize>, &'a [u8]),
    /// So many bytes at its beginning, the end of what has gone on as a whole, go; with them it moves up to this number.
    Behead(usize, u32),
}

impl Control {
    pub(crate) fn talk(&self) -> MutexGuard<'_, Talk> {
        self.talk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn copied(&self) -> Self {
        Self {
            data: self.data.load(Relaxed).into(),
            talk: Mutex::new(self.talk().clone()),
            expected: Mutex::new(self.expected_keys()),
        }
    }

    /// What has been expected last.
    pub(crate) fn expected_keys(&self) -> Vec<FlowKey> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A data connection of it begins.
    pub(crate) fn join(&self) {
        self.data.fetch_add(1, Relaxed);
    }

    /// It ends.
    pub(crate) fn leave(&self) {
        self.data.fetch_sub(1, Relaxed);
    }

    /// Whether it has data connections, which it does not end before.
    pub(crate) fn has_data(&self) -> bool {
        self.data.load(Relaxed) > 0
    }
}

impl Talk {
    /// Listens to a segment. `tell` is asked about each address that is named in what has not been heard before, with
    /// the number of its first byte and whether something else may stand there, and says what does from now on, if not
    /// the same. `has_it` knows whether the receiver has all before a number of the sender's.
    pub(crate) fn hear(
        &mut self,
        direction: Direction,
        seq: u32,
        payload: &[u8],
        has_it: impl Fn(u32) -> bool,
        mut tell: impl FnMut(u32, &Named, bool) -> Option<Vec<u8>>,
    ) {
        let Self { ways, asked } = self;
        let way = &mut ways[direction as usize];
        let end = seq.wrapping_add(payload.len() as u32);
        let mut at = match way.heard {
            Some(heard) if !before(heard, end) => return,
            Some(heard) if before(seq, heard) => heard.wrapping_sub(seq) as usize,
            Some(heard) if heard == seq => 0,
            _ => {
                // What is missing may have ended anything.
                (way.amid, way.reply) = (false, None);
                0
            }
        };
        way.heard = Some(end);
        for line in payload[at..].split_inclusive(|byte| *byte == b'\n') {
            let (begins, place) = (!way.amid, seq.wrapping_add(at as u32));
            at += line.len();
            way.amid = !line.ends_with(b"\n");
            if !begins || way.amid {
                continue;
            }
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let named = match direction {
                Direction::In => match words::command(line) {
                    Some(Command::Ask) => {
                        *asked = (*asked + 1).min(OPEN);
                        None
                    }
                    Some(Command::Name(named)) => Some(named),
                    None => None,
                },
                Direction::Out => way.ends_reply(line).then(|| words::reply(line)).flatten().filter(|_| {
                    let left = asked.checked_sub(1);
                    *asked = left.unwrap_or(0);
                    left.is_some()
                }),
            };
            let Some(named) = named else { continue };
            let place = place.wrapping_add(named.range.start as u32);
            if let Some(oldest) = way.replaced.first().map(Replaced::end)
                && way.replaced.len() == KEPT
                && has_it(oldest)
            {
                way.replaced.remove(0);
                way.forgotten = Some(oldest);
            }
            if let Some(by) = tell(place, &named, way.replaced.len() < KEPT) {
                way.replaced.push(Replaced { at: place, len: named.range.len() as u32, by: by.into() });
            }
        }
    }

    /// What has to be done to a segment with `len` bytes at `seq`, what stands last first. Whatever has the beginning of
    /// what is replaced has all that stands in its place, and what has a later part of it has nothing. What is not
    /// remembered the receiver has: it need not come again.
    pub(crate) fn edits(&self, direction: Direction, seq: u32, len: usize) -> impl Iterator<Item = Edit<'_>> {
        let way = &self.ways[direction as usize];
        let edits = way.replaced.iter().rev().filter_map(move |replaced| {
            let start = i64::from(replaced.at.wrapping_sub(seq) as i32);
            let end = start + i64::from(replaced.len);
            let within = usize::try_from(end).ok()?.min(len);
            match usize::try_from(start) {
                Ok(start) => (start < len).then_some(Edit::Replace(start..within, &replaced.by)),
                Err(_) => (end > 0).then(|| Edit::Behead(within, replaced.end())),
            }
        });
        let old = way.forgotten.filter(|end| before(seq, *end));
        edits.chain(old.map(|end| Edit::Behead(len.min(end.wrapping_sub(seq) as usize), end)))
    }
}

impl Replaced {
    fn end(&self) -> u32 {
        self.at.wrapping_add(self.len)
    }
}

impl Way {
    /// Whether a line of the server's is the last one of a reply, or the only one (RFC 959 section 4.2).
    fn ends_reply(&mut self, line: &[u8]) -> bool {
        let code = line.first_chunk::<3>().filter(|code| code.iter().all(u8::is_ascii_digit)).copied();
        let goes_on = line.get(3) == Some(&b'-');
        match self.reply {
            Some(open) if code != Some(open) || goes_on => false,
            None if goes_on && code.is_some() => {
                self.reply = code;
                false
            }
            _ => {
                self.reply = None;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests;
