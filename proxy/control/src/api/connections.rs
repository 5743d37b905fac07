//! Connections, as they travel over the control socket.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use sched::{PersistenceEngine, Proto};
use serde::{Deserialize, Serialize};

/// One connection, or the template of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnView {
    /// Transport protocol; `None` ("IP" in listings) for the template of a mark service.
    pub proto: Option<Proto>,
    /// A persistence template: the server that a client comes back to.
    #[serde(default)]
    pub template: bool,
    /// Name and data of the persistence engine that made it.
    #[serde(default)]
    pub pe: Option<(PersistenceEngine, String)>,
    /// Seconds until it expires if no packet comes.
    pub expires: u32,
    /// The kernel's name for its state.
    pub state: Cow<'static, str>,
    /// The client.
    pub client: SocketAddr,
    /// The virtual address and port.
    pub vip: SocketAddr,
    /// The real server.
    pub dest: SocketAddr,
}

/// Which connections, and which part of them; an absent field matches all. The query string of
/// `GET /v1/connections`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnQuery {
    /// Transport protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proto: Option<Proto>,
    /// Client address, any port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// Virtual address and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vip: Option<SocketAddr>,
    /// Real server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest: Option<SocketAddr>,
    /// [`ConnPage::next`] of the page before; 0 begins.
    pub cursor: u64,
    /// Connections wanted; a page may hold more or fewer. 0 leaves it to the engine.
    pub limit: usize,
}

impl ConnQuery {
    /// Whether the connection is wanted.
    pub fn matches(&self, conn: &ConnView) -> bool {
        self.proto.is_none_or(|p| Some(p) == conn.proto)
            && self.client.is_none_or(|c| c == conn.client.ip())
            && self.vip.is_none_or(|v| v == conn.vip)
            && self.dest.is_none_or(|d| d == conn.dest)
    }
}

/// A part of the connection table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnPage {
    /// The connections, in no particular order.
    pub connections: Vec<ConnView>,
    /// The cursor of the next page; `None` after the last.
    pub next: Option<u64>,
}
