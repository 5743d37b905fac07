//! A session: what there is from the ClientHello to the end.
//!
//! The two directions are in `up` and `down`. Here is what they share, and how they end.

use std::{io::Write, time::Instant};

use rustls::{AlertDescription, HandshakeKind, ProtocolVersion, server::ServerConnection};

use super::{
    hello::{alert_of, in_clear},
    next::{How, Kept, Opened, Wanted},
    server::Server,
    terms::Terms,
    turn::{Held, Turn},
};
use crate::http::{Exchange, Stamp, Status};

/// How a session is to end.
#[derive(Debug)]
pub(super) enum Finish {
    /// The client gets what waits for it, is told the end, and is listened to until it has heard.
    Politely(How),
    /// Both sides learn that something is missing.
    Abruptly(How),
}

/// What the client has said about its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// `close_notify`.
    Said,
    /// TCP ended and TLS did not: something may be missing.
    Cut,
}

/// Where the server is.
pub(super) enum Way {
    /// None is needed yet.
    Nowhere,
    /// One is being looked for.
    Asked,
    /// It is there.
    Open(Box<Server>),
    /// There is none.
    Refused,
}

pub(super) struct Session {
    pub(super) tls: Box<ServerConnection>,
    pub(super) handshaking: bool,
    /// Ciphertext of the client that was read and not looked at, because the server takes nothing.
    pub(super) held: Held,
    /// What came with the ClientHello may wait in `tls`.
    pub(super) unread: bool,
    pub(super) client_end: Option<End>,
    pub(super) way: Way,
    /// When the server was asked for, and which one it is.
    asked: Option<Instant>,
    pub(super) tried: u32,
    /// What the server gets before anything else: heads.
    pub(super) owed: Held,
    /// The head that a server gets again if the one before does not answer.
    pub(super) again: Vec<u8>,
    /// Plaintext, at the front of what waits in `tls`, that was looked at and goes on as it is.
    pub(super) cleared: usize,
    /// The server takes nothing any more. What it has to say may still come.
    pub(super) deaf: bool,
    /// The server has said its end.
    pub(super) server_end: bool,
    /// The client was told so.
    pub(super) told: bool,
    pub(super) http: Option<Box<Exchange>>,
    pub(super) stamp: Option<Stamp>,
    /// Since when a head is awaited.
    pub(super) head_since: Option<Instant>,
    /// TLS has failed: there is no end to be told.
    broken: bool,
    /// The alert that is due, in clear, should rustls have none.
    due: Option<AlertDescription>,
}

impl Session {
    pub(super) fn new(tls: Box<ServerConnection>, early: Vec<u8>) -> Self {
        Self {
            tls,
            handshaking: true,
            held: Held::new(early),
            unread: true,
            client_end: None,
            way: Way::Nowhere,
            asked: None,
            tried: 0,
            owed: Held::default(),
            again: Vec::new(),
            cleared: 0,
            deaf: false,
            server_end: false,
            told: false,
            http: None,
            stamp: None,
            head_since: None,
            broken: false,
            due: None,
        }
    }

    /// The handshake is complete: who is it, and what does it speak?
    pub(super) fn established(&mut self, turn: &Turn<'_>) {
        self.handshaking = false;
        turn.terms.counters.handshaking.sub(1);
        turn.terms.counters.handshake_done(&self.tls);
        if turn.terms.http && matches!(self.tls.alpn_protocol(), None | Some(b"http/1.1" | b"http/1.0")) {
            self.http = Some(Box::new(Exchange::new()));
            self.head_since = Some(turn.now);
            if turn.terms.forwarded {
                let subject = self.subject(turn.terms);
                let verified = turn.terms.accept.asks_for_certificates().then_some(subject.as_deref());
                self.stamp = Some(Stamp::new(turn.who.client, turn.who.vip, verified));
            }
        }
    }

    fn subject(&self, terms: &Terms) -> Option<String> {
        let leaf = self.tls.peer_certificates()?.first()?;
        Some(terms.accept.subject(leaf))
    }

    /// Whether a server has to be found.
    pub(super) const fn wants_server(&self) -> bool {
        matches!(self.way, Way::Nowhere)
            && !self.handshaking
            && !self.server_end
            && (self.http.is_none() || !self.owed.is_empty())
    }

    /// Asks for a server, the `tried`th.
    pub(super) fn ask(&mut self, now: Instant, tried: u32) -> Wanted {
        self.way = Way::Asked;
        self.asked = Some(now);
        self.tried = tried;
        Wanted { alpn: self.tls.alpn_protocol().map(<[u8]>::to_vec) }
    }

    /// Since when a server is asked for, or its handshake is awaited.
    pub(super) fn connecting(&self) -> Option<Instant> {
        match &self.way {
            Way::Asked => self.asked,
            Way::Open(server) if server.handshaking() => self.asked,
            _ => None,
        }
    }

    /// A server has taken the connection.
    pub(super) fn connected(&mut self, opened: Opened, terms: &Terms) {
        if !matches!(self.way, Way::Asked) {
            return;
        }
        let Ok(server) = Server::new(opened, terms.backend.as_ref()) else {
            self.way = Way::Refused;
            return;
        };
        if server.reused && self.http.as_ref().is_some_and(|http| http.repeatable()) {
            self.again = self.owed.rest().to_vec();
        }
        self.way = Way::Open(Box::new(server));
    }

    /// The session is over for the server.
    pub(super) fn leave_server(&mut self, how: How, turn: &mut Turn<'_>) {
        let (Way::Open(server), Some(leg)) = (&mut self.way, turn.server.as_deref_mut()) else { return };
        let whole = how == How::Closed && !self.http.as_ref().is_some_and(|http| http.cut());
        if !whole || server.end(leg).is_err() {
            leg.abort();
        }
    }

    /// What follows from the state of an exchange: the server's leg is free, or all is said.
    pub(super) fn settle(&mut self, pool: bool) -> Result<Option<Kept>, Finish> {
        let Some(http) = &mut self.http else { return Ok(None) };
        if http.answered() {
            self.again = Vec::new();
        }
        if self.deaf {
            http.last();
        }
        match http.complete(self.cleared == 0 && self.owed.is_empty()) {
            None => Ok(None),
            Some(false) => Err(Finish::Politely(How::Closed)),
            Some(true) if self.client_end.is_some() => Err(Finish::Politely(How::Closed)),
            Some(true) => match std::mem::replace(&mut self.way, Way::Nowhere) {
                Way::Open(server) if pool && server.reusable() => Ok(Some(server.keep())),
                mut way => {
                    if let Way::Open(server) = &mut way {
                        server.known = true;
                    }
                    self.way = way;
                    Ok(None)
                }
            },
        }
    }

    /// The server has gone without an answer that is complete, or there is none.
    pub(super) fn unserved(&mut self, status: Status, how: How) -> Finish {
        match &self.http {
            Some(http) if !http.answered() && !http.quiet() => {
                self.say(status);
                Finish::Politely(how)
            }
            _ => Finish::Abruptly(how),
        }
    }

    /// What the client sends cannot be passed on.
    pub(super) fn rejected(&mut self, status: Status) -> Finish {
        let how = How::Rejected(status.code());
        if self.http.as_ref().is_some_and(|http| http.answered()) {
            return Finish::Abruptly(how);
        }
        self.say(status);
        Finish::Politely(how)
    }

    /// TLS has failed. The alert, if one is due, waits to be written, or is ours to give: rustls has none for some
    /// messages of TLS 1.2 that it cannot read.
    pub(super) fn broken(&mut self, error: &rustls::Error, turn: &Turn<'_>) -> Finish {
        let alert = alert_of(error);
        self.broken = true;
        let in_clear = self.handshaking
            && self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_2)
            && self.tls.handshake_kind() != Some(HandshakeKind::Resumed);
        self.due = (in_clear && !matches!(error, rustls::Error::AlertReceived(_))).then_some(alert);
        if self.handshaking {
            turn.terms.counters.handshake_failed(alert);
        }
        Finish::Politely(How::Alert(alert))
    }

    /// Answers instead of a server.
    pub(super) fn say(&mut self, status: Status) {
        // Without a limit a session that works takes everything, and one that does not has nobody to tell.
        let _ = self.tls.writer().write_all(&status.answer());
    }

    /// The last bytes for the client. With them goes all else that the session holds.
    pub(super) fn last_words(mut self) -> Held {
        if !self.broken {
            self.tls.send_close_notify();
        }
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            // A vector takes everything.
            let _ = self.tls.write_tls(&mut bytes);
        }
        if let Some(alert) = self.due.map(in_clear)
            && !bytes.split_last().is_some_and(|(_, before)| before.ends_with(&alert[..alert.len() - 1]))
        {
            bytes.extend(alert);
        }
        Held::new(bytes)
    }

    /// Bytes that wait.
    pub(super) fn buffered(&mut self) -> usize {
        let waiting = self.tls.process_new_packets();
        let waiting = waiting.map_or(0, |io| io.tls_bytes_to_write() + io.plaintext_bytes_to_read());
        let server = if let Way::Open(server) = &mut self.way { server.buffered() } else { 0 };
        let heads = self.http.as_ref().map_or(0, |http| http.held());
        waiting + server + heads + self.held.len() + self.owed.len() + self.again.len()
    }
}
