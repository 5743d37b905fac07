//! A thread that serves fronts: accept, drive, sleep.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use engine::Worker;
use mio::event::Event;
use mio::{Events, Poll, Token};

use super::Command;
use super::accept::Listening;
use super::tcp::HostTcp;
use crate::front::desk::Desk;

const WAKER: Token = Token(usize::MAX);
/// Tokens from here on are listeners'.
pub(super) const LISTENERS: usize = usize::MAX / 2;

pub(super) struct Thread {
    pub(super) poll: Poll,
    inbox: Receiver<Command>,
    pub(super) engine: Worker,
    pub(super) listening: Vec<Option<Listening>>,
    pub(super) desk: Desk<HostTcp>,
}

impl Thread {
    pub(super) fn new(engine: Worker, inbox: Receiver<Command>) -> std::io::Result<(Self, Arc<mio::Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        let desk = Desk::new(HostTcp::new(poll.registry().try_clone()?));
        Ok((Self { poll, inbox, engine, listening: Vec::new(), desk }, waker))
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
                    Token(token) => self.ready(token / 2, token % 2 == 1, event, now),
                }
            }
            self.desk.take_turns(&mut self.engine, now);
            self.desk.handle_timeout(&mut self.engine, now);
            self.retry(now);
            if self.engine.poll_front_timeout().is_some_and(|due| due <= now) {
                self.engine.handle_front_timeout(now);
            }
        }
    }

    fn timeout(&self, now: Instant) -> Option<Duration> {
        let retries = self.listening.iter().flatten().filter_map(|listening| listening.retry);
        let dues = [self.desk.poll_timeout(now), self.engine.poll_front_timeout()];
        dues.into_iter().flatten().chain(retries).min().map(|due| due.saturating_duration_since(now))
    }

    /// Obeys. Whether it is to stop.
    fn commands(&mut self, now: Instant) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Listen { served, at, kind, listener }) => {
                    self.listen(served, at, kind, listener, now);
                }
                Ok(Command::Close { at, done }) => {
                    self.close(at, now);
                    drop(done);
                }
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return true,
                Err(TryRecvError::Empty) => return false,
            }
        }
    }

    /// A socket of a session has become ready.
    fn ready(&mut self, place: usize, of_server: bool, event: &Event, now: Instant) {
        let Some((client, server)) = self.desk.legs(place) else { return };
        let Some(leg) = (if of_server { server } else { Some(client) }) else { return };
        leg.heed(event);
        self.desk.ready(place, of_server, &mut self.engine, now);
    }
}
