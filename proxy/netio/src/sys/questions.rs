//! Packet sockets that hear who asks something, neighbours for link addresses among others (packet(7)).

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use super::batch::set_option;

/// What came, where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Came {
    /// Bytes, with the Ethernet header.
    pub(crate) len: usize,
    /// The index of the device.
    pub(crate) device: u32,
    /// It is for this host, or for all: not for another host, nor for a VLAN that there is no device of.
    pub(crate) for_us: bool,
}

/// Hears requests of ARP on all devices.
pub(crate) fn arp() -> io::Result<OwnedFd> {
    // The operation is 1.
    hear(libc::ETH_P_ARP, &[load(BPF_H, 20), unless(1, 1), take(0xffff), take(0)])
}

/// Hears neighbour solicitations on all devices.
pub(crate) fn solicitations() -> io::Result<OwnedFd> {
    // ICMPv6 follows the header, of type 135.
    let program = [load(BPF_B, 20), unless(58, 3), load(BPF_B, 54), unless(135, 1), take(0xffff), take(0)];
    hear(libc::ETH_P_IPV6, &program)
}

/// Hears answers of ARP on all devices.
pub(crate) fn arp_answers() -> io::Result<OwnedFd> {
    // The operation is 2.
    hear(libc::ETH_P_ARP, &[load(BPF_H, 20), unless(2, 1), take(0xffff), take(0)])
}

/// Hears, on all Ethernet devices and before anybody can drop it, what comes for a TCP port, and all ICMP, of both
/// families.
pub(crate) fn answers(port: u16) -> io::Result<OwnedFd> {
    /// The length of the IPv4 header that begins there becomes the index.
    const BPF_LDX_HEADER: u16 = 0xb1;
    const BPF_LD_HALF_INDEXED: u16 = 0x48;
    const BPF_JEQ: u16 = 0x15;
    let plain = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let program = [
        load(BPF_H, 12),
        unless(0x0800, 6),
        // IPv4: ICMP, or TCP for the port.
        load(BPF_B, 23),
        when(1, 10),
        unless(6, 10),
        plain(BPF_LDX_HEADER, 14),
        plain(BPF_LD_HALF_INDEXED, 16),
        libc::sock_filter { code: BPF_JEQ, jt: 6, jf: 7, k: port.into() },
        // IPv6: the same.
        unless(0x86dd, 6),
        load(BPF_B, 20),
        when(58, 3),
        unless(6, 3),
        load(BPF_H, 56),
        unless(port.into(), 1),
        take(0xffff),
        take(0),
    ];
    hear(libc::ETH_P_ALL, &program)
}

/// Takes the next one, without waiting for it.
pub(crate) fn recv(socket: &impl AsFd, bytes: &mut [u8]) -> io::Result<Came> {
    // SAFETY: `sockaddr_ll` is plain old data; all zeroes is a valid value.
    let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let mut size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the kernel writes at most the given lengths, of memory that is ours alone for the time of the call.
    let read = unsafe {
        libc::recvfrom(
            socket.as_fd().as_raw_fd(),
            bytes.as_mut_ptr().cast(),
            bytes.len(),
            libc::MSG_DONTWAIT,
            (&raw mut from).cast(),
            &raw mut size,
        )
    };
    let len = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    let for_us =
        matches!(from.sll_pkttype, libc::PACKET_HOST | libc::PACKET_BROADCAST | libc::PACKET_MULTICAST);
    Ok(Came { len, device: from.sll_ifindex.cast_unsigned(), for_us })
}

/// Sizes of what a filter loads.
const BPF_H: u16 = 0x08;
const BPF_B: u16 = 0x10;

/// Loads what is at an offset of the frame.
const fn load(size: u16, at: u32) -> libc::sock_filter {
    const BPF_LD_ABS: u16 = 0x20;
    libc::sock_filter { code: BPF_LD_ABS | size, jt: 0, jf: 0, k: at }
}

/// Passes over so many steps unless that was loaded.
const fn unless(value: u32, steps: u8) -> libc::sock_filter {
    const BPF_JEQ: u16 = 0x15;
    libc::sock_filter { code: BPF_JEQ, jt: 0, jf: steps, k: value }
}

/// Passes over so many steps if that was loaded.
const fn when(value: u32, steps: u8) -> libc::sock_filter {
    const BPF_JEQ: u16 = 0x15;
    libc::sock_filter { code: BPF_JEQ, jt: steps, jf: 0, k: value }
}

/// So many bytes are for the socket.
const fn take(bytes: u32) -> libc::sock_filter {
    const BPF_RET: u16 = 0x06;
    libc::sock_filter { code: BPF_RET, jt: 0, jf: 0, k: bytes }
}

/// Hears what comes in by any device and the program lets through.
pub(crate) fn hear(ethertype: c_int, program: &[libc::sock_filter]) -> io::Result<OwnedFd> {
    const PACKET_IGNORE_OUTGOING: c_int = 23;
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // Protocol 0: it hears nothing before the filter is there.
    // SAFETY: the call takes three integers.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    // SAFETY: the kernel has just given this descriptor to us, and to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    set_option(&socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)?;
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel reads the filter and copies the program that it points to, both of which outlive the call.
    check(unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    })?;
    // SAFETY: `sockaddr_ll` is plain old data; all zeroes is a valid value.
    let mut at: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    at.sll_family = libc::AF_PACKET as u16;
    at.sll_protocol = (ethertype as u16).to_be();
    // SAFETY: the kernel reads one `sockaddr_ll`, which outlives the call.
    check(unsafe {
        libc::bind(fd, (&raw const at).cast(), size_of::<libc::sockaddr_ll>() as libc::socklen_t)
    })?;
    Ok(socket)
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
