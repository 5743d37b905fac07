//! Processes: going to the background, and what the process itself may have.

mod detach;

pub use detach::{DetachError, Readiness, spawn_detached, spawn_detached_as};

/// Lets the process have as many open files as it can: a session of a front has two, a laboratory both ends of each
/// connection. It is the whole process's limit, so this is for programs to call.
///
/// # Errors
/// The kernel refuses, which it has no reason to.
pub fn raise_open_files() -> std::io::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// How many files the process may have open.
///
/// # Errors
/// The kernel refuses, which it has no reason to.
pub fn open_files() -> std::io::Result<usize> {
    use nix::sys::resource::{Resource, getrlimit};
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(usize::try_from(soft).unwrap_or(usize::MAX))
}

/// How nice a thread is that gives way to those that handle packets.
const NICE: i32 = 5;

/// Has the calling thread give way to others.
///
/// # Errors
/// The kernel refuses, which it has no reason to.
pub fn lower_priority() -> std::io::Result<()> {
    crate::sys::process::set_nice(NICE)
}

/// Bytes of memory that the process has at the moment.
///
/// # Errors
/// `/proc` is not there.
pub fn resident() -> std::io::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?;
    Ok(pages * page.map_or(4096, |bytes| bytes.unsigned_abs()))
}
