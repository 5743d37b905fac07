//! Socket options that no crate at hand has.

use std::io;
use std::os::fd::AsRawFd;

/// Ends a socket's connection at once: the other end gets RST if there is one, and what was not sent yet is forgotten
/// (`tcp_disconnect`).
pub(crate) fn disconnect(socket: &impl AsRawFd) -> io::Result<()> {
    let nobody = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    // SAFETY: the kernel reads an address of the given length, which outlives the call.
    let result = unsafe {
        libc::connect(socket.as_raw_fd(), &raw const nobody, size_of_val(&nobody) as libc::socklen_t)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets a socket use addresses that are not the host's (`IP_TRANSPARENT`, `IPV6_TRANSPARENT`).
pub(crate) fn set_transparent(socket: &impl AsRawFd, v6: bool) -> io::Result<()> {
    let (level, option) = if v6 {
        (libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT)
    } else {
        (libc::IPPROTO_IP, libc::IP_TRANSPARENT)
    };
    set(socket, level, option, &libc::c_int::from(true).to_ne_bytes())
}

/// Has the socket ignore packets that come with fewer hops left (`IP_MINTTL`, `IPV6_MINHOPCOUNT`).
pub(crate) fn set_least_hops(socket: &impl AsRawFd, v6: bool, hops: u8) -> io::Result<()> {
    const IPV6_MINHOPCOUNT: libc::c_int = 73;
    let (level, option) =
        if v6 { (libc::IPPROTO_IPV6, IPV6_MINHOPCOUNT) } else { (libc::IPPROTO_IP, libc::IP_MINTTL) };
    set(socket, level, option, &libc::c_int::from(hops).to_ne_bytes())
}

/// Has a TCP socket ignore segments that are not signed with a key (RFC 2385), whoever sends them.
pub(crate) fn expect_signature(socket: &impl AsRawFd, v6: bool, key: [u8; 16]) -> io::Result<()> {
    const TCP_MD5SIG_EXT: libc::c_int = 32;
    const PREFIX: u8 = 1;
    // `struct tcp_md5sig`: an address, which is the unspecified one, flags, its prefix length of 0, length of the key,
    // a device, the key.
    let mut signature = [0; 216];
    let family = if v6 { libc::AF_INET6 } else { libc::AF_INET } as libc::sa_family_t;
    signature[..2].copy_from_slice(&family.to_ne_bytes());
    signature[128] = PREFIX;
    signature[130..132].copy_from_slice(&(key.len() as u16).to_ne_bytes());
    signature[136..152].copy_from_slice(&key);
    set(socket, libc::IPPROTO_TCP, TCP_MD5SIG_EXT, &signature)
}

fn set(socket: &impl AsRawFd, level: libc::c_int, option: libc::c_int, value: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads bytes of the given length, which outlive the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
