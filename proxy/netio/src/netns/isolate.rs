//! Takes the whole process into namespaces of its own, from which nothing can leak: not a process, not a mount, not
//! an interface, not a file under `/run`. The kernel takes it all down when the process ends, however it ends.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, getegid, geteuid};
use thiserror::Error;

use crate::sys;

/// What [`isolate`] reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// True in a user namespace of our own (uid 0 there is the caller's uid outside).
    pub rootless: bool,
    /// True when `/run` is an empty private tmpfs.
    pub private_run: bool,
    /// The number of this process where it was started from.
    pub outer_pid: u32,
}

/// Why the process could not be isolated.
#[derive(Debug, Error)]
pub enum IsolationError {
    /// The kernel refuses user namespaces, and there is no privilege to do without.
    #[error(
        "cannot create a user namespace: {0}; run as root, or allow it (sysctl user.max_user_namespaces, \
         kernel.unprivileged_userns_clone or kernel.apparmor_restrict_unprivileged_userns; in a container the seccomp \
         profile may forbid it)"
    )]
    User(io::Error),
    /// A file that maps the user was refused.
    #[error("cannot write {0}: {1}; the user namespace would have no root")]
    Map(&'static str, io::Error),
    /// The mounts could not be made private, so a mount of ours would be seen by others.
    #[error("cannot make the mounts of the new mount namespace private: {0}")]
    Private(io::Error),
    /// `fork` failed.
    #[error("cannot start the isolated process: {0}")]
    Fork(io::Error),
}

/// Moves the program into new network, mount and PID namespaces, and, where privilege for that is missing or
/// `rootless` asks for it, into a user namespace in which the caller is uid 0. Returns only in the isolated process;
/// the processes outside it wait and end with the same exit code.
///
/// Inside, `/run` is an empty tmpfs, and `/proc` and `/sys` are fresh where the kernel permits it. A small init reaps
/// orphans. When any of the processes dies, all of them and all that they started die with it.
///
/// # Errors
/// Nothing has been forked when an error is returned, but the process may be in some of the namespaces: it should
/// report and end.
///
/// # Panics
/// When the process already has a second thread.
pub fn isolate(rootless: bool) -> Result<Isolation, IsolationError> {
    sys::netns::assert_single_threaded().map_err(IsolationError::Fork)?;
    let (uid, gid) = (geteuid(), getegid());
    let namespaces = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
    let privileged = !rootless && unshare(namespaces).is_ok();
    if !privileged {
        unshare(namespaces | CloneFlags::CLONE_NEWUSER)
            .map_err(|errno| IsolationError::User(errno.into()))?;
        for (file, text) in [
            ("/proc/self/setgroups", "deny".to_owned()),
            ("/proc/self/uid_map", format!("0 {uid} 1")),
            ("/proc/self/gid_map", format!("0 {gid} 1")),
        ] {
            fs::write(file, text).map_err(|err| IsolationError::Map(file, err))?;
        }
    }
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .map_err(|errno| IsolationError::Private(errno.into()))?;
    become_isolated_child().map_err(IsolationError::Fork)?;
    let outer_pid = outer_pid().map_err(IsolationError::Fork)?;
    // A kernel that shows only part of /proc or /sys to this container refuses a full one: the old ones stay, which
    // costs a look-up by PID and nothing that the program needs.
    let _ = mount_fresh("proc", "/proc");
    let _ = mount_fresh("sysfs", "/sys");
    Ok(Isolation { rootless: !privileged, private_run: mount_fresh("tmpfs", "/run").is_ok(), outer_pid })
}

/// As `/proc` says, which is still the one from outside.
fn outer_pid() -> io::Result<u32> {
    let link = fs::read_link("/proc/self")?;
    link.to_str().and_then(|pid| pid.parse().ok()).ok_or_else(|| io::Error::other("/proc/self is no number"))
}

/// From all but a tmpfs nothing can be run.
fn mount_fresh(kind: &str, target: &str) -> Result<(), Errno> {
    let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    flags.set(MsFlags::MS_NOEXEC, kind != "tmpfs");
    mount(Some(kind), target, Some(kind), flags, None::<&str>)
}

/// Forks twice: the first child is PID 1 of the new namespace and does nothing but reap, the second returns.
fn become_isolated_child() -> io::Result<()> {
    if let ForkResult::Parent { child } = sys::netns::fork_single_threaded()? {
        std::process::exit(wait_for(child));
    }
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if let ForkResult::Parent { child } = sys::netns::fork_single_threaded()? {
        std::process::exit(wait_for(child));
    }
    Ok(())
}

/// Reaps every child until `main` has ended; its exit code, or 128 + the signal as shells have it.
fn wait_for(main: Pid) -> i32 {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == main => return code,
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => return 128 + signal as i32,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return 1,
        }
    }
}
