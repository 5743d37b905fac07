//! The health of servers, as it travels over the control socket.

use sched::{DestKey, ServiceKey, Weight};
use serde::{Deserialize, Serialize};

use crate::health::{Event, Hand};

/// All services whose servers are looked after.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HealthList {
    /// In the order of `ipvsadm -L`.
    pub services: Vec<ServiceHealth>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceHealth {
    /// Which.
    #[serde(with = "super::word")]
    pub service: ServiceKey,
    /// Its servers are checked; else it is here for what somebody has said by hand.
    pub checked: bool,
    /// Its live servers are enough.
    pub quorum: bool,
    /// The sum of their weights.
    pub weight: u64,
    /// What it has to be.
    pub needed: u32,
    /// How far above or below that it has to be for a change.
    pub hysteresis: u32,
    /// Serves while the others cannot.
    pub sorry: Option<DestKey>,
    /// It does.
    pub on_sorry: bool,
    /// So many are dead that no check is believed.
    pub panic: bool,
    /// By address and port.
    pub servers: Vec<ServerHealth>,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerHealth {
    /// Which.
    pub server: DestKey,
    /// In words: `up`, `soft-down 1/3`, `down`, `soft-up 1/2`, `held`, `damped`, `down by hand`, `up by hand`.
    pub state: String,
    /// It is taken for alive.
    pub alive: bool,
    /// It may get new clients, as far as its health goes.
    pub used: bool,
    /// It is being drained: nothing that checks say changes anything.
    pub draining: bool,
    /// The weight that it is configured with.
    pub weight: Weight,
    /// The weight that it has.
    pub effective: Weight,
    /// In its slow start: the tenths of its weight that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warming: Option<u8>,
    /// Milliseconds since it was found alive or dead.
    pub since_ms: u64,
    /// Why.
    pub reason: String,
    /// How often it has died.
    pub falls: u64,
    /// How often it has come back.
    pub rises: u64,
    /// Its checks.
    pub checks: Vec<CheckView>,
}

/// What one check says about a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckView {
    /// `tcp`, `http` and so on.
    pub kind: String,
    /// What it takes the server for.
    pub state: String,
    /// Whether the last answer was right; none before the first.
    pub ok: Option<bool>,
    /// What was wrong with it.
    pub error: Option<String>,
    /// Milliseconds that it took.
    pub took_ms: Option<f64>,
    /// How long ago it came.
    pub ago_ms: Option<u64>,
    /// When the next question comes; none while one is out.
    pub next_ms: Option<u64>,
    /// Between two questions, in milliseconds.
    pub interval_ms: u32,
    /// Questions that were answered, one way or the other.
    pub asked: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Failures among the last answers, where those count.
    pub failures_in_window: Option<u32>,
}

/// Says what a server is to be taken for, whatever its checks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerOrder {
    /// The service.
    pub service: ServiceKey,
    /// One of its servers.
    pub server: DestKey,
    /// What it is to be taken for.
    pub to: ServerWord,
}

/// What a server is to be taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerWord {
    /// Dead.
    Down,
    /// Alive.
    Up,
    /// What its checks say.
    Auto,
}

impl ServerWord {
    /// What somebody says with it.
    pub const fn hand(self) -> Option<Hand> {
        match self {
            Self::Down => Some(Hand::Down),
            Self::Up => Some(Hand::Up),
            Self::Auto => None,
        }
    }
}

/// A line of `GET /v1/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLine {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// What has happened.
    #[serde(flatten)]
    pub event: Event,
}
