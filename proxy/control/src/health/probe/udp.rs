//! A datagram. Without a reply that is wanted, only an ICMP error is a failure, and it takes all of the timeout to know
//! that none came, unless a reply does. A reply that is wanted is judged as keepalived does: its length, then as many bytes
//! as both it and the pattern have.

use sched::UdpCheck;

use super::asking::Asking;
use super::words;

#[derive(Debug)]
pub(super) struct Ready(UdpCheck);

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
        Ok(Self(check.clone()))
    }

    pub(super) async fn ask(&self, asking: &Asking<'_>) -> Result<(), String> {
        let socket = asking.datagrams()?;
        socket.send(&self.0.payload).await.map_err(|e| asking.error(&e))?;
        // As much as is looked at; what is cut is longer than that, which is all that has to be known.
        let UdpCheck { reply, min_reply, max_reply, .. } = &self.0;
        let room = reply.len().max(usize::from(*min_reply)).max(usize::from(*max_reply) + 1);
        let mut buffer = vec![0; room];
        let received = if self.0.require_reply {
            socket.recv(&mut buffer).await
        } else {
            match asking.before_the_end(socket.recv(&mut buffer)).await {
                Some(received) => received,
                None => return Ok(()),
            }
        };
        let length = received.map_err(|e| words::io(&e))?;
        self.judge(&buffer[..length])
    }

    fn judge(&self, got: &[u8]) -> Result<(), String> {
        let UdpCheck { require_reply, reply, min_reply, max_reply, .. } = &self.0;
        if !require_reply {
            return Ok(());
        }
        let bytes = |n: usize| format!("{n} byte{}", if n == 1 { "" } else { "s" });
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
