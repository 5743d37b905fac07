//! Persistence: a [`Template`] remembers which server a client had. While it lives, each connection that the client
//! begins becomes a member of it and goes to that server, whatever the scheduler, the weight or the thresholds say.
//!
//! Its timer starts anew with each new member, not with their packets. It holds the time that was configured when
//! the template was made; where its members outlive it, it goes on for as long again (IPVS: for 60 seconds, now and
//! ever after; [`crate::Knobs::template_decay`]).

mod key;
pub(crate) mod sip;
mod table;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use sched::{DestLive, ForwardMethod};

pub(crate) use key::{Client, TemplateKey};
pub(crate) use table::{Inserted, Templates};

use crate::conn::{Millis, Timed, Timer};

/// What a template's time drops to in IPVS once its members have outlived it.
const DECAYED_MS: Millis = 60_000;

/// Set in the number of members once it has ended: nobody can join it any more.
const GONE: u32 = 1 << 31;

/// Where a client goes.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) key: TemplateKey,
    pub(crate) dest: Arc<DestLive>,
    /// The server as a listing shows it: with port 0 where its members have various.
    pub(crate) server: SocketAddr,
    pub(crate) method: ForwardMethod,
    timer: Timer,
    timeout: AtomicU64,
    /// Connections that live, with [`GONE`].
    members: AtomicU32,
    assured: AtomicBool,
}

impl Template {
    /// One without members. Its server counts it.
    pub(crate) fn new(
        key: TemplateKey,
        dest: Arc<DestLive>,
        server: SocketAddr,
        method: ForwardMethod,
        timeout: Millis,
        now: Millis,
    ) -> Self {
        dest.persistent.fetch_add(1, Relaxed);
        dest.update_overload();
        Self {
            key,
            dest,
            server,
            method,
            timer: Timer::new(now + timeout),
            timeout: AtomicU64::new(timeout),
            members: AtomicU32::new(0),
            assured: AtomicBool::new(false),
        }
    }

    /// One like it, for the same client and this server.
    pub(crate) fn copied(&self, dest: Arc<DestLive>) -> Self {
        let timer = self.timer.copied();
        let (timeout, members) = (self.timeout.load(Relaxed).into(), self.members.load(Relaxed).into());
        let assured = self.is_assured().into();
        let (key, server, method) = (self.key.clone(), self.server, self.method);
        Self { key, dest, server, method, timer, timeout, members, assured }
    }

    /// Milliseconds until it is forgotten.
    pub(crate) fn left(&self, now: Millis) -> Millis {
        self.timer.deadline().saturating_sub(now)
    }

    /// A connection begins: the timer starts again. False where the template has ended meanwhile.
    #[must_use]
    pub(crate) fn join(&self, now: Millis) -> bool {
        let one_more = |members| (members & GONE == 0).then_some(members + 1);
        let joined = self.members.fetch_update(Relaxed, Relaxed, one_more).is_ok();
        if joined {
            self.timer.set(now + self.timeout.load(Relaxed));
        }
        joined
    }

    /// A member ends.
    pub(crate) fn leave(&self) {
        self.members.fetch_sub(1, Relaxed);
    }

    pub(crate) fn has_members(&self) -> bool {
        self.members.load(Relaxed) & !GONE != 0
    }

    /// The client is real: it has shaken hands with the server, or got an answer.
    pub(crate) fn assure(&self) {
        if !self.is_assured() {
            self.assured.store(true, Relaxed);
        }
    }

    pub(crate) fn is_assured(&self) -> bool {
        self.assured.load(Relaxed)
    }

    /// Its time is over: it ends, for the one caller who gets true, or goes on where it has members.
    fn expire(&self, now: Millis, decay: bool) -> bool {
        if self.members.compare_exchange(0, GONE, Relaxed, Relaxed).is_ok() {
            self.uncount();
            return true;
        }
        if decay {
            self.timeout.store(DECAYED_MS, Relaxed);
        }
        let (timeout, deadline) = (self.timeout.load(Relaxed), self.timer.deadline());
        let periods = now.saturating_sub(deadline) / timeout + 1;
        self.timer.set(deadline + periods * timeout);
        false
    }

    /// Ends it, whoever its members are; true for the one caller that did.
    fn retire(&self) -> bool {
        let ended = self.members.fetch_or(GONE, Relaxed) & GONE == 0;
        if ended {
            self.uncount();
        }
        ended
    }

    fn uncount(&self) {
        self.dest.persistent.fetch_sub(1, Relaxed);
        self.dest.update_overload();
    }
}

impl Timed for Template {
    fn deadline(&self, _: Millis) -> Millis {
        self.timer.deadline()
    }

    fn armed(&self) -> u64 {
        self.timer.armed()
    }

    fn rearm(&self, from: u64, to: u64) -> bool {
        self.timer.rearm(from, to)
    }

    fn is_gone(&self) -> bool {
        self.members.load(Relaxed) & GONE != 0
    }
}
