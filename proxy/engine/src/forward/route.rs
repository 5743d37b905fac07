//! DR (direct routing): the packet stays as it is, and goes to the link address of the server, which has the VIP too and
//! answers the client itself.

use crate::conn::Legs;
use crate::verdict::{DropReason, Egress};

pub(super) fn request(legs: &Legs<'_>) -> Result<Egress, DropReason> {
    let path = legs.dest.path().ok_or(DropReason::NoRoute)?;
    Ok(Egress::Neighbour { device: path.device, next_hop: path.next_hop })
}
