//! The seam between sessions and the TCP that they are served by.

use std::io;

use engine::{FrontConn, FrontWay};
use sched::TlsFront;
use tls::{Leg, Next};

/// What is done with the legs of a session, the client's and the server's.
pub(super) type Work<'a> = dyn FnMut(&mut dyn Leg, Option<&mut dyn Leg>) -> Next + 'a;

/// A TCP with connections of clients and to servers. Everything about them that is not the same for each is here.
pub(super) trait Tcp {
    /// One connection.
    type Leg;

    /// How the engine is to keep a front's connections.
    fn way(&self, front: &TlsFront) -> FrontWay;

    /// Lends the legs of a session to `work`.
    fn lend(&mut self, client: &mut Self::Leg, server: Option<&mut Self::Leg>, work: &mut Work<'_>) -> Next;

    /// Begins a connection to the server that was chosen, for the session at `place`.
    fn connect(&mut self, place: usize, conn: &FrontConn) -> io::Result<Self::Leg>;

    /// How a connection that was begun stands: complete, or failed; not yet.
    fn opened(&mut self, leg: &mut Self::Leg) -> io::Result<bool>;

    /// Both ends learn that something is wrong.
    fn abort(&mut self, leg: &mut Self::Leg);

    /// Nobody needs it any more.
    fn close(&mut self, leg: Self::Leg);

    /// Bytes read and written since the last time, where the engine does not see the packets.
    fn take_moved(&mut self, leg: &mut Self::Leg) -> (u64, u64);

    /// It belongs to no session for a while. Whether that can be.
    fn park(&mut self, leg: &mut Self::Leg) -> bool;

    /// It belongs to the session at `place`. Whether that can be.
    fn unpark(&mut self, leg: &mut Self::Leg, place: usize) -> bool;

    /// Whether its other end has neither closed it nor said anything since it was parked.
    fn is_silent(&mut self, leg: &mut Self::Leg) -> bool;
}
