//! Where this process is: the network namespace, the boot.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;

use crate::sys;

/// Tells network namespaces apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetnsId {
    /// Inode of the namespace: what `ip netns identify` and `lsns` go by. The kernel may use it again once the
    /// namespace is gone.
    pub inode: u64,
    /// The namespace's cookie, never used twice in one boot. None before Linux 5.14.
    pub cookie: Option<u64>,
}

/// The network namespace of the calling thread.
///
/// # Errors
/// `/proc` is not mounted.
pub fn netns_id() -> io::Result<NetnsId> {
    // Not /proc/self: that is the process's first thread, which may be somewhere else.
    let inode = fs::metadata("/proc/thread-self/ns/net")?.ino();
    let cookie = sys::process::netns_cookie(&UnixDatagram::unbound()?).ok();
    Ok(NetnsId { inode, cookie })
}

/// A name for this boot of the kernel, as a UUID: what was noted under another one describes nothing that still
/// exists.
///
/// # Errors
/// `/proc` is not mounted.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use nix::sched::{CloneFlags, unshare};

    use super::*;

    #[test]
    fn a_namespace_is_itself_and_no_other() {
        assert!(
            nix::unistd::Uid::effective().is_root(),
            "this test makes a network namespace: run it as root"
        );
        let here = netns_id().unwrap();
        assert_eq!(netns_id().unwrap(), here);
        let there = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            netns_id().unwrap()
        });
        let there = there.join().unwrap();
        assert_ne!(there.inode, here.inode);
        assert_ne!(there.cookie.unwrap(), here.cookie.unwrap());
        assert_eq!(netns_id().unwrap(), here);
    }

    #[test]
    fn boot_has_an_id() {
        let id = boot_id().unwrap();
        assert_eq!((id.len(), id.matches('-').count()), (36, 4));
        assert_eq!(boot_id().unwrap(), id);
    }
}
