//! A thread that serves fronts: accept, drive, sleep.

mod accept;
mod connect;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use engine::Worker;
use mio::{Events, Interest, Poll, Token};
use sched::Direction;
use tls::{Next, Scratch};

use self::accept::Listening;
use super::Command;
use super::pool::Pool;
use super::session::{Session, end_of};
use super::timers::Timers;

const WAKER: Token = Token(usize::MAX);
/// Tokens from here down are listeners.
const LISTENERS: usize = usize::MAX / 2;
/// How often sessions are looked through for those that the control plane has ended, while there are any.
const SWEEP: Duration = Duration::from_secs(1);

pub(super) struct Thread {
    poll: Poll,
    inbox: Receiver<Command>,
    engine: Worker,
    listening: Vec<Option<Listening>>,
    sessions: Vec<Option<Box<Session>>>,
    free: Vec<usize>,
    generation: u32,
    timers: Timers,
    /// Those who have had their turn and want another one.
    again: VecDeque<usize>,
    pool: Pool,
    scratch: Scratch,
    next_sweep: Instant,
}

impl Thread {
    pub(super) fn new(engine: Worker, inbox: Receiver<Command>) -> std::io::Result<(Self, Arc<mio::Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        let thread = Self {
            poll,
            inbox,
            engine,
            listening: Vec::new(),
            sessions: Vec::new(),
            free: Vec::new(),
            generation: 0,
            timers: Timers::default(),
            again: VecDeque::new(),
            pool: Pool::default(),
            scratch: Scratch::new(),
            next_sweep: Instant::now() + SWEEP,
        };
        Ok((thread, waker))
    }

    /// Until it is told to stop.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        loop {
            let timeout = self.timeout(Instant::now());
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "cannot wait for clients; this thread of fronts ends");
                    return;
                }
            }
            let now = Instant::now();
            for event in &events {
                match event.token() {
                    WAKER => {
                        if self.commands(now) {
                            return;
                        }
                    }
                    Token(token) if token >= LISTENERS => self.accept(token - LISTENERS, now),
                    Token(token) => {
                        let ended = event.is_read_closed() || event.is_error();
                        let (readable, writable) =
                            (event.is_readable() || ended, event.is_writable() || ended);
                        self.ready(token / 2, token % 2 == 1, readable, writable, now);
                    }
                }
            }
            for _ in 0..self.again.len() {
                if let Some(at) = self.again.pop_front() {
                    self.drive(at, now);
                }
            }
            self.timeouts(now);
        }
    }

    fn timeout(&self, now: Instant) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let busy = self.free.len() < self.sessions.len() || !self.pool.is_empty();
        let sweep = busy.then_some(self.next_sweep);
        let retries = self.listening.iter().flatten().filter_map(|listening| listening.retry);
        let dues = [self.timers.next(), self.engine.poll_front_timeout(), sweep];
        dues.into_iter().flatten().chain(retries).min().map(|due| due.saturating_duration_since(now))
    }

    fn timeouts(&mut self, now: Instant) {
        while let Some((at, (place, generation))) = self.timers.fire(now) {
            let session = self.sessions.get_mut(place).and_then(Option::as_mut);
            let Some(session) = session.filter(|s| s.generation == generation && s.armed == Some(at)) else {
                continue;
            };
            session.armed = None;
            self.drive(place, now);
        }
        for at in 0..self.listening.len() {
            if self.listening[at].as_ref().is_some_and(|l| l.retry.is_some_and(|retry| retry <= now)) {
                self.accept(at, now);
            }
        }
        if self.engine.poll_front_timeout().is_some_and(|due| due <= now) {
            self.engine.handle_front_timeout(now);
        }
        if self.next_sweep <= now {
            self.next_sweep = now + SWEEP;
            self.sweep(now);
        }
    }

    /// Ends sessions whose connections somebody has ended.
    fn sweep(&mut self, now: Instant) {
        self.pool.sweep(now);
        for at in 0..self.sessions.len() {
            let session = self.sessions[at].as_mut();
            let is_over =
                |s: &&mut Box<Session>| s.server.as_ref().is_some_and(|server| server.conn.is_over());
            if let Some(session) = session.filter(is_over) {
                tls::Leg::abort(&mut session.client);
                if let Some(server) = &mut session.server {
                    tls::Leg::abort(&mut server.leg);
                }
                self.forget(at);
            }
        }
    }

    /// Obeys. Whether it is to stop.
    fn commands(&mut self, now: Instant) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Listen { served, at, kind, listener }) => {
                    self.listen(served, at, kind, listener, now)
                }
                Ok(Command::Close { at }) => self.close(at),
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return true,
                Err(TryRecvError::Empty) => return false,
            }
        }
    }

    /// A socket of a session has become ready.
    fn ready(&mut self, at: usize, of_server: bool, readable: bool, writable: bool, now: Instant) {
        let Some(session) = self.sessions.get_mut(at).and_then(Option::as_mut) else { return };
        let leg =
            if of_server { session.server.as_mut().map(|s| &mut s.leg) } else { Some(&mut session.client) };
        let Some(leg) = leg else { return };
        leg.readable |= readable;
        leg.writable |= writable;
        if of_server && session.server.as_ref().is_some_and(|server| server.opening.is_some()) {
            if writable {
                self.opened(at, now);
            }
            return;
        }
        self.drive(at, now);
    }

    /// Has a session do what it can.
    fn drive(&mut self, at: usize, now: Instant) {
        let Some(mut session) = self.sessions.get_mut(at).and_then(Option::take) else { return };
        session.queued = false;
        self.go_on(at, session, None, now);
    }

    /// Has a session that was taken out of its place do what it can, and puts it back there unless it has ended. `next`
    /// is what it has said already.
    fn go_on(&mut self, at: usize, mut session: Box<Session>, next: Option<Next>, now: Instant) {
        let ended = self.turn(at, &mut session, next, now);
        if let Some(server) = &mut session.server {
            let (read, written) = server.leg.take_moved();
            for (direction, bytes) in [(Direction::In, written), (Direction::Out, read)] {
                if bytes > 0 {
                    self.engine.front_moved(&server.conn, direction, bytes, now);
                }
            }
        }
        let deadline = session.deadline();
        if let Some(how) = ended {
            if let Some(server) = &session.server {
                self.engine.front_ended(&server.conn, end_of(how), now);
            }
            self.free.push(at);
            return;
        }
        if let Some(deadline) = deadline {
            self.timers.arm((at, session.generation), deadline, &mut session.armed);
        }
        self.sessions[at] = Some(session);
    }

    /// Its end, if that has come.
    fn turn(
        &mut self,
        at: usize,
        session: &mut Session,
        next: Option<Next>,
        now: Instant,
    ) -> Option<tls::How> {
        let mut next = next.unwrap_or_else(|| session.drive(now, &mut self.scratch));
        loop {
            next = match next {
                Next::Wait => return None,
                Next::Again => {
                    if !std::mem::replace(&mut session.queued, true) {
                        self.again.push_back(at);
                    }
                    return None;
                }
                Next::Ended(how) => return Some(how),
                Next::Connect(wanted) => self.connect(at, session, &wanted, now)?,
                Next::Release(kept) => {
                    self.release(session, kept, now);
                    session.drive(now, &mut self.scratch)
                }
            };
        }
    }

    fn forget(&mut self, at: usize) {
        self.sessions[at] = None;
        self.free.push(at);
    }

    fn register(&self, stream: &mut mio::net::TcpStream, at: usize, of_server: bool) -> std::io::Result<()> {
        let token = Token(at * 2 + usize::from(of_server));
        self.poll.registry().register(stream, token, Interest::READABLE | Interest::WRITABLE)
    }
}
