//! Processes: going to the background.

mod detach;

pub use detach::{DetachError, Readiness, spawn_detached, spawn_detached_as};
