//! Sessions served by one thread, over either TCP: who has a turn, who has waited for too long, who is over.
//!
//! Whoever owns a desk tells it of clients ([`Desk::receive`]) and of connections that have become ready
//! ([`Desk::ready`], [`Desk::opened`]), and calls [`Desk::take_turns`] and [`Desk::handle_timeout`] in between.

mod connect;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::Worker;
use sched::Direction;
use tls::{How, Next, Scratch, Who};

use super::pool::Pool;
use super::served::{Current, Served};
use super::session::{Server, Session, Talk, end_of};
use super::tcp::Tcp;
use super::timers::Timers;

/// How often sessions are looked through for those that the control plane has ended, while there are any.
const SWEEP: Duration = Duration::from_secs(1);

pub(super) struct Desk<T: Tcp> {
    pub(super) tcp: T,
    sessions: Vec<Option<Box<Session<T::Leg>>>>,
    free: Vec<usize>,
    generation: u32,
    timers: Timers,
    /// Those who have had their turn and want another one.
    again: VecDeque<usize>,
    pool: Pool<T::Leg>,
    scratch: Scratch,
    next_sweep: Option<Instant>,
}

impl<T: Tcp> Desk<T> {
    pub(super) fn new(tcp: T) -> Self {
        Self {
            tcp,
            sessions: Vec::new(),
            free: Vec::new(),
            generation: 0,
            timers: Timers::default(),
            again: VecDeque::new(),
            pool: Pool::default(),
            scratch: Scratch::new(),
            next_sweep: None,
        }
    }

    /// A place for a client.
    pub(super) fn place(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.sessions.push(None);
            self.sessions.len() - 1
        })
    }

    /// It is not needed after all.
    pub(super) fn give_back(&mut self, place: usize) {
        self.free.push(place);
    }

    /// A client has connected, and sits at `place`.
    pub(super) fn receive(
        &mut self,
        (served, current): (Arc<Served>, Arc<Current>),
        (place, client, who): (usize, T::Leg, Who),
        talk: Talk,
        (engine, now): (&mut Worker, Instant),
    ) {
        self.generation = self.generation.wrapping_add(1);
        let session = Session {
            generation: self.generation,
            served,
            current,
            talk,
            who,
            client,
            server: None,
            tried: Vec::new(),
            armed: None,
            queued: false,
        };
        self.sessions[place] = Some(Box::new(session));
        self.next_sweep.get_or_insert(now + SWEEP);
        self.drive(place, engine, now);
    }

    /// The connections of the session at `place`.
    pub(super) fn legs(&mut self, place: usize) -> Option<(&mut T::Leg, Option<&mut T::Leg>)> {
        let session = self.sessions.get_mut(place)?.as_mut()?;
        Some((&mut session.client, session.server.as_mut().map(|server| &mut server.leg)))
    }

    /// A connection of the session at `place` has become ready, the server's or the client's.
    pub(super) fn ready(&mut self, place: usize, of_server: bool, engine: &mut Worker, now: Instant) {
        let Some(session) = self.sessions.get(place).and_then(Option::as_ref) else { return };
        if of_server && session.server.as_ref().is_some_and(|server| server.opening.is_some()) {
            self.opened(place, engine, now);
        } else {
            self.drive(place, engine, now);
        }
    }

    /// Has those go on who have been waiting for another turn.
    pub(super) fn take_turns(&mut self, engine: &mut Worker, now: Instant) {
        for _ in 0..self.again.len() {
            if let Some(place) = self.again.pop_front() {
                self.drive(place, engine, now);
            }
        }
    }

    /// When to call [`Self::handle_timeout`], or [`Self::take_turns`].
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if !self.again.is_empty() {
            return Some(now);
        }
        [self.timers.next(), self.next_sweep].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, engine: &mut Worker, now: Instant) {
        while let Some((at, (place, generation))) = self.timers.fire(now) {
            let session = self.sessions.get_mut(place).and_then(Option::as_mut);
            let Some(session) = session.filter(|s| s.generation == generation && s.armed == Some(at)) else {
                continue;
            };
            session.armed = None;
            self.drive(place, engine, now);
        }
        if self.next_sweep.is_some_and(|due| due <= now) {
            self.sweep(now);
            let any = self.free.len() < self.sessions.len() || !self.pool.is_empty();
            self.next_sweep = any.then_some(now + SWEEP);
        }
    }

    /// Ends sessions whose connections somebody has ended.
    fn sweep(&mut self, now: Instant) {
        self.pool.sweep(&mut self.tcp, now);
        for place in 0..self.sessions.len() {
            let ended =
                self.sessions[place].take_if(|session| session.server.as_ref().is_some_and(Server::is_over));
            if let Some(mut session) = ended {
                self.tcp.abort(&mut session.client);
                if let Some(server) = &mut session.server {
                    self.tcp.abort(&mut server.leg);
                }
                self.leave(place, *session);
            }
        }
    }

    /// Has a session do what it can.
    fn drive(&mut self, place: usize, engine: &mut Worker, now: Instant) {
        let Some(session) = self.sessions.get_mut(place).and_then(Option::take) else { return };
        self.go_on(place, session, None, engine, now);
    }

    /// Has a session that was taken out of its place do what it can, and puts it back there unless it has ended. `next`
    /// is what it has said already.
    fn go_on(
        &mut self,
        place: usize,
        mut session: Box<Session<T::Leg>>,
        next: Option<Next>,
        engine: &mut Worker,
        now: Instant,
    ) {
        session.queued = false;
        let ended = self.turn(place, &mut session, next, engine, now);
        if let Some(server) = &mut session.server {
            let (read, written) = self.tcp.take_moved(&mut server.leg);
            for (direction, bytes) in [(Direction::In, written), (Direction::Out, read)] {
                if bytes > 0 {
                    engine.front_moved(&server.conn, direction, bytes, now);
                }
            }
        }
        if let Some(how) = ended {
            if let Some(server) = &session.server {
                engine.front_ended(&server.conn, end_of(how), now);
            }
            return self.leave(place, *session);
        }
        if let Some(deadline) = session.deadline() {
            self.timers.arm((place, session.generation), deadline, &mut session.armed);
        }
        self.sessions[place] = Some(session);
    }

    /// Its end, if that has come.
    fn turn(
        &mut self,
        place: usize,
        session: &mut Session<T::Leg>,
        next: Option<Next>,
        engine: &mut Worker,
        now: Instant,
    ) -> Option<How> {
        let mut next = next.unwrap_or_else(|| session.drive(&mut self.tcp, now, &mut self.scratch));
        loop {
            next = match next {
                Next::Wait => return None,
                Next::Again => {
                    if !std::mem::replace(&mut session.queued, true) {
                        self.again.push_back(place);
                    }
                    return None;
                }
                Next::Ended(how) => return Some(how),
                Next::Connect(wanted) => self.connect(place, session, &wanted, engine, now)?,
                Next::Release(kept) => {
                    self.release(session, kept, engine, now);
                    session.drive(&mut self.tcp, now, &mut self.scratch)
                }
            };
        }
    }

    /// A session is over.
    fn leave(&mut self, place: usize, session: Session<T::Leg>) {
        self.tcp.close(session.client);
        if let Some(server) = session.server {
            self.tcp.close(server.leg);
        }
        self.free.push(place);
    }
}
