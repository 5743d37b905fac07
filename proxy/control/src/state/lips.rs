//! The same for local addresses.

use std::net::IpAddr;

use sched::{Op, ServiceKey};

/// The edits that turn a pool that holds `old` into one that holds `new`. `key` is whose it is: nobody's in particular
/// without.
pub fn diff_lips(key: Option<ServiceKey>, old: &[IpAddr], new: &[IpAddr]) -> Vec<Op> {
    let gone = old.iter().filter(|lip| !new.contains(lip)).map(|lip| Op::DelLip { key, lip: *lip });
    let come = new.iter().filter(|lip| !old.contains(lip)).map(|lip| Op::AddLip { key, lip: *lip });
    gone.chain(come).collect()
}

/// The edits that bring what changed between two versions of a file into the running pool that is everybody's: as
/// [`reconcile`](super::reconcile).
pub fn reconcile_lips(running: &[IpAddr], old_file: &[IpAddr], new_file: &[IpAddr]) -> Vec<Op> {
    let mut merged = running.to_vec();
    merge(&mut merged, old_file, new_file);
    diff_lips(None, running, &merged)
}

/// Brings what changed between two versions of a file into a pool.
pub(super) fn merge(running: &mut Vec<IpAddr>, old_file: &[IpAddr], new_file: &[IpAddr]) {
    running.retain(|lip| new_file.contains(lip) || !old_file.contains(lip));
    let come: Vec<_> =
        new_file.iter().filter(|lip| !old_file.contains(lip) && !running.contains(lip)).copied().collect();
    running.extend(come);
}
