//! What becomes of a datagram's fragments once the first one has decided.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sched::{DestLive, Direction, SvcLive};

use crate::conn::{Between, Kept};
use crate::verdict::DropReason;

/// What the first fragment has decided.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    pub(crate) way: Way,
    /// Identification that all of them get, where their addresses are changed: those that several clients or servers
    /// have chosen could meet under one address.
    pub(crate) id: Option<u32>,
}

/// Where they go.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// They are of a connection.
    Conn(Kept, Direction),
    /// To a server, with no connection to remember it (`-o`).
    Single(Arc<Between>, SocketAddr),
    /// From a server, in answer to such a datagram.
    SingleReply {
        service: Arc<SvcLive>,
        dest: Arc<DestLive>,
        vip: IpAddr,
    },
    /// Back to whom they came from: a ping.
    Echo,
    /// To the host.
    Pass,
    Drop(DropReason),
}

impl Way {
    /// Whether addresses are changed on it.
    pub(crate) fn changes_addresses(&self) -> bool {
        match self {
            Self::Conn(conn, _) => conn.legs().method.changes_port(),
            Self::Single(between, _) => between.method.changes_port(),
            Self::SingleReply { .. } | Self::Echo => true,
            Self::Pass | Self::Drop(_) => false,
        }
    }
}

impl From<DropReason> for Course {
    fn from(reason: DropReason) -> Self {
        Self { way: Way::Drop(reason), id: None }
    }
}
