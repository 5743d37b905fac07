//! Connections as listings show them.

use std::net::SocketAddr;
use std::time::Duration;

use sched::Proto;

use crate::conn::{Conn, Millis};
use crate::state::State;

/// A share of the connection table, so that a large one can be listed page by page. A connection belongs to exactly
/// one part for as long as it lives; the parts are of about the same size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 0.
    pub index: u32,
    /// How many parts there are, at least 1.
    pub of: u32,
}

impl Part {
    /// The whole table.
    pub const ALL: Self = Self { index: 0, of: 1 };
}

/// A connection at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Transport protocol.
    pub proto: Proto,
    /// State.
    pub state: State,
    /// Time until it is forgotten, if no packet comes.
    pub expires_in: Duration,
    /// Client address and port.
    pub client: SocketAddr,
    /// The VIP and port that the client sees.
    pub vip: SocketAddr,
    /// The real server.
    pub dest: SocketAddr,
}

impl Connection {
    pub(crate) fn of(conn: &Conn, now: Millis) -> Self {
        Self {
            proto: conn.legs.proto,
            state: conn.state(),
            expires_in: Duration::from_millis(conn.deadline().saturating_sub(now)),
            client: conn.legs.client,
            vip: conn.legs.vip,
            dest: conn.legs.dest.key,
        }
    }
}
