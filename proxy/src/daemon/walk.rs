//! Walks through all connections for those that are to end: in steps, so that nobody else whom this thread serves waits
//! long, however large the table is and however many there are.

use std::time::Duration;

/// Between two steps.
pub(super) const BREATH: Duration = Duration::from_millis(2);
/// Slots of the table that are looked at in a step, and connections that are ended.
#[cfg(not(test))]
pub(super) const STEP: (u32, usize) = (100_000, 20_000);
/// A few connections take several steps.
#[cfg(test)]
pub(super) const STEP: (u32, usize) = (50, 10);

#[cfg(test)]
mod tests;
