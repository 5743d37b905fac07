//! The server's end of a session: plain, or TLS again.

use std::io::{self, BufRead, ErrorKind, Write};

use rustls::client::ClientConnection;

use super::{
    next::{Kept, Opened},
    terms::Backend,
    turn::{Held, try_io},
};
use crate::leg::Leg;

/// What reading from a server gave.
pub(super) enum Got {
    /// Nothing yet.
    Nothing,
    /// Something, and what was in it has been handed over.
    Some,
    /// Its end, and whether the server said so: with TLS, a connection that just closes may have been cut.
    End { said: bool },
}

/// A server that has taken the connection.
pub(super) struct Server {
    /// Goes before everything, in clear.
    preface: Held,
    /// Goes to one client's server only.
    prefaced: bool,
    tls: Option<Box<ClientConnection>>,
    /// It has served others before.
    pub(super) reused: bool,
    /// It has answered this client before.
    pub(super) known: bool,
    /// The end of this direction was said.
    ended: bool,
}

impl Server {
    pub(super) fn new(opened: Opened, backend: Option<&Backend>) -> Result<Self, rustls::Error> {
        Ok(match opened {
            Opened::Kept(Kept(tls)) => Self {
                preface: Held::default(),
                prefaced: false,
                tls,
                reused: true,
                known: false,
                ended: false,
            },
            Opened::New { preface, server } => {
                let name = |b: &Backend| b.name.clone().unwrap_or_else(|| server.into());
                let tls = backend
                    .map(|b| ClientConnection::new(b.config.clone(), name(b)).map(Box::new))
                    .transpose()?;
                let tls = tls.map(|mut tls| {
                    tls.set_buffer_limit(None);
                    tls
                });
                Self {
                    prefaced: !preface.is_empty(),
                    preface: Held::new(preface),
                    tls,
                    reused: false,
                    known: false,
                    ended: false,
                }
            }
        })
    }

    /// Whether its handshake is to come yet. There is none without TLS.
    pub(super) fn handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Writes what waits: `true` when nothing does any more.
    pub(super) fn flush(&mut self, leg: &mut dyn Leg) -> io::Result<bool> {
        while !self.preface.is_empty() {
            match try_io(|| leg.write(self.preface.rest()))? {
                None | Some(0) => return Ok(false),
                Some(n) => self.preface.advance(n),
            }
        }
        let Some(tls) = &mut self.tls else { return Ok(true) };
        while tls.wants_write() {
            if let None | Some(0) = try_io(|| tls.write_tls(leg))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes `bytes`, as many as the server takes.
    pub(super) fn write(&mut self, leg: &mut dyn Leg, bytes: &[u8]) -> io::Result<usize> {
        if !self.flush(leg)? || self.handshaking() {
            return Ok(0);
        }
        let Some(tls) = &mut self.tls else {
            return Ok(try_io(|| leg.write(bytes))?.unwrap_or(0));
        };
        tls.writer().write_all(bytes)?;
        self.flush(leg)?;
        Ok(bytes.len())
    }

    /// Reads once, and hands over to `pass` what that gave in plain.
    pub(super) fn read(
        &mut self,
        leg: &mut dyn Leg,
        buffer: &mut [u8],
        pass: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Got> {
        let Some(n) = try_io(|| leg.read(buffer))? else { return Ok(Got::Nothing) };
        let Some(tls) = &mut self.tls else {
            if n == 0 {
                return Ok(Got::End { said: true });
            }
            pass(&buffer[..n]);
            return Ok(Got::Some);
        };
        if n == 0 {
            return Ok(Got::End { said: false });
        }
        let mut rest = &buffer[..n];
        while !rest.is_empty() {
            tls.read_tls(&mut rest)?;
            let state = tls.process_new_packets().map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
            let mut reader = tls.reader();
            while let Ok(chunk @ [_, ..]) = reader.fill_buf() {
                pass(chunk);
                let len = chunk.len();
                reader.consume(len);
            }
            if state.peer_has_closed() {
                return Ok(Got::End { said: true });
            }
        }
        Ok(Got::Some)
    }

    /// Says the end of this direction, once, after all that was written.
    pub(super) fn end(&mut self, leg: &mut dyn Leg) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        if self.flush(leg)? {
            self.ended = true;
            leg.shutdown();
        }
        Ok(self.ended)
    }

    /// Whether another client may have it.
    pub(super) const fn reusable(&self) -> bool {
        !self.prefaced && !self.ended
    }

    pub(super) fn keep(self) -> Kept {
        Kept(self.tls)
    }

    /// Bytes that wait for the server.
    pub(super) fn buffered(&mut self) -> usize {
        let tls = self.tls.as_mut().and_then(|tls| tls.process_new_packets().ok());
        self.preface.len() + tls.map_or(0, |io| io.tls_bytes_to_write() + io.plaintext_bytes_to_read())
    }
}
