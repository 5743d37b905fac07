//! Where packets in tunnels arrive at a server, for kernels that have no tunnel devices: raw sockets (raw(7)) for IPIP
//! and GRE, a UDP socket for GUE, over both families.
//!
//! The kernel has put fragments together, checked the outer checksums and, over IPv6, read the headers before the
//! sockets get anything. As long as they are open it does not answer that nobody is there. Where it merges datagrams
//! on the way in (`UDP_GRO`), they are taken apart here again.
//!
//! A raw socket gets a copy: a kernel that has a tunnel device as well takes the packet out a second time.

mod device;
mod error;
#[cfg(test)]
mod tests;

use std::ffi::c_int;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{Domain, Protocol, Socket, Type};
use wire::decap::{self, Carrier, Refusal};
use wire::packet::Family;

use crate::steer::host;
use crate::sys;
use crate::sys::batch::Batch;

pub use device::{bring_up, is_up, rivals};
pub use error::TunnelError;

/// Bytes of packets that may wait at each socket: what comes at 10 Gbit/s while the reader is away for a few
/// milliseconds.
const RECEIVE_BUFFER: usize = 8 << 20;

/// The sockets of one reader. Nothing blocks: wait with [`crate::poll`], for which this is one descriptor.
#[derive(Debug)]
pub struct Receiver {
    epoll: Epoll,
    sources: Vec<Source>,
    batch: Batch,
}

/// What a packet came in, and what stood behind the outer IP header (of GUE, behind the UDP header).
#[derive(Debug)]
pub struct Arrival<'a> {
    /// What it came in.
    pub carrier: Carrier,
    /// The outer type of service or traffic class.
    pub class: u8,
    /// The rest.
    pub bytes: &'a mut [u8],
}

#[derive(Debug)]
struct Source {
    socket: Socket,
    carrier: Carrier,
    /// The IP header comes along.
    with_header: bool,
    /// Packets that it had no room for.
    lost: u32,
}

impl Receiver {
    /// Opens all sockets in the network namespace of the calling thread: those over IPv6 where the kernel has it.
    ///
    /// # Errors
    /// [`TunnelError`] says what is missing and how to get it.
    pub fn open(gue_port: u16) -> Result<Self, TunnelError> {
        let other = |source: Errno| TunnelError::Other { action: "wait for packets", source: source.into() };
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(other)?;
        let mut sources = Vec::new();
        for family in host::Family::available() {
            let over = if family == host::Family::Ipv4 { Family::V4 } else { Family::V6 };
            for carrier in [Carrier::Ipip(Family::V4), Carrier::Ipip(Family::V6), Carrier::Gre, Carrier::Gue]
            {
                let socket = match carrier {
                    Carrier::Gue => udp(family.unspecified(), gue_port)?,
                    Carrier::Ipip(inner) => {
                        raw(over, if inner == Family::V4 { libc::IPPROTO_IPIP } else { libc::IPPROTO_IPV6 })?
                    }
                    Carrier::Gre => raw(over, libc::IPPROTO_GRE)?,
                };
                let event = EpollEvent::new(EpollFlags::EPOLLIN, sources.len() as u64);
                epoll.add(&socket, event).map_err(other)?;
                let with_header = over == Family::V4 && carrier != Carrier::Gue;
                sources.push(Source { socket, carrier, with_header, lost: 0 });
            }
        }
        Ok(Self { epoll, sources, batch: Batch::new() })
    }

    /// Takes a batch from each socket that has packets waiting, and hands them out in the order in which each socket got
    /// them. Says how many.
    ///
    /// # Errors
    /// The kernel has no memory for it.
    pub fn recv(&mut self, mut each: impl FnMut(Carrier, Result<Arrival<'_>, Refusal>)) -> io::Result<usize> {
        let mut events = [EpollEvent::empty(); 8];
        let ready = match self.epoll.wait(&mut events, EpollTimeout::ZERO) {
            Ok(ready) => ready,
            Err(Errno::EINTR) => 0,
            Err(e) => return Err(e.into()),
        };
        let mut count = 0;
        for event in &events[..ready] {
            let source = &mut self.sources[event.data() as usize];
            match self.batch.recv(&source.socket) {
                Ok(_) => {}
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    continue;
                }
                // Told about a packet that we sent, which is none: only its having been told matters.
                Err(e) if is_about_a_peer(&e) => continue,
                Err(e) => return Err(e),
            }
            for (bytes, arrived) in self.batch.iter_mut() {
                source.lost = source.lost.max(arrived.lost);
                let segment = if arrived.segment == 0 { bytes.len() } else { arrived.segment };
                // An empty datagram is one too.
                let whole = bytes.is_empty().then_some(&mut [][..]);
                for bytes in whole.into_iter().chain(bytes.chunks_mut(segment.max(1))) {
                    count += 1;
                    each(source.carrier, source.arrival(bytes, arrived.class, arrived.truncated));
                }
            }
        }
        Ok(count)
    }

    /// Packets that came and found no room, as far as it was told by those that came after them.
    pub fn lost(&self) -> u64 {
        self.sources.iter().map(|source| u64::from(source.lost)).sum()
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

impl Source {
    fn arrival<'a>(&self, bytes: &'a mut [u8], class: u8, truncated: bool) -> Result<Arrival<'a>, Refusal> {
        let carrier = self.carrier;
        if truncated {
            return Err(Refusal::OuterMalformed);
        }
        if !self.with_header {
            return Ok(Arrival { carrier, class, bytes });
        }
        let outer = decap::outer(bytes)?;
        Ok(Arrival { carrier, class: outer.class, bytes: &mut bytes[outer.payload] })
    }
}

fn raw(family: Family, protocol: c_int) -> Result<Socket, TunnelError> {
    let domain = if family == Family::V4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(Protocol::from(protocol)))
        .map_err(|source| TunnelError::raw(protocol, source))?;
    tell_more(&socket, family).map_err(TunnelError::options)?;
    Ok(socket)
}

fn udp(any: IpAddr, port: u16) -> Result<Socket, TunnelError> {
    let family = Family::from(any);
    let domain = if family == Family::V4 { Domain::IPV4 } else { Domain::IPV6 };
    let open = || -> io::Result<Socket> {
        let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), None)?;
        if family == Family::V6 {
            // RFC 6935: tunnels may go without a checksum.
            const UDP_NO_CHECK6_RX: c_int = 102;
            socket.set_only_v6(true)?;
            sys::batch::set_option(&socket, libc::SOL_UDP, UDP_NO_CHECK6_RX, 1)?;
        }
        tell_more(&socket, family)?;
        // Before Linux 5.0 there is none.
        let _ = sys::batch::set_option(&socket, libc::SOL_UDP, libc::UDP_GRO, 1);
        Ok(socket)
    };
    let socket = open().map_err(TunnelError::options)?;
    socket.bind(&SocketAddr::new(any, port).into()).map_err(|source| TunnelError::bind(port, source))?;
    Ok(socket)
}

/// The class of each packet, and how many got lost before it.
fn tell_more(socket: &Socket, family: Family) -> io::Result<()> {
    let (level, name) = match family {
        Family::V4 => (libc::IPPROTO_IP, libc::IP_RECVTOS),
        Family::V6 => (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS),
    };
    sys::batch::set_option(socket, level, name, 1)?;
    sys::batch::set_option(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
    let size = RECEIVE_BUFFER as c_int;
    // Beyond the host's limit with CAP_NET_ADMIN only, which in a container is not that of the host.
    sys::batch::set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, size)
        .or_else(|_| socket.set_recv_buffer_size(RECEIVE_BUFFER))
}

/// An error that an ICMP message has left at the socket.
fn is_about_a_peer(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EPROTO | libc::EMSGSIZE)
    )
}
