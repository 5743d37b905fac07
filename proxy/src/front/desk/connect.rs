//! The way to the server.

use std::time::{Duration, Instant};

use engine::{FrontEnd, Worker};
use tls::{Kept, Next, Opened, Wanted};

use super::Desk;
use crate::front::pool::Idle;
use crate::front::session::{Server, Session, Talk};
use crate::front::tcp::Tcp;

impl<T: Tcp> Desk<T> {
    /// Looks for a server. What to do next, if there is something.
    pub(super) fn connect(
        &mut self,
        place: usize,
        session: &mut Session<T::Leg>,
        wanted: &Wanted,
        engine: &mut Worker,
        now: Instant,
    ) -> Option<Next> {
        self.give_up(session, engine, now);
        let (key, who) = (session.service(wanted), (session.who.client, session.who.vip));
        let way = self.tcp.way(&session.current.spec);
        let conn = match engine.open_front(&key, way, who, &session.tried, now) {
            Ok(conn) => conn,
            Err(refusal) => {
                tracing::debug!(?refusal, service = %key, client = %who.0, "no server");
                return Some(session.refused(now));
            }
        };
        if session.current.spec.pool > 0
            && let Talk::Tls(relay) = &mut session.talk
            && let Some(Idle { mut leg, kept, carrier, .. }) =
                self.pool.take((key, conn.server()), &mut self.tcp, now)
            && self.tcp.unpark(&mut leg, place)
        {
            engine.front_connected(&conn, Duration::ZERO, now);
            session.server = Some(Server { service: key, leg, conn, carrier, kept: true, opening: None });
            relay.connected(Opened::Kept(kept));
            return Some(session.drive(&mut self.tcp, now, &mut self.scratch));
        }
        match self.tcp.connect(place, &conn) {
            Ok(leg) => {
                session.server =
                    Some(Server { service: key, leg, conn, carrier: None, kept: false, opening: Some(now) });
                None
            }
            Err(error) => {
                tracing::debug!(%error, server = %conn.server(), "cannot connect");
                engine.front_ended(&conn, FrontEnd::Refused, now);
                session.tried.push(conn.dest());
                Some(session.refused(now))
            }
        }
    }

    /// A server's connection has made up its mind, perhaps.
    pub(super) fn opened(&mut self, place: usize, engine: &mut Worker, now: Instant) {
        let Some(mut session) = self.sessions.get_mut(place).and_then(Option::take) else { return };
        let mut next = None;
        let preface = session.preface();
        if let (Some(server), Talk::Tls(relay)) = (&mut session.server, &mut session.talk) {
            match self.tcp.opened(&mut server.leg) {
                Ok(false) => {
                    self.sessions[place] = Some(session);
                    return;
                }
                Ok(true) => {
                    let began = server.opening.take().unwrap_or(now);
                    engine.front_connected(&server.conn, now.saturating_duration_since(began), now);
                    relay.connected(Opened::New { preface, server: server.conn.server().ip() });
                }
                Err(error) => {
                    tracing::debug!(%error, server = %server.conn.server(), "a server did not take a connection");
                    self.give_up(&mut session, engine, now);
                    next = Some(session.refused(now));
                }
            }
        }
        self.go_on(place, session, next, engine, now);
    }

    /// Lets a server go that has not taken the connection.
    fn give_up(&mut self, session: &mut Session<T::Leg>, engine: &mut Worker, now: Instant) {
        if let Some(server) = session.server.take() {
            engine.front_ended(&server.conn, FrontEnd::Refused, now);
            if !server.kept {
                session.tried.push(server.conn.dest());
            }
            self.tcp.close(server.leg);
        }
    }

    /// Gives the server's connection to whoever needs one next.
    pub(super) fn release(
        &mut self,
        session: &mut Session<T::Leg>,
        kept: Kept,
        engine: &mut Worker,
        now: Instant,
    ) {
        let Some(Server { service, mut leg, conn, carrier, .. }) = session.server.take() else { return };
        let (of, most) = ((service, conn.server()), session.current.spec.pool);
        let carrier = match carrier {
            Some(carrier) => {
                engine.front_ended(&conn, FrontEnd::Closed, now);
                Some(carrier)
            }
            None => engine.park_front(conn, now),
        };
        let parked = self.tcp.park(&mut leg);
        let idle = Idle { leg, kept, carrier, since: now };
        let left = if parked { self.pool.put(of, idle, most) } else { Some(idle) };
        if let Some(idle) = left {
            self.tcp.close(idle.leg);
        }
    }
}
