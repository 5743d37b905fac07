//! One client's TLS session and the leg to its server, driven without IO and without a clock.
//!
//! A [`Relay`] is made when a client's leg is there. Its owner has the legs, the time and the servers:
//!
//! - [`Relay::drive`] does all that can be done and says what the owner has to do next. It is called when a leg is
//!   ready, edge-triggered or not, when [`Relay::poll_timeout`] has passed, and after each of the calls below;
//! - after [`Next::Connect`] the owner calls [`Relay::connected`], with the leg in the next call to `drive`, or
//!   [`Relay::refused`];
//! - after [`Next::Ended`] nothing more is to be done but to drop both legs.
//!
//! Each direction has its own end, as TCP has, and TLS keeps the difference between an end and a loss: `close_notify`
//! goes with FIN, and where something is missing both sides get RST, never an end.
//!
//! Back-pressure: nothing is read from a side while the other one does not take what was read before, so that a
//! session never holds more than one read of each, and next to nothing while it is idle. Work is bounded in each call.
//!
//! Times must not run backwards. Follows RFC 8446 (6.1, 6.2), RFC 5246 (7.2.1), RFC 9112.

mod down;
mod hello;
mod next;
mod parting;
mod server;
mod session;
mod terms;
mod timers;
mod turn;
mod up;

use std::{fmt, sync::Arc, time::Instant};

use down::Down;
use hello::{Greeting, Hello};
pub use next::{How, Kept, Next, Opened, Timeout, Wanted};
use parting::Parting;
use session::{Finish, Session, Way};
pub use terms::{Accept, Backend, NoSuchName, Terms, Timeouts, Who};
pub use turn::Scratch;
use turn::{Held, Turn};

use crate::{http::Status, leg::Leg};

/// One client's session. See the documentation of the module.
pub struct Relay {
    terms: Arc<Terms>,
    who: Who,
    stage: Stage,
    began: Instant,
    /// When bytes last moved.
    active: Instant,
}

enum Stage {
    Hello(Box<Hello>),
    Session(Box<Session>),
    Parting(Parting),
    Over(How),
}

/// What a turn came to.
enum Step {
    Moved,
    Still,
    Say(Next),
}

impl Relay {
    /// A session whose client has connected at `now`.
    pub fn new(terms: Arc<Terms>, who: Who, now: Instant) -> Self {
        terms.counters.open.add(1);
        terms.counters.handshaking.add(1);
        Self { terms, who, stage: Stage::Hello(Box::default()), began: now, active: now }
    }

    /// Does all that can be done. `server` is the leg that was opened last, until it was released.
    pub fn drive(
        &mut self,
        client: &mut dyn Leg,
        server: Option<&mut dyn Leg>,
        now: Instant,
        scratch: &mut Scratch,
    ) -> Next {
        let terms = self.terms.clone();
        // Legs of two kinds have two lifetimes; the turn has the shorter one.
        let server = server.map(|leg| leg as &mut dyn Leg);
        let mut turn = Turn { client, server, terms: &terms, who: self.who, now, up: 0, down: 0 };
        let next = self.turns(&mut turn, scratch);
        if turn.up > 0 {
            terms.counters.up.add(turn.up as u64);
        }
        if turn.down > 0 {
            terms.counters.down.add(turn.down as u64);
        }
        next
    }

    /// A server has taken the connection: its leg goes with the next call to [`Relay::drive`].
    pub fn connected(&mut self, opened: Opened) {
        if let Stage::Session(session) = &mut self.stage {
            session.connected(opened, &self.terms);
        }
    }

    /// The server that was found cannot be reached, or none was found: is another to be looked for?
    pub fn refused(&mut self, now: Instant) -> Next {
        self.look_on(now)
    }

    /// Bytes that were read from one side and wait for the other.
    pub fn buffered(&mut self) -> usize {
        match &mut self.stage {
            Stage::Session(session) => session.buffered(),
            Stage::Parting(parting) => parting.buffered(),
            Stage::Hello(_) | Stage::Over(_) => 0,
        }
    }

    fn turns(&mut self, turn: &mut Turn<'_>, scratch: &mut Scratch) -> Next {
        if let Some(next) = self.expire(turn) {
            return next;
        }
        loop {
            let step = match &mut self.stage {
                Stage::Hello(_) => self.hello(turn, scratch),
                Stage::Session(_) => self.session(turn, scratch),
                Stage::Parting(parting) => {
                    if !parting.drive(turn, &mut scratch.inward) {
                        return Next::Wait;
                    }
                    self.stage = Stage::Over(parting.how);
                    Step::Moved
                }
                Stage::Over(how) => Step::Say(Next::Ended(*how)),
            };
            match step {
                Step::Moved => self.active = turn.now,
                Step::Still => return Next::Wait,
                Step::Say(next) => return next,
            }
            if turn.spent() {
                return Next::Again;
            }
        }
    }

    fn hello(&mut self, turn: &mut Turn<'_>, scratch: &mut Scratch) -> Step {
        let Stage::Hello(hello) = &mut self.stage else { return Step::Moved };
        match hello.drive(turn, &mut scratch.inward) {
            Greeting::Waiting => return Step::Still,
            Greeting::Session(tls, early) => self.stage = Stage::Session(Box::new(Session::new(tls, early))),
            Greeting::Gone => return self.finish(Finish::Abruptly(How::ClientGone), turn),
            Greeting::Refused(words, how) => {
                turn.terms.counters.handshaking.sub(1);
                self.stage = Stage::Parting(Parting::new(Held::new(words), how, turn.now, false));
            }
        }
        Step::Moved
    }

    fn session(&mut self, turn: &mut Turn<'_>, scratch: &mut Scratch) -> Step {
        let Stage::Session(session) = &mut self.stage else { return Step::Moved };
        if matches!(session.way, Way::Refused) {
            let finish = session.unserved(Status::BadGateway, How::NoServer);
            return self.finish(finish, turn);
        }
        let up = match session.up(turn, &mut scratch.inward) {
            Ok(moved) => moved,
            Err(finish) => return self.finish(finish, turn),
        };
        let down = match session.down(turn, &mut scratch.outward) {
            Ok(moved) => moved,
            Err(Down::Finish(finish)) => return self.finish(finish, turn),
            Err(Down::Refused) => return Step::Say(self.look_on(turn.now)),
        };
        match session.settle(turn.terms.pool) {
            Ok(None) => {}
            Ok(Some(kept)) => return Step::Say(Next::Release(kept)),
            Err(finish) => return self.finish(finish, turn),
        }
        if session.wants_server() {
            return Step::Say(Next::Connect(session.ask(turn.now, 1)));
        }
        if up || down { Step::Moved } else { Step::Still }
    }

    /// The server was none: another one, or the end.
    fn look_on(&mut self, now: Instant) -> Next {
        let Stage::Session(session) = &mut self.stage else { return Next::Again };
        self.terms.counters.refused.add(1);
        if session.tried < self.terms.attempts {
            return Next::Connect(session.ask(now, session.tried + 1));
        }
        session.way = Way::Refused;
        Next::Again
    }

    fn finish(&mut self, finish: Finish, turn: &mut Turn<'_>) -> Step {
        let (Finish::Politely(how) | Finish::Abruptly(how)) = finish;
        if self.handshaking() {
            turn.terms.counters.handshaking.sub(1);
            if how == How::ClientGone {
                turn.terms.counters.gone.add(1);
            }
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Over(how));
        match (finish, stage) {
            (Finish::Politely(how), Stage::Session(mut session)) => {
                session.leave_server(how, turn);
                let told = session.told;
                self.stage = Stage::Parting(Parting::new(session.last_words(), how, turn.now, told));
            }
            _ => {
                turn.client.abort();
                if let Some(server) = &mut turn.server {
                    server.abort();
                }
            }
        }
        Step::Moved
    }

    fn handshaking(&self) -> bool {
        match &self.stage {
            Stage::Hello(_) => true,
            Stage::Session(session) => session.handshaking,
            Stage::Parting(_) | Stage::Over(_) => false,
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.terms.counters.open.sub(1);
        if self.handshaking() {
            self.terms.counters.handshaking.sub(1);
        }
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Hello(_) => "hello",
            Stage::Session(session) if session.handshaking => "handshake",
            Stage::Session(_) => "session",
            Stage::Parting(_) => "parting",
            Stage::Over(_) => "over",
        };
        f.debug_struct("Relay").field("who", &self.who).field("stage", &stage).finish_non_exhaustive()
    }
}
