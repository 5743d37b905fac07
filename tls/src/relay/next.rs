//! What the caller has to do next.

use std::fmt;
use std::net::IpAddr;

use rustls::{AlertDescription, client::ClientConnection};

/// What the caller has to do next.
#[derive(Debug)]
pub enum Next {
    /// Drive again when a leg is ready, or when the timeout has passed.
    Wait,
    /// Drive again soon, after others: there is more to do, and this was enough for one turn.
    Again,
    /// Find a server and open a leg to it, then call [`crate::Relay::connected`] or [`crate::Relay::refused`]. A leg
    /// that was being opened before is to be dropped.
    Connect(Wanted),
    /// The server's leg is free for others; drive again at once, without it. A leg that the server has closed, or that
    /// has something to read while it is free, is of no use.
    Release(Kept),
    /// All was said: both legs are to be dropped.
    Ended(How),
}

/// What is known of a client when a server is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The protocol that was agreed on.
    pub alpn: Option<Vec<u8>>,
}

/// How a leg to a server came to be.
#[derive(Debug)]
pub enum Opened {
    /// It is new.
    New {
        /// The server gets these bytes before all others, and before TLS. PROXY headers, or nothing.
        preface: Vec<u8>,
        /// The server's address: what its certificate is for, where the terms give it no name.
        server: IpAddr,
    },
    /// Another session has released it.
    Kept(Kept),
}

/// What a released leg needs to be used again.
pub struct Kept(pub(super) Option<Box<ClientConnection>>);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Each side has said what it had to say.
    Closed,
    /// The client broke off.
    ClientGone,
    /// The server broke off.
    ServerGone,
    /// No server took the connection.
    NoServer,
    /// The client got this status instead of a server's answer.
    Rejected(u16),
    /// TLS failed, with this alert from either side.
    Alert(AlertDescription),
    /// The client spoke HTTP in clear, and was told.
    PlainHttp,
    /// It took too long.
    TimedOut(Timeout),
}

/// What takes too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// The client's handshake.
    Handshake,
    /// The head of a request.
    Head,
    /// Silence.
    Idle,
    /// Silence after one side has said its end.
    HalfClosed,
    /// The way to a server.
    Connect,
}

impl Timeout {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Handshake, Self::Head, Self::Idle, Self::HalfClosed, Self::Connect];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Head => "head",
            Self::Idle => "idle",
            Self::HalfClosed => "half_closed",
            Self::Connect => "connect",
        }
    }
}
