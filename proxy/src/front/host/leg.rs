//! A socket of the host as a leg of a session.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::event::Event;
use mio::net::TcpStream;
use tls::Leg;

/// A socket, what has gone through it since somebody asked, and what is known of its readiness.
#[derive(Debug)]
pub(in crate::front) struct HostLeg {
    pub(in crate::front) stream: TcpStream,
    pub(super) read: u64,
    pub(super) written: u64,
    /// Something may have come: a read that finds nothing says no. Saves asking the kernel in vain.
    pub(in crate::front) readable: bool,
    /// The end has come, or is behind what can still be read.
    ended: bool,
    /// So for room.
    pub(in crate::front) writable: bool,
}

impl HostLeg {
    pub(super) fn new(stream: TcpStream, writable: bool) -> Self {
        Self { stream, read: 0, written: 0, readable: writable, ended: false, writable }
    }

    /// What has gone through it since the last time: read, written.
    pub(super) fn take_moved(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.read), std::mem::take(&mut self.written))
    }

    /// The kernel has said that it is ready, to be read or written, or that it has ended.
    pub(in crate::front) fn heed(&mut self, event: &Event) {
        self.ended |= event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || self.ended;
        self.writable |= event.is_writable() || self.ended;
    }

    fn wrote(&mut self, wanted: usize, result: io::Result<usize>) -> io::Result<usize> {
        match &result {
            Ok(n) => {
                self.written += *n as u64;
                // The kernel took less than it was given: it says when there is room again.
                self.writable = *n == wanted;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
            Err(_) => {}
        }
        result
    }
}

impl Read for HostLeg {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.readable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = self.stream.read(buffer);
        match &result {
            // The end is found again by whoever reads again.
            Ok(0) => self.ended = true,
            Ok(n) => {
                self.read += *n as u64;
                // That was all: of whatever comes from here on the kernel tells anew, but of an end it has told already.
                self.readable = self.ended || *n == buffer.len();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
            Err(_) => {}
        }
        result
    }
}

impl Write for HostLeg {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.writable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = self.stream.write(bytes);
        self.wrote(bytes.len(), result)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.writable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = self.stream.write_vectored(slices);
        self.wrote(slices.iter().map(|slice| slice.len()).sum(), result)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Leg for HostLeg {
    fn shutdown(&mut self) {
        // Fails where the other end has gone: which is found by reading.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn abort(&mut self) {
        // Not by closing it: that may be much later, and a shutdown before it would be a clean end. (Cannot fail.)
        let _ = netio::front::reset(&self.stream);
    }
}
