//! The header of the PROXY protocol on its way to a server: a segment of ours, before the client's first byte. Nobody
//! but us can send it again, so it is kept until the server has acknowledged it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wire::packet::{L4, Packet};

use super::shift::before;
use super::{Conn, Millis};
use crate::state::State;

/// Time within which a client that repeats itself does not have the header repeated: it is still on its way.
const FRESH_MS: Millis = 100;

/// The header of one connection.
#[derive(Debug)]
pub(crate) struct Greeting {
    header: Box<[u8]>,
    /// The server has it, or nobody waits for it any more.
    over: AtomicBool,
    sent: Mutex<Option<Sent>>,
}

#[derive(Debug)]
struct Sent {
    /// The whole packet, as it left.
    packet: Vec<u8>,
    last: Millis,
}

/// What is to be done before a client's segment goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing, and the server counts the header's bytes.
    Nothing,
    /// Nothing, and the server has not heard of the header.
    TooEarly,
    /// The header goes first, for the first time.
    First,
    /// The header goes first once more.
    Again,
}

impl Greeting {
    pub(crate) fn new(header: Vec<u8>) -> Self {
        Self { header: header.into(), over: AtomicBool::new(false), sent: Mutex::default() }
    }

    pub(crate) fn copied(&self) -> Self {
        let sent = self.sent().as_ref().map(|sent| Sent { packet: sent.packet.clone(), last: sent.last });
        Self { header: self.header.clone(), over: self.is_over().into(), sent: Mutex::new(sent) }
    }

    pub(crate) fn header(&self) -> &[u8] {
        &self.header
    }

    /// What a segment from the client asks for.
    pub(crate) fn due(&self, conn: &Conn<'_>, packet: &Packet, now: Millis) -> Due {
        let L4::Tcp { flags, seq, ack, .. } = packet.l4 else { return Due::Nothing };
        if self.is_over() {
            return Due::Nothing;
        }
        let sent = self.sent();
        let (Some(client), Some(server)) = (conn.client().begun(), conn.server().begun()) else {
            return Due::TooEarly;
        };
        match &*sent {
            // Whoever acknowledges a SYN that has been sent is no stranger, and will hear the server.
            None if flags.syn() || flags.rst() || !flags.ack() || !before(server, ack) => Due::TooEarly,
            None => Due::First,
            Some(_) if self.is_heard(conn) => {
                drop(sent);
                self.give_up();
                Due::Nothing
            }
            // A reset is believed only if it comes right behind what the server has heard.
            Some(_) if flags.rst() => Due::Again,
            Some(sent) => {
                let says = packet.payload_len() > 0 || flags.fin();
                let first = says && seq == client.wrapping_add(1);
                if first && now >= sent.last + FRESH_MS { Due::Again } else { Due::Nothing }
            }
        }
    }

    /// Keeps what is sent now.
    pub(crate) fn send(&self, packet: Vec<u8>, now: Millis) {
        *self.sent() = Some(Sent { packet, last: now });
    }

    /// What has to be sent again because nobody has acknowledged it; `None` when that has happened, or has no meaning
    /// any more.
    pub(crate) fn again(&self, conn: &Conn<'_>, now: Millis) -> Option<Vec<u8>> {
        // One that both ends have closed may still be waited for: a client's first segment can be its last.
        if self.is_over() || self.is_heard(conn) || conn.state() == State::Close {
            self.give_up();
            return None;
        }
        let mut sent = self.sent();
        let sent = sent.as_mut()?;
        sent.last = now;
        Some(sent.packet.clone())
    }

    /// It is not sent any more.
    pub(crate) fn give_up(&self) {
        self.over.store(true, Relaxed);
        *self.sent() = None;
    }

    fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// The server has acknowledged all of it.
    fn is_heard(&self, conn: &Conn<'_>) -> bool {
        let end = conn.client().begun().map(|begun| begun.wrapping_add(1 + self.header.len() as u32));
        end.is_some_and(|end| conn.server().has_heard(end))
    }

    fn sent(&self) -> MutexGuard<'_, Option<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
