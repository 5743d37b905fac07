//! From the server to the client.
//!
//! The server is read only when the client has taken all that was written for it: what waits is never more than one
//! buffer, encrypted.

use std::io::Write;

use super::{
    next::How,
    server::Got,
    session::{Finish, Session, Way},
    turn::{Turn, try_io},
};
use crate::http::{Ended, Status};

/// Why a server's leg is of no use.
pub(super) enum Down {
    /// The session is to end.
    Finish(Finish),
    /// The server has refused, or has not answered and another may: look for one.
    Refused,
}

impl From<Finish> for Down {
    fn from(finish: Finish) -> Self {
        Self::Finish(finish)
    }
}

impl Session {
    /// Moves what can be moved; whether anything was.
    pub(super) fn down(&mut self, turn: &mut Turn<'_>, outward: &mut [u8]) -> Result<bool, Down> {
        let mut moved = false;
        loop {
            while self.tls.wants_write() {
                match try_io(|| self.tls.write_tls(turn.client)) {
                    Ok(None | Some(0)) => return Ok(moved),
                    Ok(Some(_)) => moved = true,
                    Err(_) => return Err(Finish::Abruptly(How::ClientGone).into()),
                }
            }
            if self.server_end {
                if !std::mem::replace(&mut self.told, true) {
                    turn.client.shutdown();
                    moved = true;
                }
                return Ok(moved);
            }
            match self.gather(turn, outward)? {
                true => moved = true,
                false => return Ok(moved),
            }
            if self.http.as_ref().is_some_and(|http| http.is_last_complete()) {
                // The end goes with it.
                return Ok(true);
            }
        }
    }

    /// Reads what the server has said, up to one buffer, so that what came in pieces goes on in one, the end with what
    /// came before it.
    fn gather(&mut self, turn: &mut Turn<'_>, outward: &mut [u8]) -> Result<bool, Down> {
        let before = turn.down;
        let mut any = false;
        while !self.server_end && !turn.spent() {
            let room = outward.len().saturating_sub(turn.down - before);
            if room == 0 {
                break;
            }
            match self.fetch(turn, &mut outward[..room]) {
                Ok(true) => any = true,
                Ok(false) => break,
                Err(end) => {
                    if any && let Down::Finish(Finish::Abruptly(_)) = end {
                        // Something is missing behind it, but not before. If it is not taken, it is lost too.
                        let _ = try_io(|| self.tls.write_tls(turn.client));
                    }
                    return Err(end);
                }
            }
        }
        Ok(any)
    }

    /// Reads the server once.
    fn fetch(&mut self, turn: &mut Turn<'_>, outward: &mut [u8]) -> Result<bool, Down> {
        let (Way::Open(server), Some(leg)) = (&mut self.way, turn.server.as_deref_mut()) else {
            return Ok(false);
        };
        if server.flush(leg).is_err() {
            self.deaf = true;
        }
        let shaking = server.handshaking();
        let (tls, http) = (&mut self.tls, &mut self.http);
        let (mut plain, mut wrong) = (0, None);
        // Without a limit a session that works takes everything; whether it works shows in `up`.
        let mut to_client = |bytes: &[u8]| {
            let _ = tls.writer().write_all(bytes);
        };
        let got = server.read(leg, outward, &mut |bytes| {
            plain += bytes.len();
            match http {
                None => to_client(bytes),
                Some(http) if wrong.is_none() => wrong = http.scan_response(bytes, &mut to_client).err(),
                Some(_) => {}
            }
        });
        turn.down += plain;
        if let Some(status) = wrong {
            return Err(match http {
                // What nobody has asked for. The client has all that it has asked for.
                Some(http) if http.server_ended() == Ended::Whole => Finish::Politely(How::ServerGone),
                _ => self.unserved(status, How::ServerGone),
            }
            .into());
        }
        match got {
            Ok(Got::Nothing) => Ok(false),
            Ok(Got::Some) => Ok(true),
            Ok(Got::End { .. }) | Err(_) if shaking => Err(Down::Refused),
            Ok(Got::End { said }) => self.server_ended(said),
            Err(_) => Err(self.lost()),
        }
    }

    /// The server has said its end, or, with TLS, has just closed.
    fn server_ended(&mut self, said: bool) -> Result<bool, Down> {
        let Some(http) = &self.http else {
            if !said || self.deaf {
                return Err(Finish::Abruptly(How::ServerGone).into());
            }
            self.close_down();
            return Ok(true);
        };
        match http.server_ended() {
            Ended::Unanswered => Err(self.lost()),
            Ended::Whole if http.quiet() => Err(Finish::Politely(How::Closed).into()),
            Ended::Cut => Err(Finish::Abruptly(How::ServerGone).into()),
            Ended::Whole if !said || (http.tunnel() && self.deaf) => {
                Err(Finish::Abruptly(How::ServerGone).into())
            }
            Ended::Whole if http.tunnel() => {
                self.close_down();
                Ok(true)
            }
            Ended::Whole => Err(Finish::Politely(How::Closed).into()),
        }
    }

    fn close_down(&mut self) {
        self.server_end = true;
        self.tls.send_close_notify();
    }

    /// The server is lost. Servers close old legs as they like, which is no failure: a request that such a one has not
    /// begun to answer may be asked again, by us where the leg was another client's, by the client where it was its own
    /// (RFC 9110, 9.2.2; it must not see an answer for that).
    fn lost(&mut self) -> Down {
        let known = matches!(&self.way, Way::Open(server) if server.known);
        if known && self.http.as_ref().is_some_and(|http| http.server_ended() == Ended::Unanswered) {
            return Finish::Politely(How::ServerGone).into();
        }
        let reused = matches!(&self.way, Way::Open(server) if server.reused);
        if reused && !self.again.is_empty() && self.http.as_ref().is_some_and(|http| http.repeatable()) {
            self.owed = super::turn::Held::new(std::mem::take(&mut self.again));
            self.deaf = false;
            self.tried = 0;
            return Down::Refused;
        }
        self.unserved(Status::BadGateway, How::ServerGone).into()
    }
}
