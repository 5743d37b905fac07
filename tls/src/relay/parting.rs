//! The last words for a client, and whether it has heard them.

use std::time::Instant;

use super::{
    next::How,
    turn::{Held, Turn, try_io},
};

/// Bytes that are thrown away before the client is taken for one that does not listen.
const DEAF: usize = 1024 * 1024;

/// A client that is told the last words, and listened to until it has said its end: closing over what it still sends
/// would reset the connection and might take the words with it.
pub(super) struct Parting {
    words: Held,
    pub(super) how: How,
    pub(super) since: Instant,
    pub(super) told: bool,
    ignored: usize,
}

impl Parting {
    pub(super) const fn new(words: Held, how: How, since: Instant, told: bool) -> Self {
        Self { words, how, since, told, ignored: 0 }
    }

    /// Whether it is over.
    pub(super) fn drive(&mut self, turn: &mut Turn<'_>, inward: &mut [u8]) -> bool {
        while !self.words.is_empty() {
            match try_io(|| turn.client.write(self.words.rest())) {
                Ok(None | Some(0)) => return false,
                Ok(Some(n)) => self.words.advance(n),
                Err(_) => return true,
            }
        }
        if !std::mem::replace(&mut self.told, true) {
            self.since = turn.now;
            turn.client.shutdown();
        }
        loop {
            match try_io(|| turn.client.read(inward)) {
                Ok(None) => return false,
                Ok(Some(0)) | Err(_) => return true,
                Ok(Some(n)) => self.ignored += n,
            }
            if self.ignored > DEAF {
                turn.client.abort();
                return true;
            }
        }
    }

    /// Bytes that wait.
    pub(super) const fn buffered(&self) -> usize {
        self.words.len()
    }
}
