//! Our own TCP: clients on one stack, servers on another, so that a session can have a leg of each at a time.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::time::Instant;

use engine::{FrontConn, FrontSide, FrontWay};
use sched::{ClientIdentity, TlsFront};
use tls::stack::{FlowId, Limits, Stack};
use tls::{Leg, Next};

use crate::front::tcp::{Tcp, Work};

/// Where the host knows of no path MTU.
const ETHERNET: u16 = 1500;

/// The connections of one worker.
pub(super) struct UserTcp {
    pub(super) clients: Stack,
    pub(super) servers: Stack,
    /// Whose connection it is.
    places: HashMap<(FrontSide, FlowId), usize>,
    owner: u16,
    pub(super) now: Instant,
}

/// One of them.
pub(super) struct UserLeg {
    side: FrontSide,
    flow: FlowId,
}

impl UserTcp {
    pub(super) fn new(seed: [u64; 3], owner: u16, now: Instant) -> Self {
        let stack = || Stack::new(seed, Limits::default(), now);
        Self { clients: stack(), servers: stack(), places: HashMap::new(), owner, now }
    }

    pub(super) const fn stack(&mut self, side: FrontSide) -> &mut Stack {
        match side {
            FrontSide::Client => &mut self.clients,
            FrontSide::Server => &mut self.servers,
        }
    }

    /// The place of the session that has this connection.
    pub(super) fn place(&self, side: FrontSide, flow: FlowId) -> Option<usize> {
        self.places.get(&(side, flow)).copied()
    }

    /// A client that sits at `place` from now on.
    pub(super) fn client(&mut self, flow: FlowId, place: usize) -> UserLeg {
        self.places.insert((FrontSide::Client, flow), place);
        UserLeg { side: FrontSide::Client, flow }
    }

    fn leg(&mut self, leg: &UserLeg) -> impl Leg {
        self.stack(leg.side).leg(leg.flow)
    }
}

impl Tcp for UserTcp {
    type Leg = UserLeg;

    fn way(&self, front: &TlsFront) -> FrontWay {
        FrontWay::Userspace { transparent: front.identity == ClientIdentity::Transparent, owner: self.owner }
    }

    fn lend(&mut self, client: &mut UserLeg, server: Option<&mut UserLeg>, work: &mut Work<'_>) -> Next {
        let mut server = server.map(|leg| self.servers.leg(leg.flow));
        work(&mut self.clients.leg(client.flow), server.as_mut().map(|leg| leg as _))
    }

    fn connect(&mut self, place: usize, conn: &FrontConn) -> io::Result<UserLeg> {
        let mtu = u16::try_from(conn.mtu()).ok().filter(|mtu| *mtu > 0).unwrap_or(ETHERNET);
        let flow = self.servers.connect(conn.peer(), conn.server(), mtu, self.now);
        let flow = flow.map_err(io::Error::other)?;
        self.places.insert((FrontSide::Server, flow), place);
        Ok(UserLeg { side: FrontSide::Server, flow })
    }

    fn opened(&mut self, leg: &mut UserLeg) -> io::Result<bool> {
        // Nothing is always taken by a connection that is open.
        match self.leg(leg).write(&[]) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn abort(&mut self, leg: &mut UserLeg) {
        self.leg(leg).abort();
    }

    fn close(&mut self, leg: UserLeg) {
        self.places.remove(&(leg.side, leg.flow));
        self.stack(leg.side).release(leg.flow);
    }

    fn take_moved(&mut self, _leg: &mut UserLeg) -> (u64, u64) {
        // The engine sees the packets.
        (0, 0)
    }

    fn park(&mut self, leg: &mut UserLeg) -> bool {
        self.places.remove(&(leg.side, leg.flow)).is_some()
    }

    fn unpark(&mut self, leg: &mut UserLeg, place: usize) -> bool {
        self.places.insert((leg.side, leg.flow), place);
        true
    }

    fn is_silent(&mut self, leg: &mut UserLeg) -> bool {
        // One that has something to say is of no use any more.
        self.leg(leg).read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}
