//! From the client to the server.
//!
//! The client is read only while the server takes what the client has said. What was read and has no place to go is
//! held as ciphertext, never more than one read.

use std::io::BufRead;

use super::{
    next::How,
    session::{End, Finish, Session, Way},
    turn::{Turn, try_io},
};
use crate::http::Scan;

impl Session {
    /// Moves what can be moved; whether anything was.
    pub(super) fn up(&mut self, turn: &mut Turn<'_>, inward: &mut [u8]) -> Result<bool, Finish> {
        let mut moved = false;
        loop {
            let before = turn.up;
            let clear = self.forward(turn)?;
            moved |= turn.up > before;
            if !clear || turn.spent() {
                return Ok(moved);
            }
            let unread = std::mem::take(&mut self.unread);
            if unread || !self.held.is_empty() {
                let held = std::mem::take(&mut self.held);
                let n = self.digest(held.rest(), turn)?;
                self.held = held;
                self.held.advance(n);
                moved |= n > 0;
                if n == 0 && !unread {
                    return Ok(moved);
                }
                continue;
            }
            if let Some(end) = self.client_end {
                return Ok(self.client_ended(end, turn)? || moved);
            }
            match try_io(|| turn.client.read(inward)) {
                Ok(None) => return Ok(moved),
                Ok(Some(0)) => self.client_end = Some(End::Cut),
                Ok(Some(n)) => {
                    moved = true;
                    let digested = self.digest(&inward[..n], turn)?;
                    if digested < n {
                        self.held.bytes = inward[digested..n].to_vec();
                    }
                }
                Err(_) => return Err(Finish::Abruptly(How::ClientGone)),
            }
        }
    }

    /// Decrypts and forwards, in turns, for as long as the server takes it; how much was decrypted.
    fn digest(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Result<usize, Finish> {
        let mut rest = bytes;
        while self.client_end.is_none() {
            if !rest.is_empty() && self.tls.read_tls(&mut rest).is_err() {
                // rustls has no room for a handshake message that is this long.
                let error = rustls::Error::InvalidMessage(rustls::InvalidMessage::HandshakePayloadTooLarge);
                return Err(self.broken(&error, turn));
            }
            let state = match self.tls.process_new_packets() {
                Ok(state) => state,
                Err(error) => return Err(self.broken(&error, turn)),
            };
            if self.handshaking && !self.tls.is_handshaking() {
                self.established(turn);
            }
            if state.peer_has_closed() {
                // What follows does not count (RFC 8446, 6.1).
                self.client_end = Some(End::Said);
                rest = &[];
            }
            if state.plaintext_bytes_to_read() > 0 && !self.forward(turn)? || rest.is_empty() {
                break;
            }
        }
        Ok(bytes.len() - rest.len())
    }

    /// Gives the server the plaintext that there is: `true` when there is none any more.
    fn forward(&mut self, turn: &mut Turn<'_>) -> Result<bool, Finish> {
        loop {
            if !self.pay(turn) {
                return Ok(false);
            }
            let Ok(chunk @ [_, ..]) = self.tls.reader().into_first_chunk() else { return Ok(true) };
            if let (Some(http), 0) = (&mut self.http, self.cleared) {
                match http.scan_request(chunk, self.stamp.as_ref(), &mut self.owed.bytes) {
                    Ok(Scan::Pass(n)) => self.cleared = n,
                    Ok(Scan::Taken(n)) => {
                        if http.heading() {
                            self.head_since.get_or_insert(turn.now);
                        } else if !http.quiet() {
                            self.head_since = None;
                        }
                        self.tls.reader().consume(n);
                        continue;
                    }
                    Ok(Scan::Hold) => return Ok(false),
                    Err(status) => return Err(self.rejected(status)),
                }
            }
            let n = if self.http.is_some() { chunk.len().min(self.cleared) } else { chunk.len() };
            let (Way::Open(server), Some(leg)) = (&mut self.way, turn.server.as_deref_mut()) else {
                return Ok(false);
            };
            let Ok(n) = server.write(leg, &chunk[..n]) else {
                self.deaf = true;
                return Ok(false);
            };
            self.tls.reader().consume(n);
            self.cleared = self.cleared.saturating_sub(n);
            turn.up += n;
            if n == 0 {
                return Ok(false);
            }
        }
    }

    /// Gives the server what it gets first: `true` when it has it, or when nothing is owed.
    fn pay(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.deaf {
            return false;
        }
        while !self.owed.is_empty() {
            let (Way::Open(server), Some(leg)) = (&mut self.way, turn.server.as_deref_mut()) else {
                return false;
            };
            match server.write(leg, self.owed.rest()) {
                Ok(0) => return false,
                Ok(n) => {
                    self.owed.advance(n);
                    turn.up += n;
                }
                Err(_) => {
                    self.deaf = true;
                    return false;
                }
            }
        }
        true
    }

    /// The client has said its end, and all that it has said before has gone on.
    fn client_ended(&mut self, end: End, turn: &mut Turn<'_>) -> Result<bool, Finish> {
        if self.handshaking {
            return Err(Finish::Abruptly(How::ClientGone));
        }
        if let Some(http) = &self.http
            && !http.tunnel()
        {
            if http.cut() {
                return Err(Finish::Abruptly(How::ClientGone));
            }
            if http.quiet() {
                return Err(Finish::Politely(How::Closed));
            }
            if turn.terms.pool {
                return Ok(false);
            }
        } else if end == End::Cut {
            return Err(Finish::Abruptly(How::ClientGone));
        }
        let (Way::Open(server), Some(leg)) = (&mut self.way, turn.server.as_deref_mut()) else {
            return Ok(false);
        };
        let Ok(ended) = server.end(leg) else { return Err(Finish::Abruptly(How::ServerGone)) };
        if self.told {
            return Err(Finish::Politely(How::Closed));
        }
        Ok(ended)
    }
}
