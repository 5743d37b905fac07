//! Our own TCP: clients on one stack, servers on another, so that a session can have a leg of each at a time. Servers are
//! spoken with by sockets of the host instead, where nothing asks for another speaker.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::time::Instant;

use engine::{FrontConn, FrontSide, FrontWay, Speaker};
use sched::{ClientIdentity, TlsFront};
use tls::stack::{FlowId, Limits, Stack};
use tls::{Leg, Next};

use crate::front::host::{HostLeg, HostTcp};
use crate::front::tcp::{Tcp, Work};

/// Where the host knows of no path MTU.
const ETHERNET: u16 = 1500;

/// The connections of one worker.
pub(super) struct UserTcp {
    pub(super) clients: Stack,
    pub(super) servers: Stack,
    /// Whose connection it is.
    places: HashMap<(FrontSide, FlowId), usize, foldhash::fast::RandomState>,
    host: HostTcp,
    /// Sockets of the host that there are.
    pub(super) sockets: usize,
    owner: u16,
    pub(super) now: Instant,
}

/// One of them.
pub(super) enum UserLeg {
    Ours(FrontSide, FlowId),
    Hosts(HostLeg),
}

impl UserTcp {
    pub(super) fn new(seed: [u64; 3], owner: u16, host: HostTcp, now: Instant) -> Self {
        let stack = || Stack::new(seed, Limits::default(), now);
        let (clients, servers) = (stack(), stack());
        Self { clients, servers, places: HashMap::default(), host, sockets: 0, owner, now }
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
        UserLeg::Ours(FrontSide::Client, flow)
    }
}

impl Tcp for UserTcp {
    type Leg = UserLeg;

    fn way(&self, front: &TlsFront) -> FrontWay {
        let transparent = front.identity == ClientIdentity::Transparent;
        let speaker = if transparent { Speaker::Client } else { Speaker::Host };
        FrontWay::Userspace { speaker, owner: self.owner }
    }

    fn lend(&mut self, client: &mut UserLeg, server: Option<&mut UserLeg>, work: &mut Work<'_>) -> Next {
        let UserLeg::Ours(_, client) = *client else { return Next::Wait };
        let client = &mut self.clients.leg(client);
        match server {
            None => work(client, None),
            Some(UserLeg::Hosts(server)) => work(client, Some(server)),
            Some(UserLeg::Ours(_, server)) => work(client, Some(&mut self.servers.leg(*server))),
        }
    }

    fn connect(&mut self, place: usize, conn: &FrontConn) -> io::Result<UserLeg> {
        if matches!(conn.way(), FrontWay::Userspace { speaker: Speaker::Host, .. }) {
            let leg = self.host.connect(place, conn)?;
            self.sockets += 1;
            return Ok(UserLeg::Hosts(leg));
        }
        let mtu = u16::try_from(conn.mtu()).ok().filter(|mtu| *mtu > 0).unwrap_or(ETHERNET);
        let flow = self.servers.connect(conn.peer(), conn.server(), mtu, self.now);
        let flow = flow.map_err(io::Error::other)?;
        self.places.insert((FrontSide::Server, flow), place);
        Ok(UserLeg::Ours(FrontSide::Server, flow))
    }

    fn opened(&mut self, leg: &mut UserLeg) -> io::Result<bool> {
        let (side, flow) = match leg {
            UserLeg::Hosts(leg) => return self.host.opened(leg),
            UserLeg::Ours(side, flow) => (*side, *flow),
        };
        // Nothing is always taken by a connection that is open.
        match self.stack(side).leg(flow).write(&[]) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn abort(&mut self, leg: &mut UserLeg) {
        match leg {
            UserLeg::Hosts(leg) => self.host.abort(leg),
            UserLeg::Ours(side, flow) => self.stack(*side).leg(*flow).abort(),
        }
    }

    fn close(&mut self, leg: UserLeg) {
        match leg {
            UserLeg::Hosts(leg) => {
                self.sockets -= 1;
                self.host.close(leg);
            }
            UserLeg::Ours(side, flow) => {
                self.places.remove(&(side, flow));
                self.stack(side).release(flow);
            }
        }
    }

    fn take_moved(&mut self, leg: &mut UserLeg) -> (u64, u64) {
        match leg {
            // The engine has seen what came from the client.
            UserLeg::Hosts(leg) => (self.host.take_moved(leg).0, 0),
            UserLeg::Ours(..) => (0, 0),
        }
    }

    fn park(&mut self, leg: &mut UserLeg) -> bool {
        match leg {
            UserLeg::Hosts(leg) => self.host.park(leg),
            UserLeg::Ours(side, flow) => self.places.remove(&(*side, *flow)).is_some(),
        }
    }

    fn unpark(&mut self, leg: &mut UserLeg, place: usize) -> bool {
        match leg {
            UserLeg::Hosts(leg) => self.host.unpark(leg, place),
            UserLeg::Ours(side, flow) => {
                self.places.insert((*side, *flow), place);
                true
            }
        }
    }

    fn is_silent(&mut self, leg: &mut UserLeg) -> bool {
        // One that has something to say is of no use any more.
        match leg {
            UserLeg::Hosts(leg) => self.host.is_silent(leg),
            UserLeg::Ours(side, flow) => {
                let read = self.stack(*side).leg(*flow).read(&mut [0]);
                read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
        }
    }
}
