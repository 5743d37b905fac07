//! How a connection begins, and what only few have.

use std::net::SocketAddr;
use std::sync::Arc;

use sched::{FTP, Proto};

use super::{Between, Greeting, Shifts};
use crate::ftp::Control;
use crate::persist::Template;
use crate::ports::Lease;
use crate::proxy_protocol;

/// What makes a connection.
#[derive(Debug)]
pub(crate) struct Birth {
    pub(crate) between: Between,
    pub(crate) client: SocketAddr,
    /// Who the server believes to speak with, where that is not the client: an address and port of ours (FullNAT).
    pub(crate) local: Option<Lease>,
    /// What it is a member of, and leaves when it ends.
    pub(crate) template: Option<Arc<Template>>,
    /// What the control connection of FTP has whose data it has.
    pub(crate) data_of: Option<Arc<Rare>>,
}

/// What only few connections have.
#[derive(Debug)]
pub(crate) struct Rare {
    pub(crate) lease: Option<Lease>,
    pub(crate) template: Option<Arc<Template>>,
    pub(crate) data_of: Option<Arc<Self>>,
    /// For a control connection of FTP.
    pub(crate) control: Option<Control>,
    /// For one whose streams are not received as they were sent.
    pub(crate) shifts: Option<Shifts>,
    /// For one whose server is told who the client is.
    pub(crate) greeting: Option<Greeting>,
}

impl Birth {
    /// Whether it is a control connection of FTP. (IPVS: for every service, by the port of the VIP.)
    fn is_control(&self) -> bool {
        let Between { proto, vip, method, front, .. } = self.between;
        proto == Proto::Tcp
            && vip.port() == FTP
            && method.sees_replies()
            && self.data_of.is_none()
            && front.is_none()
    }

    /// It has nothing but what all have, as most.
    fn is_plain(&self) -> bool {
        let Self { between, client: _, local, template, data_of } = self;
        let joins_nothing = local.is_none() && template.is_none() && data_of.is_none();
        joins_nothing && between.tcp.proxy_protocol.is_none() && !self.is_control()
    }

    /// What the server is told before the client's first byte.
    fn greeting(&self) -> Option<Vec<u8>> {
        let Between { tcp, vip, .. } = self.between;
        tcp.proxy_protocol.map(|version| proxy_protocol::header(version, self.client, vip))
    }

    /// What it has besides what all have.
    pub(super) fn rare(self) -> (Between, Option<Rare>) {
        if self.is_plain() {
            return (self.between, None);
        }
        let greeting = self.greeting().map(Greeting::new);
        let control = self.is_control().then(Control::default);
        if let Some(control) = self.data_of.as_ref().and_then(|rare| rare.control.as_ref()) {
            control.join();
        }
        let Self { between, local, template, data_of, .. } = self;
        let shifts = (greeting.is_some() || control.is_some()).then(Shifts::default);
        (between, Some(Rare { lease: local, template, data_of, control, shifts, greeting }))
    }
}

impl Rare {
    /// The connection has ended.
    pub(super) fn let_go(&self) {
        if let Some(template) = &self.template {
            template.leave();
        }
        if let Some(control) = self.data_of.as_ref().and_then(|rare| rare.control.as_ref()) {
            control.leave();
        }
        if let Some(lease) = &self.lease {
            lease.give_back();
        }
    }
}
