//! What takes too long, and what comes of it.

use std::time::{Duration, Instant};

use super::{
    Relay, Stage,
    next::{How, Next, Timeout},
    session::{Finish, Session},
    terms::Timeouts,
    turn::Turn,
};
use crate::http::Status;

/// How long a client is listened to after the last words.
const LINGER: Duration = Duration::from_secs(2);

impl Relay {
    /// When to drive it although no leg is ready. `None` once it has ended.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline().map(|(at, _)| at)
    }

    fn deadline(&self) -> Option<(Instant, Timeout)> {
        let limits = &self.terms.timeouts;
        match &self.stage {
            Stage::Hello(_) => Some((self.began + limits.handshake, Timeout::Handshake)),
            Stage::Session(session) if session.handshaking => {
                Some((self.began + limits.handshake, Timeout::Handshake))
            }
            Stage::Session(session) => Some(session.deadline(limits, self.active)),
            Stage::Parting(parting) => {
                let limit = if parting.told { LINGER } else { limits.half_closed };
                Some((parting.since + limit, Timeout::HalfClosed))
            }
            Stage::Over(_) => None,
        }
    }

    /// What follows where a deadline has passed. `None` where none has, or where the turn has to show it.
    pub(super) fn expire(&mut self, turn: &mut Turn<'_>) -> Option<Next> {
        let (_, timeout) = self.deadline().filter(|(at, _)| turn.now >= *at)?;
        let session = match &mut self.stage {
            Stage::Parting(parting) => {
                if !parting.told {
                    turn.terms.counters.timed_out(timeout);
                }
                turn.client.abort();
                self.stage = Stage::Over(parting.how);
                return None;
            }
            Stage::Session(session) => Some(session),
            Stage::Hello(_) | Stage::Over(_) => None,
        };
        turn.terms.counters.timed_out(timeout);
        if timeout == Timeout::Connect {
            return Some(self.look_on(turn.now));
        }
        let finish =
            session.map_or(Finish::Abruptly(How::TimedOut(timeout)), |session| session.late(timeout));
        self.finish(finish, turn);
        None
    }
}

impl Session {
    fn deadline(&self, limits: &Timeouts, active: Instant) -> (Instant, Timeout) {
        let silent = if self.client_end.is_some() || self.server_end {
            (active + limits.half_closed, Timeout::HalfClosed)
        } else {
            (active + limits.idle, Timeout::Idle)
        };
        let asked = self.connecting().map(|since| (since + limits.connect, Timeout::Connect));
        let head = self.head_since.map(|since| (since + limits.head, Timeout::Head));
        [asked, head]
            .into_iter()
            .flatten()
            .fold(silent, |first, next| if next.0 < first.0 { next } else { first })
    }

    fn late(&mut self, timeout: Timeout) -> Finish {
        let how = How::TimedOut(timeout);
        match (timeout, &self.http) {
            (Timeout::Head, Some(http)) => {
                if http.heading() {
                    self.say(Status::RequestTimeout);
                }
                Finish::Politely(how)
            }
            (Timeout::Idle, Some(http)) if http.quiet() => Finish::Politely(how),
            (Timeout::Idle, Some(_)) => self.unserved(Status::GatewayTimeout, how),
            _ => Finish::Abruptly(how),
        }
    }
}
