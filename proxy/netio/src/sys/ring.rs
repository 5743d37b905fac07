//! Receive rings of packet sockets, TPACKET_V2 (Linux `Documentation/networking/packet_mmap.rst`).
//!
//! A ring's memory is mapped once and never given up, so that what lies in it may be borrowed for ever: as many rings as a
//! process opens, so many stay. Who owns a slot says its status: the kernel, or we.

use std::ffi::{c_int, c_uint};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::packet::check;

/// How far into its slot a packet's network header is: at the beginning of a line of the cache, with this much room
/// before it, in which the kernel writes what is before the packet on its link.
pub(crate) const PACKET_AT: usize = 192;

/// What the kernel puts there before that by itself: its own header (52 bytes) and 16 for the link's, aligned, and a
/// `virtio_net_hdr`.
const BY_ITSELF: usize = 80 + wire::vnet::LEN;

/// The kernel allocates in pieces of this size, if it can.
const BLOCK: usize = 1 << 20;

/// Bytes of the kernel's own header of a slot.
const HEADER: usize = size_of::<libc::tpacket2_hdr>() + size_of::<libc::sockaddr_ll>();

/// One place for a packet.
pub(crate) struct Slot {
    header: NonNull<libc::tpacket2_hdr>,
}

// SAFETY: it points into memory that is never given up; what is in there is read only while the status says that it is
// ours, and only through this value.
unsafe impl Send for Slot {}

/// A slot, and its memory for as long as the process lives.
pub(crate) type Lent = (Slot, &'static mut [u8]);

/// What the kernel says about a packet in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    /// Bytes of it, its link's header included, as it was.
    pub(crate) len: usize,
    /// As many are there.
    pub(crate) kept: usize,
    /// Where its link's header begins, from the slot's start.
    pub(crate) link_at: usize,
    /// Where its network header begins.
    pub(crate) packet_at: usize,
    /// Index of the device.
    pub(crate) device: u32,
    /// The VLAN tag that it had: type and contents.
    pub(crate) tag: Option<[u8; 4]>,
}

/// A socket that receives nothing yet, with its ring: for each slot its handle, and its memory from `from` on to its end,
/// which has room for `room` bytes at [`PACKET_AT`].
pub(crate) fn open(slots: usize, from: usize, room: usize) -> io::Result<(OwnedFd, Vec<Lent>)> {
    const { assert!(HEADER <= PACKET_AT - 128, "the memory lent begins behind the kernel's header") };
    assert!((HEADER..=PACKET_AT).contains(&from), "lent is what is behind the kernel's header");
    let socket = socket()?;
    let set = |name, value: c_uint| option(&socket, name, &value);
    set(libc::PACKET_VERSION, libc::tpacket_versions::TPACKET_V2 as c_uint)?;
    set(libc::PACKET_VNET_HDR, 1)?;
    set(libc::PACKET_IGNORE_OUTGOING, 1)?;
    set(libc::PACKET_RESERVE, (PACKET_AT - BY_ITSELF) as c_uint)?;
    // An odd number of lines: otherwise the starts of all slots would compete for the same few lines of the cache.
    let size = (PACKET_AT + room).div_ceil(64) | 1;
    let size = size * 64;
    let in_block = BLOCK / size;
    let blocks = slots.div_ceil(in_block);
    let request = libc::tpacket_req {
        tp_block_size: BLOCK as c_uint,
        tp_block_nr: blocks as c_uint,
        tp_frame_size: size as c_uint,
        tp_frame_nr: (blocks * in_block) as c_uint,
    };
    option(&socket, libc::PACKET_RX_RING, &request)?;
    // SAFETY: a new mapping, at no address of ours, of as many bytes as the ring has.
    let base = unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        libc::mmap(std::ptr::null_mut(), blocks * BLOCK, protection, flags, socket.as_raw_fd(), 0)
    };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let places = (0..blocks).flat_map(|block| (0..in_block).map(move |n| block * BLOCK + n * size));
    let slots = places.map(|at| {
        // SAFETY: each place is a slot of its own within the mapping, which is never undone. The memory lent out begins behind
        // what a `Slot` reads, and nobody else has it. The kernel writes to it only while the slot is its own, which ends
        // and begins with the status; whoever has the memory keeps to that (see `crate::packet`).
        unsafe {
            let slot = base.cast::<u8>().add(at);
            let memory = std::slice::from_raw_parts_mut(slot.add(from), size - from);
            (Slot { header: NonNull::new_unchecked(slot.cast()) }, memory)
        }
    });
    let slots = slots.collect();
    Ok((socket, slots))
}

/// Receives from now on, of all devices, whatever the filter lets through.
pub(crate) fn receive(socket: &OwnedFd) -> io::Result<()> {
    // SAFETY: `sockaddr_ll` is plain old data; all zeroes is a valid value.
    let mut at: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    at.sll_family = libc::AF_PACKET as u16;
    at.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    let len = size_of_val(&at) as libc::socklen_t;
    // SAFETY: the kernel reads one `sockaddr_ll` of the given length, which outlives the call.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const at).cast(), len) }).map(drop)
}

/// Joins sockets that receive already: each packet is for one of them, all for the first before [`spread`] says otherwise.
pub(crate) fn share<'a>(sockets: impl IntoIterator<Item = &'a OwnedFd>) -> io::Result<()> {
    let mut group: c_uint = 0;
    for (i, socket) in sockets.into_iter().enumerate() {
        let unique = if i == 0 { libc::PACKET_FANOUT_FLAG_UNIQUEID } else { 0 };
        let kind = libc::PACKET_FANOUT_CBPF | libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING | unique;
        option(socket, libc::PACKET_FANOUT, &(group | kind << 16))?;
        group = read_option::<c_uint>(socket, libc::PACKET_FANOUT)? & 0xffff;
    }
    Ok(())
}

/// Packets since the last time: those that the ring has taken, and those that it could not.
pub(crate) fn taken_and_lost(socket: &OwnedFd) -> io::Result<[u64; 2]> {
    // The first number of `tpacket_stats` is that of all.
    let [all, lost] = read_option::<[c_uint; 2]>(socket, libc::PACKET_STATISTICS)?;
    Ok([all.saturating_sub(lost).into(), lost.into()])
}

/// Lets only those packets through for which the program says so, from now on.
pub(crate) fn filter(socket: &impl AsFd, program: &[libc::sock_filter]) -> io::Result<()> {
    attach(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program)
}

/// Has the program say which of the sockets that were joined with this one a packet is for, from now on.
pub(crate) fn spread(socket: &impl AsFd, program: &[libc::sock_filter]) -> io::Result<()> {
    attach(socket, libc::SOL_PACKET, libc::PACKET_FANOUT_DATA, program)
}

fn attach(socket: &impl AsFd, level: c_int, name: c_int, program: &[libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let size = size_of_val(&program) as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads a description of the program and as many instructions as that says; it changes none, and
    // both outlive the call.
    let result = unsafe { libc::setsockopt(fd, level, name, (&raw const program).cast(), size) };
    check(result).map(drop)
}

impl Slot {
    /// What is in it, if it is ours. It stays so until [`Self::give_back`].
    pub(crate) fn look(&self) -> Option<Described> {
        let status = self.status().load(Ordering::Acquire);
        if status & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: the header is there for ever; the status, read before with the order that the kernel has written it in,
        // says that the kernel is done with it. What follows it, at the distance that the kernel uses, is an address.
        let (header, device) = unsafe {
            let header = self.header.as_ptr();
            let address = header.add(1).cast::<libc::sockaddr_ll>();
            (header.read_volatile(), (&raw const (*address).sll_ifindex).read_volatile())
        };
        Some(Described {
            len: header.tp_len as usize,
            kept: header.tp_snaplen as usize,
            link_at: header.tp_mac.into(),
            packet_at: header.tp_net.into(),
            device: device.cast_unsigned(),
            tag: (status & libc::TP_STATUS_VLAN_VALID != 0).then(|| {
                let kind = match status & libc::TP_STATUS_VLAN_TPID_VALID {
                    0 => libc::ETH_P_8021Q as u16,
                    _ => header.tp_vlan_tpid,
                };
                let ([a, b], [c, d]) = (kind.to_be_bytes(), header.tp_vlan_tci.to_be_bytes());
                [a, b, c, d]
            }),
        })
    }

    /// Whether there is a packet in it.
    #[inline]
    pub(crate) fn is_ours(&self) -> bool {
        self.status().load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// When the kernel had it there, in nanoseconds by the host's clock, if there is a packet in it.
    #[inline]
    pub(crate) fn came(&self) -> Option<u64> {
        // SAFETY: as in `look`.
        self.is_ours().then(|| unsafe {
            let header = self.header.as_ptr();
            let [seconds, nanos] = [(&raw const (*header).tp_sec), (&raw const (*header).tp_nsec)];
            u64::from(seconds.read_volatile()) * 1_000_000_000 + u64::from(nanos.read_volatile())
        })
    }

    /// It is the kernel's again.
    pub(crate) fn give_back(&self) {
        self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }

    fn status(&self) -> &AtomicU32 {
        // SAFETY: the status is four bytes, aligned, and there for ever; both sides read and write it as a whole.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.header.as_ptr()).tp_status) }
    }
}

/// Protocol 0: nothing is delivered to it before it is bound.
fn socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the call takes three integers.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    // SAFETY: the kernel has just given this descriptor to us, and to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn option<T>(socket: &OwnedFd, name: c_int, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel reads one value of the given length, which outlives the call.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, name, std::ptr::from_ref(value).cast(), len)
    };
    check(result).map(drop)
}

fn read_option<T: Copy + Default>(socket: &OwnedFd, name: c_int) -> io::Result<T> {
    let mut value = T::default();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `value`, which is made of integers here (see the callers), and the
    // length to `len`; both outlive the call.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_PACKET, name, (&raw mut value).cast(), &mut len)
    };
    check(result)?;
    Ok(value)
}
