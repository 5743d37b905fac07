//! Connections to servers that nobody has at the moment (HTTP/1.1).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sched::ServiceKey;
use tls::Kept;

use super::tcp::Tcp;

/// Servers close idle connections after a time of their own: nginx after 75 s, Apache after 5. One that is closed while a
/// request is on its way to it costs a client an error, so ours goes first.
const LIFETIME: Duration = Duration::from_secs(4);

/// Which servers' connections.
pub(super) type Of = (ServiceKey, SocketAddr);

struct Idle<L> {
    leg: L,
    kept: Kept,
    since: Instant,
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
    pub(super) fn put(&mut self, of: Of, leg: L, kept: Kept, most: u32, now: Instant) -> Option<L> {
        let idle = self.0.entry(of).or_default();
        if idle.len() >= most as usize {
            return Some(leg);
        }
        idle.push(Idle { leg, kept, since: now });
        None
    }

    /// The one that was used last and that its server has not closed.
    pub(super) fn take(&mut self, of: Of, tcp: &mut impl Tcp<Leg = L>, now: Instant) -> Option<(L, Kept)> {
        let idle = self.0.get_mut(&of)?;
        while let Some(Idle { mut leg, kept, since }) = idle.pop() {
            if now.saturating_duration_since(since) < LIFETIME && tcp.is_silent(&mut leg) {
                return Some((leg, kept));
            }
            tcp.close(leg);
        }
        None
    }

    /// Lets those go that are of no use any more.
    pub(super) fn sweep(&mut self, tcp: &mut impl Tcp<Leg = L>, now: Instant) {
        self.0.retain(|_, idle| {
            let mut of_use = |one: &mut Idle<L>| {
                now.saturating_duration_since(one.since) < LIFETIME && tcp.is_silent(&mut one.leg)
            };
            let useless: Vec<_> = idle.extract_if(.., |one| !of_use(one)).collect();
            useless.into_iter().for_each(|one| tcp.close(one.leg));
            !idle.is_empty()
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
