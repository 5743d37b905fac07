//! Connections as listings show them.

use std::net::SocketAddr;
use std::time::Duration;

use sched::{PersistenceEngine, Proto};

use crate::conn::{Conn, Millis, Timed as _};
use crate::ftp::Expected;
use crate::persist::{Template, TemplateKey};
use crate::ports::Lease;
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

/// A connection at one moment, or a persistence template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Transport protocol; `None` for the template of a mark service.
    pub proto: Option<Proto>,
    /// State; [`State::None`] for a template.
    pub state: State,
    /// A template: the server that a client comes back to.
    pub template: bool,
    /// A template whose client is known to be real.
    pub assured: bool,
    /// What identifies a template's client besides its address. Bytes that are no UTF-8 are replaced.
    pub pe: Option<(PersistenceEngine, String)>,
    /// Time until it is forgotten, if no packet comes.
    pub expires_in: Duration,
    /// Client address and port (0 while it is expected and that is not known); of a template the bits of the address that count, and port 0.
    pub client: SocketAddr,
    /// The VIP and port that the client sees. Of a template the port is 0 where it is for all ports, and the mark
    /// stands in place of the VIP where it is for a mark, as in IPVS.
    pub vip: SocketAddr,
    /// The real server, with port 0 where the template is for all ports.
    pub dest: SocketAddr,
    /// By FullNAT: who the server believes to speak with.
    pub local: Option<SocketAddr>,
}

impl Connection {
    /// As `ipvsadm -Lc` prints the state.
    pub const fn state_name(&self) -> &'static str {
        if self.assured { "ASSURED" } else { self.state.name() }
    }

    pub(crate) fn of(conn: &Conn<'_>, now: Millis) -> Self {
        Self {
            proto: Some(conn.legs.proto),
            state: conn.state(),
            template: false,
            assured: false,
            pe: None,
            expires_in: Duration::from_millis(conn.deadline(now).saturating_sub(now)),
            client: conn.legs.client,
            vip: conn.legs.vip,
            dest: conn.legs.server,
            local: conn.legs.local(),
        }
    }

    pub(crate) fn of_expected(expected: &Expected, now: Millis) -> Self {
        Self {
            proto: Some(Proto::Tcp),
            state: State::Listen,
            template: false,
            assured: false,
            pe: None,
            expires_in: Duration::from_millis(expected.deadline.saturating_sub(now)),
            client: expected.client,
            vip: expected.vip,
            dest: expected.server,
            local: expected.local.as_ref().map(Lease::addr),
        }
    }

    pub(crate) fn of_template(template: &Template, now: Millis) -> Self {
        let TemplateKey { client, call_id } = &template.key;
        let text = |id: &[u8]| String::from_utf8_lossy(id).into_owned();
        Self {
            proto: client.proto,
            state: State::None,
            template: true,
            assured: template.is_assured(),
            pe: call_id.as_deref().map(|id| (PersistenceEngine::Sip, text(id))),
            expires_in: Duration::from_millis(template.deadline(now).saturating_sub(now)),
            client: SocketAddr::new(client.addr, 0),
            vip: client.vip,
            dest: template.server,
            local: None,
        }
    }
}
