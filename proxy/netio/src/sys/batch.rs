//! Many datagrams with one system call (recvmmsg(2)), and what the kernel says beside each (cmsg(3)).

use std::ffi::{c_int, c_uint};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Datagrams that one call takes.
pub(crate) const BATCH: usize = 64;

/// The longest, and a little that keeps the starts of the rooms from sharing lines of the cache.
const ROOM: usize = (1 << 16) + 2048 + 64;

/// Bytes of control messages for each datagram, in words: four of at most four bytes each.
const CONTROL: usize = 16;

/// Datagrams as they came. The buffers are allocated once.
pub(crate) struct Batch {
    rooms: Box<[u8]>,
    control: Box<[[u64; CONTROL]; BATCH]>,
    arrived: [Arrived; BATCH],
    count: usize,
}

/// What is known of a datagram besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Bytes in its room.
    pub(crate) len: usize,
    /// There were more.
    pub(crate) truncated: bool,
    /// Type of service or traffic class of its IP header, if the socket was told to say.
    pub(crate) class: u8,
    /// It is several of this length, the last one perhaps shorter; 0 for one.
    pub(crate) segment: usize,
    /// Datagrams that the socket had no room for so far, if it was told to say and has lost any.
    pub(crate) lost: u32,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self {
            rooms: vec![0; ROOM * BATCH].into_boxed_slice(),
            control: Box::new([[0; CONTROL]; BATCH]),
            arrived: [Arrived::default(); BATCH],
            count: 0,
        }
    }

    /// Takes what is waiting, without waiting for more; says how many. What was here before is gone.
    pub(crate) fn recv(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        self.count = 0;
        // SAFETY: both are plain old data; all zeroes is a valid value (null pointers with lengths of zero).
        let (mut pieces, mut headers): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
            unsafe { std::mem::zeroed() };
        let rooms = self.rooms.chunks_exact_mut(ROOM).zip(self.control.iter_mut());
        for ((header, piece), (room, control)) in headers.iter_mut().zip(&mut pieces).zip(rooms) {
            piece.iov_base = room.as_mut_ptr().cast();
            piece.iov_len = room.len();
            header.msg_hdr.msg_iov = piece;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of_val(control) as _;
        }
        // SAFETY: each header points to one piece and one block of control bytes, each piece to a room of its own, with
        // their true lengths; all of them outlive the call, and nothing else has them meanwhile.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (arrived, header) in self.arrived.iter_mut().zip(&headers[..count]) {
            *arrived = arrived_with(header);
        }
        self.count = count;
        Ok(count)
    }

    /// The datagrams of the last call, in their order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&mut [u8], Arrived)> {
        let rooms = self.rooms.chunks_exact_mut(ROOM).zip(self.arrived);
        rooms.take(self.count).map(|(room, arrived)| (&mut room[..arrived.len], arrived))
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.arrived[..self.count]).finish()
    }
}

/// Reads what recvmmsg has written about one datagram.
fn arrived_with(header: &libc::mmsghdr) -> Arrived {
    let mut arrived = Arrived {
        len: (header.msg_len as usize).min(ROOM),
        truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        ..Arrived::default()
    };
    // SAFETY: the header's control block is the one that recvmmsg has filled, up to the length that it has set, and
    // is still there; it begins at a multiple of eight. The macros stay within that length.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&header.msg_hdr) };
    // SAFETY: as above; what is not null points to a whole header.
    while let Some(message) = unsafe { next.as_ref() } {
        // SAFETY: the data of each of these kinds is one number: a byte or four, as read; the kernel has written it.
        unsafe {
            let data = libc::CMSG_DATA(next);
            match (message.cmsg_level, message.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_TOS) => arrived.class = *data,
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    arrived.class = data.cast::<c_int>().read_unaligned() as u8;
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    arrived.segment = data.cast::<c_int>().read_unaligned().max(0) as usize;
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => arrived.lost = data.cast::<u32>().read_unaligned(),
                _ => {}
            }
            next = libc::CMSG_NXTHDR(&header.msg_hdr, next);
        }
    }
    arrived
}

/// Sets an option that is one int.
pub(crate) fn set_option(socket: &impl AsFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the kernel reads one int of the given length, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
