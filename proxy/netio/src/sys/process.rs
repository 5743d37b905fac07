//! Process-wide calls: capabilities, sockets' namespace, descriptors across an exec.

use std::ffi::{c_int, c_long};
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, FdFlag};

/// The cookie of the network namespace that the socket belongs to (Linux 5.14).
pub(crate) fn netns_cookie(socket: &impl AsFd) -> io::Result<u64> {
    const SO_NETNS_COOKIE: c_int = 71;
    let mut cookie = 0_u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel writes at most `len` bytes to `cookie` and the length to `len`; both outlive the call.
    let result = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, SO_NETNS_COOKIE, (&raw mut cookie).cast(), &mut len)
    };
    check(result.into())?;
    Ok(cookie)
}

/// Makes the command the leader of a session of its own that inherits no descriptor above 2 but `keep`, which must
/// stay open until the command was started.
pub(crate) fn detach(command: &mut Command, keep: RawFd) {
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe calls are sound: it makes system
    // calls and nothing else (no allocation, no lock).
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            close_on_exec_from_3()?;
            check(libc::fcntl(keep, libc::F_SETFD, 0).into())
        });
    }
}

/// Takes over the pipe end `fd` that this process has inherited, if it is the pipe with that inode. Only the first
/// call gets it.
pub(crate) fn take_inherited_pipe(fd: RawFd, inode: u64) -> Option<OwnedFd> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    // SAFETY: the descriptor may be any number and is not closed: `ManuallyDrop` leaves it to whoever has it.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    let found = file.metadata().ok()?;
    if !found.file_type().is_fifo() || found.ino() != inode || TAKEN.swap(true, Ordering::Relaxed) {
        return None;
    }
    // SAFETY: it is open, and nobody else in this process owns it: a pipe that was made before this process began
    // came by inheritance, and this function hands it out once.
    let pipe = unsafe { OwnedFd::from_raw_fd(fd) };
    nix::fcntl::fcntl(&pipe, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
    Some(pipe)
}

/// Sets how nice the calling thread is: on Linux it is the thread's, whatever POSIX says.
pub(crate) fn set_nice(nice: c_int) -> io::Result<()> {
    // SAFETY: takes plain numbers; 0 is whoever calls.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    check(result.into())
}

/// Marks all descriptors but the standard three to be closed by exec. Async-signal-safe.
fn close_on_exec_from_3() -> io::Result<()> {
    // By number: musl has no function for it.
    // SAFETY: takes plain numbers; marking descriptors touches no memory.
    if unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) } == 0 {
        return Ok(());
    }
    // Before Linux 5.11: one by one, up to the limit.
    // SAFETY: an `rlimit` of zeroes is valid; the call writes one, and fcntl touches no memory.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        check(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit).into())?;
        for fd in 3..c_int::try_from(limit.rlim_cur).unwrap_or(c_int::MAX) {
            // Fails for numbers that are not open.
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
    Ok(())
}

fn check(result: c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
