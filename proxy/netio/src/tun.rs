//! The TUN port: where the kernel hands packets to user space and takes them back.
//!
//! With offload, one device has several queues and each packet travels behind a `virtio_net_hdr`: checksums may be
//! partial and packets may be super-packets of 64 KiB, both ways. Where the kernel refuses that, or the caller does
//! not want it, the device is plain: one queue, finished packets only, opened by `tun-tap`.
//!
//! A device lives as long as its queues are open. The one that is opened here is always new: a device of that name
//! that exists already is left alone. Queues never block and allocate nothing.

mod error;
mod queue;
#[cfg(test)]
mod tests;

use std::ffi::c_int;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::sys;

pub use error::{OffloadRefused, TunError};
pub use queue::{Queue, Received, Unreadable};

/// Where the kernel offers TUN devices. `tun-tap` has it built in.
const DEVICE: &str = "/dev/net/tun";

/// What to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunConfig {
    /// Interface name, 1 to 15 bytes; the kernel puts the first free number in the place of a `%d`.
    pub name: String,
    /// Queues wanted, at least 1. A plain device has one whatever is asked.
    pub queues: usize,
    /// Try the offloads. Without this the device is plain.
    pub offload: bool,
}

/// What the device passes unfinished, both ways. All false on a plain device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Packets with a partial transport checksum.
    pub checksum: bool,
    /// TCP super-packets, IPv4 and IPv6, with ECN or without.
    pub tso: bool,
    /// UDP super-packets, IPv4 and IPv6 (since Linux 6.2).
    pub uso: bool,
}

/// An open TUN device. It disappears when the last of its queues is closed.
#[derive(Debug)]
pub struct Tun {
    /// Interface name.
    pub name: String,
    /// Interface index.
    pub index: u32,
    /// The queues, each for one worker. The kernel spreads flows over them.
    pub queues: Vec<Queue>,
    /// What is offloaded.
    pub offload: Offloads,
    /// Why the device is plain although offload was asked for.
    pub refused: Option<OffloadRefused>,
}

impl Tun {
    /// Creates the device in the network namespace of the calling thread. It is down and has no address.
    ///
    /// # Errors
    /// [`TunError`] says what is missing and how to get it. A kernel that refuses the offloads is no error: see
    /// [`Tun::refused`].
    pub fn open(config: &TunConfig) -> Result<Self, TunError> {
        Self::open_at(Path::new(DEVICE), config)
    }

    fn open_at(path: &Path, config: &TunConfig) -> Result<Self, TunError> {
        let name = &config.name;
        if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains(['/', ' ', ':', '\0']) {
            return Err(TunError::BadName { name: name.clone() });
        }
        if config.queues == 0 {
            return Err(TunError::NoQueues { name: name.clone() });
        }
        let device = open_device(path)?;
        if !config.offload {
            drop(device);
            return Self::plain(name, None);
        }
        match Self::offloaded(path, device, name, config.queues)? {
            Ok(tun) => Ok(tun),
            Err(refused) => Self::plain(name, Some(refused)),
        }
    }

    /// The device with offloads; the inner error where this kernel has none for us.
    fn offloaded(
        path: &Path,
        device: File,
        name: &str,
        queues: usize,
    ) -> Result<Result<Self, OffloadRefused>, TunError> {
        const FLAGS: c_int = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_MULTI_QUEUE | libc::IFF_VNET_HDR;
        let refused = |step| move |source| OffloadRefused { step, source };

        // Exclusively: without that the kernel would add our queue to another process's multi-queue device.
        let name = match sys::tun::attach(&device, name, FLAGS | libc::IFF_TUN_EXCL) {
            Ok(name) => name,
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
                return Ok(Err(refused("several queues with a virtio_net_hdr (TUNSETIFF)")(e)));
            }
            Err(e) => return Err(TunError::attach(name, e)),
        };
        let offload = match offload(&device) {
            Ok(offload) => offload,
            Err(refused) => return Ok(Err(refused)),
        };
        let mut files = vec![device];
        for _ in 1..queues {
            let device = open_device(path)?;
            sys::tun::attach(&device, &name, FLAGS).map_err(|e| TunError::attach(&name, e))?;
            files.push(device);
        }
        let queues = files.into_iter().map(Queue::offload).collect();
        Ok(Ok(Self { index: index(&name)?, name, queues, offload, refused: None }))
    }

    fn plain(name: &str, refused: Option<OffloadRefused>) -> Result<Self, TunError> {
        // `tun-tap` cannot ask for an exclusive device, and would join a persistent one.
        if nix::net::if_::if_nametoindex(name).is_ok() {
            return Err(TunError::Busy { name: name.to_owned() });
        }
        let iface = tun_tap::Iface::without_packet_info(name, tun_tap::Mode::Tun)
            .map_err(|e| TunError::attach(name, e))?;
        let name = iface.name().to_owned();
        let other = |source| TunError::Other { name: name.clone(), source };
        iface.set_non_blocking().map_err(other)?;
        // The mask belongs to the device, and a plain reader could not tell a super-packet from a packet.
        sys::tun::set_offload(&sys::tun::descriptor(&iface), 0).map_err(other)?;
        Ok(Self {
            index: index(&name)?,
            name,
            queues: vec![Queue::plain(iface)],
            offload: Offloads::default(),
            refused,
        })
    }
}

/// Sets the header size and the widest offload mask that this kernel takes.
fn offload(device: &File) -> Result<Offloads, OffloadRefused> {
    const TCP: libc::c_uint = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    const UDP: libc::c_uint = libc::TUN_F_USO4 | libc::TUN_F_USO6;
    let refused = |step| move |source| OffloadRefused { step, source };

    sys::tun::set_vnet_header_size(device, wire::vnet::LEN as c_int)
        .map_err(refused("a virtio_net_hdr of 10 bytes (TUNSETVNETHDRSZ)"))?;
    let uso = sys::tun::set_offload(device, TCP | UDP).is_ok();
    if !uso {
        sys::tun::set_offload(device, TCP).map_err(refused("checksum and TCP offload (TUNSETOFFLOAD)"))?;
    }
    Ok(Offloads { checksum: true, tso: true, uso })
}

fn open_device(path: &Path) -> Result<File, TunError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(|e| TunError::device(path, e))
}

fn index(name: &str) -> Result<u32, TunError> {
    nix::net::if_::if_nametoindex(name)
        .map_err(|e| TunError::Other { name: name.to_owned(), source: io::Error::from(e) })
}
