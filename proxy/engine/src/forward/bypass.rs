//! Bypass (`cache_bypass`): where a service of a mark has no server, packets go on to whom the client has sent them, by the
//! host's routing. For transparent caches: without one the client gets its page all the same. Answers do not come by us.

use crate::verdict::Egress;

pub(super) const fn request() -> Egress {
    Egress::Route
}
