//! Going where another process is: into namespaces that it has, or holds by a descriptor.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;

use nix::sched::{CloneFlags, setns};

use crate::sys;

/// Moves this process into a machine of a laboratory whose keeper is process `pid` and holds these descriptors: of a
/// network, of mounts, of a host name. It enters the keeper's user namespace and process numbers as well; what it
/// starts from now on ends with the keeper.
///
/// # Errors
/// The keeper is gone, or somebody else's.
///
/// # Panics
/// When the process has more than one thread.
pub fn join(pid: u32, [net, mounts, name]: [i32; 3]) -> io::Result<()> {
    sys::netns::assert_single_threaded()?;
    let open = |path: String| {
        File::open(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot open {path}: {error}")))
    };
    let user = open(format!("/proc/{pid}/ns/user"))?;
    let own = fs::metadata("/proc/self/ns/user")?;
    let theirs = user.metadata()?;
    let held = |fd: i32| open(format!("/proc/{pid}/fd/{fd}"));
    let spaces = [
        (open(format!("/proc/{pid}/ns/pid"))?, CloneFlags::CLONE_NEWPID),
        (held(net)?, CloneFlags::CLONE_NEWNET),
        (held(name)?, CloneFlags::CLONE_NEWUTS),
        (held(mounts)?, CloneFlags::CLONE_NEWNS),
    ];
    // One's own cannot be entered again.
    if (own.dev(), own.ino()) != (theirs.dev(), theirs.ino()) {
        setns(user, CloneFlags::CLONE_NEWUSER)?;
    }
    for (space, kind) in spaces {
        setns(space, kind)?;
    }
    Ok(())
}
