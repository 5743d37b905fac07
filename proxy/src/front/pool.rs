//! Connections to servers that nobody has at the moment (HTTP/1.1).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use engine::FrontConn;
use sched::ServiceKey;
use tls::Kept;

use super::tcp::Tcp;

/// Servers close idle connections after a time of their own: nginx after 75 s, Apache after 5. One that is closed while a
/// request is on its way to it costs a client an error, so ours goes first.
const LIFETIME: Duration = Duration::from_secs(4);

/// Which servers' connections.
pub(super) type Of = (ServiceKey, SocketAddr);

pub(super) struct Idle<L> {
    pub(super) leg: L,
    pub(super) kept: Kept,
    /// By which its packets come, where the engine has to know.
    pub(super) carrier: Option<FrontConn>,
    pub(super) since: Instant,
}

impl<L> Idle<L> {
    /// Whether it is young enough, and nobody has ended it.
    fn is_of_use(&mut self, tcp: &mut impl Tcp<Leg = L>, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < LIFETIME
            && !self.carrier.as_ref().is_some_and(FrontConn::is_over)
            && tcp.is_silent(&mut self.leg)
    }
}

/// Idle connections, newest last.
pub(super) struct Pool<L>(HashMap<Of, Vec<Idle<L>>>);

impl<L> Default for Pool<L> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<L> Pool<L> {
    /// Keeps a connection, unless there are `most` already: then it comes back.
    pub(super) fn put(&mut self, of: Of, one: Idle<L>, most: u32) -> Option<Idle<L>> {
        let idle = self.0.entry(of).or_default();
        if idle.len() >= most as usize {
            return Some(one);
        }
        idle.push(one);
        None
    }

    /// The one that was used last and that its server has not closed.
    pub(super) fn take(&mut self, of: Of, tcp: &mut impl Tcp<Leg = L>, now: Instant) -> Option<Idle<L>> {
        let idle = self.0.get_mut(&of)?;
        while let Some(mut one) = idle.pop() {
            if one.is_of_use(tcp, now) {
                return Some(one);
            }
            tcp.close(one.leg);
        }
        None
    }

    /// Lets those go that are of no use any more.
    pub(super) fn sweep(&mut self, tcp: &mut impl Tcp<Leg = L>, now: Instant) {
        self.0.retain(|_, idle| {
            let useless: Vec<_> = idle.extract_if(.., |one| !one.is_of_use(tcp, now)).collect();
            useless.into_iter().for_each(|one| tcp.close(one.leg));
            !idle.is_empty()
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
