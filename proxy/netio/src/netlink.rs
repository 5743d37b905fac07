//! Netlink by hand: messages are packed and parsed here, the sockets are `netlink-sys`'s.
//!
//! What steering needs lies partly outside what `netlink-packet-route` can say (rules per protocol, device settings
//! that become 0, neighbour table parameters, all of nf_tables), so one small codec serves everything. Requests are
//! synchronous: the kernel works on them inside `send`, so that undoing needs no runtime and no second task.
//!
//! A socket belongs to the network namespace of the thread that opened it and may be used from any thread.

pub(crate) mod message;
pub(crate) mod route;
pub(crate) mod rule;

use std::io;

use netlink_sys::{Socket, SocketAddr};

pub(crate) use self::message::{Attributes, Message};

/// `NLM_F_REQUEST`.
const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`.
pub(crate) const ACK: u16 = 0x4;
/// `NLM_F_DUMP`.
const DUMP: u16 = 0x300;
/// `NLM_F_REPLACE`.
pub(crate) const REPLACE: u16 = 0x100;
/// `NLM_F_EXCL`.
pub(crate) const EXCL: u16 = 0x200;
/// `NLM_F_CREATE`.
pub(crate) const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`.
pub(crate) const APPEND: u16 = 0x800;
/// `NLM_F_DUMP_INTR`: the table changed during the dump.
const DUMP_INTERRUPTED: u16 = 0x10;

const HEADER: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// One socket for requests.
#[derive(Debug)]
pub(crate) struct NetlinkSocket {
    socket: Socket,
    port: u32,
    sequence: u32,
    buffer: Vec<u8>,
}

impl NetlinkSocket {
    /// A socket of the given protocol (`NETLINK_ROUTE`, `NETLINK_NETFILTER`).
    pub(crate) fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        let port = socket.bind_auto()?.port_number();
        // Lets the kernel filter dumps by table and device; without it (before Linux 4.20) callers filter alone.
        let _ = socket.set_netlink_get_strict_chk(true);
        Ok(Self { socket, port, sequence: 0, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// The number by which the kernel tells others who asked for a change.
    pub(crate) const fn port(&self) -> u32 {
        self.port
    }

    /// Sends a request and waits for the acknowledgement.
    pub(crate) fn request(&mut self, message: Message) -> io::Result<()> {
        self.exchange(message.with_flags(REQUEST | ACK), |_, _| {}).map(|_| ())
    }

    /// Sends a query for one object; `each` sees the answer's type and payload.
    pub(crate) fn query(&mut self, message: Message, each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        self.exchange(message.with_flags(REQUEST | ACK), each).map(|_| ())
    }

    /// Collects a dump; begins again when the table changed meanwhile.
    pub(crate) fn dump<T>(
        &mut self,
        message: &Message,
        mut parse: impl FnMut(u16, &[u8]) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        const ATTEMPTS: u32 = 8;
        let mut found = Vec::new();
        for _ in 0..ATTEMPTS {
            found.clear();
            let whole = self.exchange(message.clone().with_flags(REQUEST | DUMP), |kind, payload| {
                found.extend(parse(kind, payload));
            })?;
            if whole {
                break;
            }
        }
        Ok(found)
    }

    /// Sends messages in one datagram and reads what the kernel has to say to it, all of which is there when `send`
    /// returns. The first error counts; no answer at all is one.
    pub(crate) fn batch(&mut self, messages: Vec<Message>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for message in messages {
            self.sequence += 1;
            bytes.extend_from_slice(&message.with_flags(REQUEST).finish(self.sequence));
        }
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        let (mut answered, mut failure) = (false, None);
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, libc::MSG_DONTWAIT) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            for (header, payload) in message::split(&self.buffer) {
                if header.kind == NLMSG_ERROR {
                    answered = true;
                    failure = failure.or_else(|| message::error(payload));
                }
            }
        }
        match failure {
            Some(e) => Err(e),
            None if !answered => Err(io::ErrorKind::TimedOut.into()),
            None => Ok(()),
        }
    }

    /// True when the answer is consistent.
    fn exchange(&mut self, message: Message, mut each: impl FnMut(u16, &[u8])) -> io::Result<bool> {
        self.sequence += 1;
        let bytes = message.finish(self.sequence);
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        let mut whole = true;
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            for (header, payload) in message::split(&self.buffer) {
                if header.sequence != self.sequence {
                    continue;
                }
                whole &= header.flags & DUMP_INTERRUPTED == 0;
                match header.kind {
                    NLMSG_ERROR => return message::error(payload).map_or(Ok(whole), Err),
                    // Its payload, where there is one, is a status like that of an error.
                    NLMSG_DONE => return message::error(payload).map_or(Ok(whole), Err),
                    kind => each(kind, payload),
                }
            }
        }
    }
}

/// Treats one errno as success.
pub(crate) trait Tolerate {
    /// `Ok` for success and for `errno`.
    fn tolerate(self, errno: i32) -> Self;
}

impl Tolerate for io::Result<()> {
    fn tolerate(self, errno: i32) -> Self {
        match self {
            Err(e) if e.raw_os_error() == Some(errno) => Ok(()),
            other => other,
        }
    }
}
