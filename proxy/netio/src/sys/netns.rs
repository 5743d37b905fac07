//! The namespace and process calls that have no safe face elsewhere.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, chdir, fork};

/// Has the command enter the network namespace between `fork` and `exec`.
pub(crate) fn enter_before_exec(command: &mut Command, netns: Arc<OwnedFd>) {
    // SAFETY: the closure makes one system call on a descriptor that it keeps open itself: it neither allocates nor
    // takes a lock, as code between fork and exec must not.
    unsafe {
        command.pre_exec(move || Ok(setns(netns.as_fd(), CloneFlags::CLONE_NEWNET)?));
    }
}

/// Has the command enter further namespaces, and then a directory, between `fork` and `exec`.
pub(crate) fn enter_room_before_exec(
    command: &mut Command,
    spaces: [(Arc<OwnedFd>, CloneFlags); 2],
    home: CString,
) {
    // SAFETY: the closure makes system calls on descriptors and a string that it keeps itself: it neither allocates nor
    // takes a lock, as code between fork and exec must not.
    unsafe {
        command.pre_exec(move || {
            for (space, kind) in &spaces {
                setns(space.as_fd(), *kind)?;
            }
            Ok(chdir(home.as_c_str())?)
        });
    }
}

/// Has the kernel kill the command's process when the thread that spawned it ends.
pub(crate) fn die_with_parent(command: &mut Command) {
    // SAFETY: the closure makes one system call that touches no memory.
    unsafe {
        command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?));
    }
}

/// Forks a process that has one thread.
///
/// # Panics
/// When the process has more than one thread: the child would inherit locks that nobody will ever release.
pub(crate) fn fork_single_threaded() -> io::Result<ForkResult> {
    assert_single_threaded()?;
    // SAFETY: with one thread nothing is half done and no lock is held by another one.
    Ok(unsafe { fork() }?)
}

/// # Panics
/// When the process has more than one thread.
pub(crate) fn assert_single_threaded() -> io::Result<()> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    assert_eq!(threads, 1, "this needs a process with a single thread");
    Ok(())
}

/// A descriptor of the process `pid`, which names it even after its number is used again.
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel has just given this descriptor to us, and to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Sends SIGKILL to the process behind the descriptor.
pub(crate) fn pidfd_kill(process: BorrowedFd<'_>) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the null pointer asks for the siginfo that `kill` would send; the rest are integers.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), libc::SIGKILL, no_info, 0) };
    Errno::result(result)?;
    Ok(())
}
