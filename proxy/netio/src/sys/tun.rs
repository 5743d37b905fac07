//! The ioctls of `/dev/net/tun` (Linux `Documentation/networking/tuntap.rst`).

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Attaches the open device to the interface `name` with `IFF_*` flags, creating it where it does not exist, in the
/// network namespace of the calling thread. A `%d` in the name is the kernel's to fill. Gives the name it has now.
///
/// `name` has at most 15 bytes; what is longer is cut.
pub(crate) fn attach(device: &impl AsFd, name: &str, flags: c_int) -> io::Result<String> {
    // SAFETY: `ifreq` is plain old data; all zeroes is a valid value of every union member.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
        *to = from.cast_signed() as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which outlives the call.
    check(unsafe { libc::ioctl(raw(device), libc::TUNSETIFF, &mut request) })?;
    let name = request.ifr_name.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect();
    String::from_utf8(name).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Tells how many bytes of `virtio_net_hdr` go before each packet.
pub(crate) fn set_vnet_header_size(device: &impl AsFd, bytes: c_int) -> io::Result<()> {
    // SAFETY: TUNSETVNETHDRSZ reads one int, which outlives the call.
    check(unsafe { libc::ioctl(raw(device), libc::TUNSETVNETHDRSZ, &bytes) })
}

/// Tells which offloads (`TUN_F_*`) the reader of the device accepts.
pub(crate) fn set_offload(device: &impl AsFd, mask: libc::c_uint) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    check(unsafe { libc::ioctl(raw(device), libc::TUNSETOFFLOAD, libc::c_ulong::from(mask)) })
}

/// The descriptor of a `tun-tap` interface, which itself only shows the number of it.
pub(crate) fn descriptor(iface: &tun_tap::Iface) -> BorrowedFd<'_> {
    // SAFETY: the interface owns the descriptor and keeps it open for as long as it lives; so long is it borrowed.
    unsafe { BorrowedFd::borrow_raw(iface.as_raw_fd()) }
}

fn raw(device: &impl AsFd) -> c_int {
    device.as_fd().as_raw_fd()
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
