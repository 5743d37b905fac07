//! The way to the server.

use std::time::Instant;

use engine::{FrontEnd, FrontWay};
use mio::net::TcpStream;
use tls::{Kept, Next, Opened, Wanted};

use super::Thread;
use crate::front::host::leg::HostLeg;
use crate::front::host::session::{Server, Session, Talk};

impl Thread {
    /// Looks for a server. What to do next, if there is something.
    pub(super) fn connect(
        &mut self,
        at: usize,
        session: &mut Session,
        wanted: &Wanted,
        now: Instant,
    ) -> Option<Next> {
        self.give_up(session, now);
        let (key, who) = (session.service(wanted), (session.who.client, session.who.vip));
        let conn = match self.engine.open_front(&key, FrontWay::Kernel, who, &session.tried, now) {
            Ok(conn) => conn,
            Err(refusal) => {
                tracing::debug!(?refusal, service = %key, client = %who.0, "no server");
                return Some(refused(session, now));
            }
        };
        let Talk::Tls(relay) = &mut session.talk else { return Some(Next::Wait) };
        if session.current.spec.pool > 0
            && let Some((mut leg, kept)) = self.pool.take((key, conn.server()), now)
            && self.register(&mut leg.stream, at, true).is_ok()
        {
            self.engine.front_connected(&conn, std::time::Duration::ZERO, now);
            session.server = Some(Server { leg, conn, kept: true, opening: None });
            relay.connected(Opened::Kept(kept));
            return Some(session.drive(now, &mut self.scratch));
        }
        let stream = netio::front::connect(conn.server());
        let leg =
            stream.map(|stream| HostLeg::new(TcpStream::from_std(stream), false)).and_then(|mut leg| {
                self.register(&mut leg.stream, at, true)?;
                Ok(leg)
            });
        match leg {
            Ok(leg) => {
                session.server = Some(Server { leg, conn, kept: false, opening: Some(now) });
                None
            }
            Err(error) => {
                tracing::debug!(%error, server = %conn.server(), "cannot connect");
                self.engine.front_ended(&conn, FrontEnd::Refused, now);
                session.tried.push(conn.dest());
                Some(refused(session, now))
            }
        }
    }

    /// A server's socket has made up its mind.
    pub(super) fn opened(&mut self, at: usize, now: Instant) {
        let Some(mut session) = self.sessions.get_mut(at).and_then(Option::take) else { return };
        let preface = session.preface();
        if let (Some(server), Talk::Tls(relay)) = (&mut session.server, &mut session.talk) {
            let failed = server.leg.stream.take_error();
            if matches!(failed, Ok(None)) && server.leg.stream.peer_addr().is_ok() {
                let began = server.opening.take().unwrap_or(now);
                self.engine.front_connected(&server.conn, now.saturating_duration_since(began), now);
                relay.connected(Opened::New { preface, server: server.conn.server().ip() });
                server.leg.readable = true;
            } else if !matches!(failed, Ok(None)) {
                tracing::debug!(?failed, server = %server.conn.server(), "a server did not take a connection");
                self.give_up(&mut session, now);
                let next = refused(&mut session, now);
                return self.go_on(at, session, Some(next), now);
            }
        }
        self.go_on(at, session, None, now);
    }

    /// Lets a server go that has not taken the connection.
    fn give_up(&mut self, session: &mut Session, now: Instant) {
        if let Some(server) = session.server.take() {
            self.engine.front_ended(&server.conn, FrontEnd::Refused, now);
            if !server.kept {
                session.tried.push(server.conn.dest());
            }
        }
    }

    /// Gives the server's connection to whoever needs one next.
    pub(super) fn release(&mut self, session: &mut Session, kept: Kept, now: Instant) {
        let Some(mut server) = session.server.take() else { return };
        self.engine.front_ended(&server.conn, FrontEnd::Closed, now);
        if self.poll.registry().deregister(&mut server.leg.stream).is_ok() {
            let (of, most) = ((session.served.key, server.conn.server()), session.current.spec.pool);
            self.pool.put(of, server.leg, kept, most, now);
        }
    }
}

fn refused(session: &mut Session, now: Instant) -> Next {
    match &mut session.talk {
        Talk::Tls(relay) => relay.refused(now),
        Talk::Redirect(_) => Next::Wait,
    }
}
