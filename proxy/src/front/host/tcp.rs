//! The host's TCP.

use std::io;

use engine::{FrontConn, FrontWay};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use sched::TlsFront;
use tls::{Leg, Next};

use super::leg::HostLeg;
use crate::front::tcp::{Tcp, Work};

/// Sockets, and who waits for them.
pub(in crate::front) struct HostTcp {
    registry: Registry,
}

impl HostTcp {
    pub(in crate::front) const fn new(registry: Registry) -> Self {
        Self { registry }
    }

    /// A socket of the session at `place`.
    pub(super) fn register(&self, stream: &mut TcpStream, place: usize, of_server: bool) -> io::Result<()> {
        let token = Token(place * 2 + usize::from(of_server));
        self.registry.register(stream, token, Interest::READABLE | Interest::WRITABLE)
    }
}

impl Tcp for HostTcp {
    type Leg = HostLeg;

    fn way(&self, _front: &TlsFront) -> FrontWay {
        FrontWay::Kernel
    }

    fn lend(&mut self, client: &mut HostLeg, server: Option<&mut HostLeg>, work: &mut Work<'_>) -> Next {
        work(client, server.map(|leg| leg as _))
    }

    fn connect(&mut self, place: usize, conn: &FrontConn) -> io::Result<HostLeg> {
        let stream = TcpStream::from_std(netio::front::connect(conn.server())?);
        let mut leg = HostLeg::new(stream, false);
        self.register(&mut leg.stream, place, true)?;
        Ok(leg)
    }

    fn opened(&mut self, leg: &mut HostLeg) -> io::Result<bool> {
        if let Some(error) = leg.stream.take_error()? {
            return Err(error);
        }
        let complete = leg.writable && leg.stream.peer_addr().is_ok();
        leg.readable |= complete;
        Ok(complete)
    }

    fn abort(&mut self, leg: &mut HostLeg) {
        leg.abort();
    }

    fn close(&mut self, leg: HostLeg) {
        drop(leg);
    }

    fn take_moved(&mut self, leg: &mut HostLeg) -> (u64, u64) {
        leg.take_moved()
    }

    fn park(&mut self, leg: &mut HostLeg) -> bool {
        self.registry.deregister(&mut leg.stream).is_ok()
    }

    fn unpark(&mut self, leg: &mut HostLeg, place: usize) -> bool {
        (leg.readable, leg.writable) = (true, true);
        self.register(&mut leg.stream, place, true).is_ok()
    }

    fn is_silent(&mut self, leg: &mut HostLeg) -> bool {
        let nothing = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        leg.stream.peek(&mut [0]).is_err_and(nothing)
    }
}

/// Has a client told that something is wrong, before anything was said.
pub(super) fn turn_away(stream: &TcpStream) {
    // Fails only where the client has gone.
    let _ = netio::front::reset(stream);
}
