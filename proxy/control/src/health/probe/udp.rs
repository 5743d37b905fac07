//! A datagram. Without a reply that is wanted, only an ICMP error is a failure, and it takes all of the timeout to know
//! that none came, unless a reply does. A reply that is wanted is judged as keepalived does: its length, then as many bytes
//! as both it and the pattern have.
//!
//! A host says once a second at most that nobody is at a port (Linux's `icmp_ratelimit`), to all who ask it together. After
//! an error silence is therefore no sign of life for a while: one that is asked often would come and go. Where several dead
//! ports of one host are asked so often that one of them is never told of, only a reply that is required helps.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sched::{DestKey, UdpCheck, counted};
use tokio::time::Instant;

use super::asking::Asking;
use super::words;

/// For so long an error outlasts silence of a server that is taken for alive: a little more than hosts wait between two.
const BRIEFLY: Duration = Duration::from_millis(1_500);
/// And of one that is taken for dead, which may have to share what its host says with other checks.
const AT_LENGTH: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Ready {
    check: UdpCheck,
    refused: Refused,
}

/// When servers refused, of those that did last.
#[derive(Debug, Default)]
struct Refused(Mutex<HashMap<DestKey, Instant>>);

impl Refused {
    fn all(&self) -> MutexGuard<'_, HashMap<DestKey, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, server: DestKey, now: Instant) {
        self.all().insert(server, now);
    }

    fn forget(&self, server: DestKey) {
        self.all().remove(&server);
    }

    /// How long ago that was, if it still counts.
    fn lately(&self, server: DestKey, up: bool, now: Instant) -> Option<Duration> {
        let mut all = self.all();
        let ago = now.saturating_duration_since(*all.get(&server)?);
        let counts = ago < if up { BRIEFLY } else { AT_LENGTH };
        if !counts {
            all.remove(&server);
        }
        counts.then_some(ago)
    }
}

impl Ready {
    pub(super) fn new(check: &UdpCheck) -> Result<Self, String> {
        let UdpCheck { payload, require_reply, reply, min_reply, max_reply } = check;
        if payload.len() > 65_507 {
            return Err(format!("a datagram has 65507 bytes at most, and the payload has {}", payload.len()));
        }
        let any = reply.is_empty() && *min_reply == 0 && *max_reply == 0;
        if !(*require_reply || any) {
            return Err("it says what the reply has to be, but requires none: set `require_reply`".into());
        }
        if *max_reply != 0 && max_reply < min_reply {
            return Err(format!("no reply has {min_reply} bytes at least and {max_reply} at most"));
        }
        Ok(Self { check: check.clone(), refused: Refused::default() })
    }

    pub(super) async fn ask(&self, asking: &Asking<'_>) -> Result<(), String> {
        let socket = asking.datagrams()?;
        socket.send(&self.check.payload).await.map_err(|e| asking.error(&e))?;
        // As much as is looked at; what is cut is longer than that, which is all that has to be known.
        let UdpCheck { reply, min_reply, max_reply, .. } = &self.check;
        let room = reply.len().max(usize::from(*min_reply)).max(usize::from(*max_reply) + 1);
        let mut buffer = vec![0; room];
        if self.check.require_reply {
            let length = socket.recv(&mut buffer).await.map_err(|e| words::io(&e))?;
            return self.judge(&buffer[..length]);
        }
        let (server, up) = (asking.target.dest, asking.target.up);
        match asking.before_the_end(socket.recv(&mut buffer)).await {
            Some(Ok(_)) => {
                self.refused.forget(server);
                Ok(())
            }
            Some(Err(e)) => {
                if e.kind() == io::ErrorKind::ConnectionRefused {
                    self.refused.note(server, Instant::now());
                }
                Err(words::io(&e))
            }
            None => self.refused.lately(server, up, Instant::now()).map_or(Ok(()), |ago| {
                let ago = words::time(Duration::from_millis(ago.as_millis() as u64 / 100 * 100));
                Err(format!("connection refused {ago} ago, after which silence is no sign of life yet"))
            }),
        }
    }

    fn judge(&self, got: &[u8]) -> Result<(), String> {
        let UdpCheck { reply, min_reply, max_reply, .. } = &self.check;
        let bytes = |n: usize| counted(n, "byte");
        if got.len() < usize::from(*min_reply) {
            return Err(format!(
                "the reply has {}, where {min_reply} at least were expected",
                bytes(got.len())
            ));
        }
        if *max_reply != 0 && got.len() > usize::from(*max_reply) {
            return Err(format!("the reply is longer than {}", bytes((*max_reply).into())));
        }
        let wrong = reply.iter().zip(got).position(|(want, got)| want.is_some_and(|want| want != *got));
        match wrong.map(|at| (at, reply[at], got[at])) {
            Some((at, Some(want), got)) => {
                Err(format!("byte {} of the reply is {got:02x}, where {want:02x} was expected", at + 1))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
