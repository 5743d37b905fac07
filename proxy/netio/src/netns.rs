//! Anonymous network namespaces: held by a descriptor, never by a name, so that two owners can never meet and
//! nothing is left behind when the last holder goes away.
//!
//! Linux gives a network namespace to a thread. Whatever has to happen inside one therefore happens on a fresh
//! thread ([`Netns::run`]) or in a child between `fork` and `exec` ([`Netns::command`]); the calling thread never
//! moves, so a process may hold any number of namespaces and use them at once. A socket stays in the namespace that
//! it was made in: make it inside, use it anywhere.

mod isolate;
mod join;
mod room;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::Arc;
use std::{io, thread};

use nix::sched::{CloneFlags, setns, unshare};
use thiserror::Error;

pub use self::isolate::{Isolation, IsolationError, isolate};
pub use self::join::join;
pub use self::room::{Bind, Room};
use crate::sys;

/// Why a namespace could not be made or entered.
#[derive(Debug, Error)]
pub enum NetnsError {
    /// `unshare(CLONE_NEWNET)` was refused.
    #[error(
        "cannot create a network namespace: {0}; it needs CAP_SYS_ADMIN, which root has and a user namespace gives \
         (try `unshare -Urn`)"
    )]
    Create(io::Error),
    /// `setns` was refused.
    #[error("cannot enter the network namespace: {0}; it needs CAP_SYS_ADMIN")]
    Enter(io::Error),
    /// `/proc` does not show the namespace of this thread.
    #[error("cannot open {0}: {1}; is /proc mounted?")]
    Open(&'static str, io::Error),
    /// No thread could be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// A network namespace. Clones hold the same one; it ends with its last holder, process and socket.
#[derive(Clone, Debug)]
pub struct Netns {
    fd: Arc<OwnedFd>,
}

const OF_THREAD: &str = "/proc/thread-self/ns/net";

impl Netns {
    /// Makes an empty namespace (a loopback that is down, nothing else). The calling thread stays where it is.
    ///
    /// # Errors
    /// [`NetnsError::Create`] without CAP_SYS_ADMIN.
    pub fn new() -> Result<Self, NetnsError> {
        on_fresh_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| NetnsError::Create(errno.into()))?;
            Self::current()
        })?
    }

    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// [`NetnsError::Open`] where `/proc` is not mounted.
    pub fn current() -> Result<Self, NetnsError> {
        let file = File::open(OF_THREAD).map_err(|err| NetnsError::Open(OF_THREAD, err))?;
        Ok(Self { fd: Arc::new(file.into()) })
    }

    /// Runs `work` on a fresh thread inside the namespace and returns its result; a panic in it goes on here.
    ///
    /// # Errors
    /// [`NetnsError::Enter`] without CAP_SYS_ADMIN over the namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        on_fresh_thread(|| {
            setns(self.fd.as_fd(), CloneFlags::CLONE_NEWNET)
                .map_err(|errno| NetnsError::Enter(errno.into()))?;
            Ok(work())
        })?
    }

    /// A command that will run inside the namespace. That it cannot be entered shows as the error of `spawn`.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        sys::netns::enter_before_exec(&mut command, self.fd.clone());
        command
    }

    /// Kills every process of this machine that runs in the namespace, whoever started it (a daemon that detached
    /// itself included), and returns how many there were. A process that hides in another namespace is not found.
    ///
    /// Processes are looked up in `/proc`; where that belongs to another PID namespace nothing is killed.
    pub fn kill_all(&self) -> usize {
        let Ok(own) = fs::metadata(format!("/proc/self/fd/{}", self.as_raw_fd())) else { return 0 };
        let me = std::process::id();
        if fs::read_link("/proc/self").ok().and_then(|link| link.to_str()?.parse().ok()) != Some(me) {
            return 0;
        }
        let Ok(entries) = fs::read_dir("/proc") else { return 0 };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .filter(|&pid| pid != me)
            .filter(|&pid| {
                // The pidfd comes first: if the process ends and its number is used again between the two, the
                // signal goes to the dead one.
                let Ok(process) = sys::netns::pidfd_open(pid) else { return false };
                let inside = fs::metadata(format!("/proc/{pid}/ns/net"))
                    .is_ok_and(|theirs| (theirs.dev(), theirs.ino()) == (own.dev(), own.ino()));
                inside && sys::netns::pidfd_kill(process.as_fd()).is_ok()
            })
            .count()
    }
}

/// Who has the network namespace that this process runs in. For a daemon that shall not keep one alive by itself.
///
/// Processes are looked up in `/proc`: those of a PID namespace that it does not show are not seen.
#[derive(Debug)]
pub struct Users {
    own: fs::Metadata,
    /// It had a name of ip-netns(8) once. Otherwise a process that cannot be asked may well be in it.
    named: bool,
}

impl Users {
    /// As it is now.
    ///
    /// # Errors
    /// Where `/proc` is not mounted.
    pub fn look() -> io::Result<Self> {
        let mut users = Self { own: fs::metadata("/proc/self/ns/net")?, named: false };
        users.named = users.has_name();
        Ok(users)
    }

    /// Whether it has a name, or another process is in it.
    pub fn are_others(&self) -> bool {
        if self.has_name() {
            return true;
        }
        let Ok(entries) = fs::read_dir("/proc") else { return true };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let others = pids.filter(|pid| *pid != std::process::id());
        others.map(|pid| fs::metadata(format!("/proc/{pid}/ns/net"))).any(|theirs| match theirs {
            Ok(theirs) => self.is_own(&theirs),
            Err(error) => !self.named && error.kind() == io::ErrorKind::PermissionDenied,
        })
    }

    fn has_name(&self) -> bool {
        let names = ["/run/netns", "/var/run/netns"].into_iter().filter_map(|at| fs::read_dir(at).ok());
        names.flatten().flatten().filter_map(|name| fs::metadata(name.path()).ok()).any(|it| self.is_own(&it))
    }

    fn is_own(&self, it: &fs::Metadata) -> bool {
        (it.dev(), it.ino()) == (self.own.dev(), self.own.ino())
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Netns {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Makes the command's process die (SIGKILL) with the **thread** that spawns it: spawn from one that lives as long as
/// the child should. What the child itself starts is not covered.
pub fn die_with_parent(command: &mut Command) {
    sys::netns::die_with_parent(command);
}

fn on_fresh_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, work)
            .map_err(NetnsError::Thread)?;
        thread.join().or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests;
