//! Draining a server, as it travels over the control socket.

use sched::{DestKey, ServiceKey, Weight};
use serde::{Deserialize, Serialize};

/// Which server of which service, and what to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainOrder {
    /// The service.
    pub service: ServiceKey,
    /// One of its servers.
    pub server: DestKey,
    /// Seconds until the connections that are left are reset; `None` lets them take their time.
    #[serde(default)]
    pub deadline: Option<u32>,
    /// Ends the drain and gives the server its weight back.
    #[serde(default)]
    pub undo: bool,
}

/// The servers that are being drained or have been.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainList {
    /// In the order in which they were begun.
    pub drains: Vec<DrainView>,
}

/// How far a drain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainView {
    /// The service.
    pub service: ServiceKey,
    /// The server.
    pub server: DestKey,
    /// The weight that it had, and gets back.
    pub weight: Weight,
    /// Connections in an active state.
    pub active: u64,
    /// Connections in any other state.
    pub inactive: u64,
    /// Seconds until the rest is reset; `None` without a deadline, or after it.
    pub seconds_left: Option<u32>,
    /// Connections that were reset at the deadline.
    pub reset: u64,
}

impl DrainView {
    /// Whether all connections have ended.
    pub const fn is_empty(&self) -> bool {
        self.active + self.inactive == 0
    }
}
