//! IPv6 anycast membership, which no crate at hand knows.

use std::io;
use std::net::{Ipv6Addr, UdpSocket};
use std::os::fd::AsRawFd;

/// Makes the device answer for the address for as long as the socket is open.
pub(crate) fn join(socket: &UdpSocket, address: Ipv6Addr, device: u32) -> io::Result<()> {
    const IPV6_JOIN_ANYCAST: libc::c_int = 27;
    let request = libc::ipv6_mreq {
        ipv6mr_multiaddr: libc::in6_addr { s6_addr: address.octets() },
        ipv6mr_interface: device,
    };
    // SAFETY: the kernel reads an `ipv6_mreq` of the given length, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IPV6,
            IPV6_JOIN_ANYCAST,
            (&raw const request).cast(),
            size_of_val(&request) as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
