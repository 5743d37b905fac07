//! Socket options that no crate at hand has.

use std::io;
use std::os::fd::AsRawFd;

/// Lets a socket use addresses that are not the host's (`IP_TRANSPARENT`, `IPV6_TRANSPARENT`).
pub(crate) fn set_transparent(socket: &impl AsRawFd, v6: bool) -> io::Result<()> {
    let on: libc::c_int = 1;
    let (level, option) = if v6 {
        (libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT)
    } else {
        (libc::IPPROTO_IP, libc::IP_TRANSPARENT)
    };
    // SAFETY: the kernel reads a `c_int` of the given length, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
