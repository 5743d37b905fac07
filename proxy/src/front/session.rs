//! A client of a front, its connection and its server's.

use std::sync::Arc;
use std::time::Instant;

use engine::{FrontConn, FrontEnd};
use sched::{ClientIdentity, DestKey, ProxyProtocol, ServiceKey};
use tls::{How, Next, Redirect, Relay, Scratch, Wanted, Who};

use super::served::{Current, Served};
use super::tcp::Tcp;

/// Everything about one client.
pub(super) struct Session<L> {
    /// Which of those who have had this place.
    pub(super) generation: u32,
    pub(super) served: Arc<Served>,
    pub(super) current: Arc<Current>,
    pub(super) talk: Talk,
    pub(super) who: Who,
    pub(super) client: L,
    pub(super) server: Option<Server<L>>,
    /// Servers that have not taken the connection.
    pub(super) tried: Vec<DestKey>,
    /// When its timer fires.
    pub(super) armed: Option<Instant>,
    /// It waits for its turn.
    pub(super) queued: bool,
}

/// What is spoken with a client. A redirection ends soon and is rare.
pub(super) enum Talk {
    Tls(Relay),
    Redirect(Box<Redirect>),
}

impl<L> Server<L> {
    /// Somebody has ended it.
    pub(super) fn is_over(&self) -> bool {
        self.conn.is_over() || self.carrier.as_ref().is_some_and(FrontConn::is_over)
    }
}

/// The server of a client.
pub(super) struct Server<L> {
    /// The service that has chosen it.
    pub(super) service: ServiceKey,
    pub(super) leg: L,
    pub(super) conn: FrontConn,
    /// By which its packets come, if that is the connection of somebody whom it has served before.
    pub(super) carrier: Option<FrontConn>,
    /// It has served others: if it fails, that says nothing against its server.
    pub(super) kept: bool,
    /// Since when it is being opened, while it is.
    pub(super) opening: Option<Instant>,
}

impl<L> Session<L> {
    /// Has everything done that can be done.
    pub(super) fn drive(&mut self, tcp: &mut impl Tcp<Leg = L>, now: Instant, scratch: &mut Scratch) -> Next {
        // Who is being opened is nobody's leg yet.
        let server = self.server.as_mut().filter(|server| server.opening.is_none());
        let talk = &mut self.talk;
        tcp.lend(&mut self.client, server.map(|server| &mut server.leg), &mut |client, server| match talk {
            Talk::Redirect(redirect) => redirect.drive(client, now, scratch),
            Talk::Tls(relay) => relay.drive(client, server, now, scratch),
        })
    }

    /// The server that it had cannot be reached.
    pub(super) fn refused(&mut self, now: Instant) -> Next {
        match &mut self.talk {
            Talk::Tls(relay) => relay.refused(now),
            Talk::Redirect(_) => Next::Wait,
        }
    }

    /// When to drive it though nothing has come.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.talk {
            Talk::Redirect(redirect) => Some(redirect.poll_timeout()),
            Talk::Tls(relay) => relay.poll_timeout(),
        }
    }

    /// The service that has the servers for what the client wants.
    pub(super) fn service(&self, wanted: &Wanted) -> ServiceKey {
        let by_alpn = &self.current.spec.by_alpn;
        let of = |alpn: &[u8]| by_alpn.iter().find(|(protocol, _)| protocol.as_bytes() == alpn);
        wanted.alpn.as_deref().and_then(of).map_or(self.served.key, |(_, key)| *key)
    }

    /// What a server is told before all else.
    pub(super) fn preface(&self) -> Vec<u8> {
        let version = match self.current.spec.identity {
            ClientIdentity::ProxyV1 => ProxyProtocol::V1,
            ClientIdentity::ProxyV2 => ProxyProtocol::V2,
            ClientIdentity::None | ClientIdentity::Transparent | ClientIdentity::Forwarded => {
                return Vec::new();
            }
        };
        engine::proxy_header(version, self.who.client, self.who.vip)
    }
}

/// What an end means for the connection table.
pub(super) const fn end_of(how: How) -> FrontEnd {
    match how {
        How::ClientGone | How::ServerGone | How::TimedOut(_) => FrontEnd::Reset,
        _ => FrontEnd::Closed,
    }
}
