//! What the control plane has ended, in one step.

use sched::{DestLive, OnDown};

/// Has all connections of a server ended. How many those are.
pub(crate) fn end_all(engine: &engine::Engine, dest: &DestLive, how: OnDown) -> usize {
    let of_it = |live: &std::sync::Arc<DestLive>| std::ptr::eq(&raw const **live, dest).then_some(how);
    let (next, whose) = engine.end_connections_from(0, (u32::MAX, usize::MAX), of_it);
    assert_eq!(next, None);
    whose.len()
}
