//! Connections to servers that nobody has at the moment (HTTP/1.1).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sched::ServiceKey;
use tls::Kept;

use super::leg::HostLeg;

/// Servers close idle connections after a time of their own: nginx after 75 s, Apache after 5. One that is closed while a
/// request is on its way to it costs a client an error, so ours goes first.
const LIFETIME: Duration = Duration::from_secs(4);

/// Idle connections, newest last.
#[derive(Default)]
pub(super) struct Pool(HashMap<(ServiceKey, SocketAddr), Vec<(HostLeg, Kept, Instant)>>);

impl Pool {
    /// Keeps a connection, unless there are `most` already.
    pub(super) fn put(
        &mut self,
        of: (ServiceKey, SocketAddr),
        leg: HostLeg,
        kept: Kept,
        most: u32,
        now: Instant,
    ) {
        let idle = self.0.entry(of).or_default();
        if idle.len() < most as usize {
            idle.push((leg, kept, now));
        }
    }

    /// The one that was used last and that its server has not closed.
    pub(super) fn take(&mut self, of: (ServiceKey, SocketAddr), now: Instant) -> Option<(HostLeg, Kept)> {
        let idle = self.0.get_mut(&of)?;
        while let Some((leg, kept, since)) = idle.pop() {
            if now.saturating_duration_since(since) < LIFETIME && is_silent(&leg) {
                return Some((leg, kept));
            }
        }
        None
    }

    /// Lets those go that are of no use any more.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.0.retain(|_, idle| {
            idle.retain(|(leg, _, since)| now.saturating_duration_since(*since) < LIFETIME && is_silent(leg));
            !idle.is_empty()
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether its server has neither closed it nor said anything unasked.
fn is_silent(leg: &HostLeg) -> bool {
    leg.stream.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}
