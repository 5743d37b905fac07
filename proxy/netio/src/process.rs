//! Processes: going to the background, and what the process itself may have.

mod detach;

pub use detach::{DetachError, Readiness, spawn_detached, spawn_detached_as};

/// Lets the process have as many open files as it can: a session of a front has two.
///
/// # Errors
/// The kernel refuses, which it has no reason to.
pub fn raise_open_files() -> std::io::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}
