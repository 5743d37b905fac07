//! Connections that end here: a front takes a client's connection itself, and speaks with the server that the service
//! has chosen for it. For listings, counters, persistence and schedulers it is a connection like any other.

use std::net::SocketAddr;

use sched::DestKey;
use serde::{Deserialize, Serialize};

use crate::conn::Kept;
use crate::verdict::DropReason;

/// Whose TCP a front's connections are, and who the servers believe to speak with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrontWay {
    /// The host's: no packet of it comes by here, so its caller says what happens
    /// ([`crate::Worker::front_moved`], [`crate::Worker::front_ended`]).
    Kernel,
    /// Our own: packets of clients come by here and are diverted ([`crate::Verdict::Divert`]), perhaps those of servers too.
    Userspace {
        /// Who speaks with servers.
        speaker: Speaker,
        /// Which of the callers has it: told with each of its packets, wherever they come in.
        owner: u16,
    },
}

/// Who speaks with the servers of a front whose clients speak with our own TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The host's TCP, as in [`FrontWay::Kernel`]. Where the service has local addresses it becomes [`Speaker::Local`].
    Host,
    /// Our own, from a local address and port, as by FullNAT.
    Local,
    /// Our own, from the client's address and port.
    Client,
}

impl FrontWay {
    /// Whether packets of servers come by here.
    pub(crate) const fn hears_servers(self) -> bool {
        matches!(self, Self::Userspace { speaker: Speaker::Local | Speaker::Client, .. })
    }
}

/// Which side of a front a packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FrontSide {
    /// From the client, of a connection that may not have begun yet.
    Client,
    /// From the server.
    Server,
}

/// Whom a packet is diverted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diverted {
    /// Where it comes from. An ICMP error about what was sent to a side comes from there.
    pub side: FrontSide,
    /// Who has its connection; nobody yet where no server was chosen.
    pub owner: Option<u16>,
}

/// Why a client of a front gets no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrontRefusal {
    /// The service is gone.
    NoService,
    /// No server is available, or all that are have been tried.
    Nobody,
    /// There is no room or way for it.
    Dropped(DropReason),
}

/// How a front's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrontEnd {
    /// Both sides have said what they had to say.
    Closed,
    /// One side has lost the other.
    Reset,
    /// The server did not take it.
    Refused,
}

/// A front's connection in the table. It stays there while this is held, however long nothing happens.
#[derive(Debug)]
pub struct FrontConn(pub(crate) Kept);

impl FrontConn {
    /// The server that was chosen, under the name that its service has for it.
    pub fn dest(&self) -> DestKey {
        self.0.legs().dest.key
    }

    /// How it is kept.
    pub fn way(&self) -> FrontWay {
        self.0.legs().front.unwrap_or(FrontWay::Kernel)
    }

    /// Where the server is reached.
    pub fn server(&self) -> SocketAddr {
        self.0.legs().server
    }

    /// Who the server is to believe to speak with, where no socket of the host decides it.
    pub fn peer(&self) -> SocketAddr {
        self.0.legs().peer()
    }

    /// The largest packet in bytes that gets to the server, as far as the host knows; 0 if it does not.
    pub fn mtu(&self) -> u32 {
        self.0.legs().dest.mtu.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Somebody has ended it: a drain whose time is over, or settings that end what has no server.
    pub fn is_over(&self) -> bool {
        !self.0.is_live()
    }
}

impl Drop for FrontConn {
    fn drop(&mut self) {
        self.0.release();
    }
}
