//! Processes: going to the background, and telling whether another one still runs.

mod detach;
mod identity;

pub use detach::{DetachError, Readiness, spawn_detached};
pub use identity::ProcessId;
