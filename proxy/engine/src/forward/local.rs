//! A server that is this host itself, whatever the method (IPVS: decided for each packet). By NAT the packet becomes one
//! to an address of the host, and needs nothing else; otherwise it stays as it is, and the VIP has to be an address
//! of the host.

use crate::conn::Legs;
use crate::host::HostView;
use crate::verdict::{DropReason, Egress};

/// A packet that stays as it is (DR, tunnels).
pub(super) fn request(legs: &Legs<'_>, host: &HostView) -> Result<Egress, DropReason> {
    if host.is_local(legs.vip.ip()) { Ok(Egress::Route) } else { Err(DropReason::VipNotLocal) }
}
