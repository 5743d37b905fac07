//! Worker threads: a name that `top -H` shows, and a CPU of their own.

use std::io;
use std::thread::JoinHandle;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Starts a thread with a name (the kernel shows the first 15 bytes of it).
///
/// # Errors
/// The kernel has no room for another thread.
pub fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// The CPUs that the calling thread may run on, ascending.
///
/// # Errors
/// The kernel has more CPUs than the 1,024 that a set can name.
pub fn cpus() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(THIS)?;
    Ok((0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).collect())
}

/// Keeps the calling thread on one CPU.
///
/// # Errors
/// `EINVAL` for a CPU that the machine does not have or that this process may not use.
pub fn pin(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(THIS, &set)?)
}

/// Names the calling thread in the scheduler's calls.
const THIS: Pid = Pid::from_raw(0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_thread_is_pinned_and_its_parent_is_not() {
        let before = cpus().unwrap();
        let last = *before.last().unwrap();
        let seen = spawn("ulvs-worker-0", move || {
            pin(last).unwrap();
            (cpus().unwrap(), std::fs::read_to_string("/proc/thread-self/comm").unwrap())
        });
        assert_eq!(seen.unwrap().join().unwrap(), (vec![last], "ulvs-worker-0\n".to_owned()));
        assert_eq!(cpus().unwrap(), before);
    }

    #[test]
    fn a_cpu_that_is_not_there_is_an_error() {
        assert!(pin(CpuSet::count() - 1).is_err());
        assert!(pin(usize::MAX / 2).is_err());
    }
}
