//! Packet sockets that only send (packet(7)).

use std::ffi::{c_int, c_uint};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// A packet socket that receives nothing, and takes a `virtio_net_hdr` before each frame that it is given.
pub(crate) fn open() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // Protocol 0: nothing is delivered to it.
    // SAFETY: the call takes three integers.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    // SAFETY: the kernel has just given this descriptor to us, and to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    set(&socket, libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1)?;
    widen(&socket)?;
    Ok(socket)
}

/// Has it send past the devices' queueing disciplines.
pub(crate) fn hasten(socket: &OwnedFd) -> io::Result<()> {
    set(socket, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, 1)
}

/// Gives it room for many large packets on their way: until a device has sent them, they count.
fn widen(socket: &OwnedFd) -> io::Result<()> {
    const ROOM: c_int = 16 << 20;
    // More than anybody may have needs CAP_NET_ADMIN.
    set(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, ROOM)
        .or_else(|_| set(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, ROOM))
}

fn set(socket: &OwnedFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let len = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads one int of the given length, which outlives the call.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len) })
        .map(drop)
}

/// What goes out with one system call (sendmmsg(2)). Made once and used again.
pub(crate) struct Batch {
    pieces: Box<[libc::iovec]>,
    addresses: Box<[libc::sockaddr_ll]>,
    messages: Box<[libc::mmsghdr]>,
}

// SAFETY: the pointers in it are set anew for each call, from what is borrowed until its end.
unsafe impl Send for Batch {}

impl Batch {
    /// One that sends up to so many packets at once.
    pub(crate) fn new(most: usize) -> Self {
        // SAFETY: all three are plain old data; all zeroes is a valid value (null pointers with lengths of zero).
        let (piece, mut address, message): (_, libc::sockaddr_ll, _) = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        Self {
            pieces: vec![piece; most].into_boxed_slice(),
            addresses: vec![address; most].into_boxed_slice(),
            messages: vec![message; most].into_boxed_slice(),
        }
    }

    /// Sends header and frame of each out of its device, with its ethertype in host byte order; more than there is room for
    /// are not looked at. Stops at the first that is refused; says how many have gone before it. Fails when that is the
    /// first of all.
    pub(crate) fn send<'a>(
        &mut self,
        socket: &OwnedFd,
        frames: impl Iterator<Item = (&'a [u8], u32, u16)>,
    ) -> io::Result<usize> {
        let places = self.pieces.iter_mut().zip(&mut self.addresses).zip(&mut self.messages);
        let mut count = 0;
        for (((piece, address), message), (bytes, device, ethertype)) in places.zip(frames) {
            piece.iov_base = bytes.as_ptr().cast_mut().cast();
            piece.iov_len = bytes.len();
            address.sll_protocol = ethertype.to_be();
            address.sll_ifindex = device.cast_signed();
            message.msg_hdr.msg_name = std::ptr::from_mut(address).cast();
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            message.msg_hdr.msg_iov = piece;
            message.msg_hdr.msg_iovlen = 1;
            count += 1;
        }
        // SAFETY: each of the first `count` messages points to one piece and one address of ours, and the piece to bytes that
        // are borrowed until the end of this function ('a outlives it); the kernel only reads them, and writes
        // the lengths sent to the messages.
        let sent =
            unsafe { libc::sendmmsg(socket.as_raw_fd(), self.messages.as_mut_ptr(), count as c_uint, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// Sends header and frame out of a device. `ethertype` is in host byte order.
pub(crate) fn send(socket: &impl AsFd, bytes: &[u8], device: u32, ethertype: u16) -> io::Result<()> {
    // SAFETY: `sockaddr_ll` is plain old data; all zeroes is a valid value.
    let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    to.sll_family = libc::AF_PACKET as u16;
    to.sll_protocol = ethertype.to_be();
    to.sll_ifindex = device as c_int;
    // SAFETY: the kernel reads `bytes` and one `sockaddr_ll`, both of which outlive the call.
    let sent = unsafe {
        libc::sendto(
            socket.as_fd().as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            0,
            (&raw const to).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub(crate) fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
