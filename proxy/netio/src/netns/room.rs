//! What a machine of a laboratory has beside its network: mounts and a name of its own, so that programs that read
//! `/etc/hosts`, or show whose prompt it is, take it for a machine.
//!
//! As with network namespaces, the caller never moves: the mounts are made on a fresh thread, and a command enters
//! between `fork` and `exec`.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::sethostname;

use super::on_fresh_thread;
use crate::sys;

/// A mount namespace and a host name, held by descriptors. Clones hold the same ones.
#[derive(Clone, Debug)]
pub struct Room {
    mounts: Arc<OwnedFd>,
    name: Arc<OwnedFd>,
    home: CString,
}

/// A file or directory that is to be seen at another place, which has to exist.
#[derive(Clone, Debug)]
pub struct Bind {
    /// Where it is.
    pub from: PathBuf,
    /// Where it shall be.
    pub to: PathBuf,
}

impl Bind {
    /// Mounts it, with all that is mounted beneath.
    ///
    /// # Errors
    /// What the kernel says; both places have to be there.
    pub fn mount(&self) -> io::Result<()> {
        let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
        let mounted = mount(Some(&self.from), &self.to, None::<&str>, bind, None::<&str>);
        mounted.map_err(|errno| {
            let places = format!("cannot show {} at {}", self.from.display(), self.to.display());
            io::Error::new(io::Error::from(errno).kind(), format!("{places}: {}", errno.desc()))
        })
    }

    /// The same, and nobody can write to it there. Where the mount cannot be changed (it is a container's, and locked)
    /// there is no right to write to it either.
    ///
    /// # Errors
    /// See [`Bind::mount`].
    pub fn mount_read_only(&self) -> io::Result<()> {
        self.mount()?;
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        let _ = mount(None::<&str>, &self.to, None::<&str>, flags, None::<&str>);
        Ok(())
    }
}

impl Room {
    /// The caller's mounts with these over them, in this order. Commands begin in `home`.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN, or when one of the places is missing.
    pub fn new(name: &str, binds: &[Bind], home: &Path) -> io::Result<Self> {
        let home = CString::new(home.as_os_str().as_bytes())?;
        let made = on_fresh_thread(|| -> io::Result<_> {
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)?;
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
            binds.iter().try_for_each(Bind::mount)?;
            sethostname(name)?;
            let of_thread = |kind| File::open(format!("/proc/thread-self/ns/{kind}")).map(OwnedFd::from);
            Ok((Arc::new(of_thread("mnt")?), Arc::new(of_thread("uts")?)))
        });
        let (mounts, name) = made.map_err(io::Error::other)??;
        Ok(Self { mounts, name, home })
    }

    /// Has the command run in it.
    pub fn furnish(&self, command: &mut Command) {
        let spaces = [
            (Arc::clone(&self.name), CloneFlags::CLONE_NEWUTS),
            (Arc::clone(&self.mounts), CloneFlags::CLONE_NEWNS),
        ];
        sys::netns::enter_room_before_exec(command, spaces, self.home.clone());
    }

    /// The descriptors of its mounts and of its name, for [`join`](super::join()) of another process.
    pub fn descriptors(&self) -> [RawFd; 2] {
        [self.mounts.as_raw_fd(), self.name.as_raw_fd()]
    }
}
