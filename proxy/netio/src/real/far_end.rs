//! The far end of tunnels, as far as the bookkeeping of a real server is concerned: somebody else is it.

use std::error::Error;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Change;

/// How packets are taken out of tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnels {
    /// UDP port on which GUE comes.
    pub gue_port: u16,
    /// Whether segments are merged, where the kernel takes super-packets.
    pub merge: bool,
}

/// Those of [`Tunnels`] that are to be others than they are, or than usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunnelOptions {
    /// UDP port on which GUE comes.
    pub gue_port: Option<u16>,
    /// Whether segments are merged.
    pub merge: Option<bool>,
}

impl TunnelOptions {
    /// Where the kernel's own documentation has GUE.
    pub const GUE_PORT: u16 = 6080;

    /// What is wanted where there is this.
    pub(super) fn over(self, now: Option<Tunnels>) -> Tunnels {
        let now = now.unwrap_or(Tunnels { gue_port: Self::GUE_PORT, merge: true });
        Tunnels { gue_port: self.gue_port.unwrap_or(now.gue_port), merge: self.merge.unwrap_or(now.merge) }
    }
}

/// Why it could not do as it was told, in words for the user.
pub type FarEndError = Box<dyn Error + Send + Sync>;

/// Whoever takes packets for this host's VIPs out of tunnels. It may have gone by itself at any time.
pub trait FarEnd {
    /// From now on it serves these addresses, at least one, and no others. What it is doing is not interrupted where
    /// that can be. Returns whether it had to begin or end for that.
    ///
    /// # Errors
    /// It does not serve them.
    fn serve(&mut self, vips: &[IpAddr], tunnels: Tunnels) -> Result<Vec<Change>, FarEndError>;

    /// It ends, and its device is gone when this returns.
    ///
    /// # Errors
    /// It may still be there.
    fn end(&mut self) -> Result<Vec<Change>, FarEndError>;
}
