//! TCP in memory: two directions, each with its room, its end and its loss.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice, Read, Write},
    rc::Rc,
};

use tls::Leg;

/// One direction.
#[derive(Debug)]
pub(crate) struct Direction {
    pub(crate) queue: VecDeque<u8>,
    /// Bytes that may be under way.
    pub(crate) room: usize,
    pub(crate) fin: bool,
    /// Writes that have moved something.
    pub(crate) writes: usize,
}

/// A connection, as both ends see it.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) there: Direction,
    pub(crate) back: Direction,
    pub(crate) reset: bool,
    /// Bytes that one read or one write moves.
    pub(crate) step: usize,
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct WireEnd {
    pub(crate) wire: Rc<RefCell<Wire>>,
    near: bool,
}

/// A connection: the end that has made it, and the end that has taken it.
pub(crate) fn wire() -> (WireEnd, WireEnd) {
    let direction = || Direction { queue: VecDeque::new(), room: usize::MAX, fin: false, writes: 0 };
    let wire = Wire { there: direction(), back: direction(), reset: false, step: usize::MAX };
    let wire = Rc::new(RefCell::new(wire));
    (WireEnd { wire: wire.clone(), near: true }, WireEnd { wire, near: false })
}

impl WireEnd {
    fn with<T>(&self, f: impl FnOnce(&mut Direction, usize) -> T) -> io::Result<T> {
        let mut wire = self.wire.borrow_mut();
        if wire.reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let step = wire.step;
        Ok(f(if self.near { &mut wire.there } else { &mut wire.back }, step))
    }

    fn other(&self) -> Self {
        Self { wire: self.wire.clone(), near: !self.near }
    }

    pub(crate) fn is_reset(&self) -> bool {
        self.wire.borrow().reset
    }

    /// Everything that waits for this end.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.read_to_end(&mut bytes);
        bytes
    }

    /// Whether the other end has said its end and everything before it was read.
    pub(crate) fn ended(&self) -> bool {
        self.other().with(|d, _| d.fin && d.queue.is_empty()).unwrap_or(false)
    }
}

impl Read for WireEnd {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.other().with(|d, step| {
            let n = d.queue.len().min(buf.len()).min(step);
            if n == 0 && !buf.is_empty() && !d.fin {
                return Err(ErrorKind::WouldBlock.into());
            }
            d.queue.drain(..n).zip(buf).for_each(|(from, to)| *to = from);
            Ok(n)
        })?
    }
}

impl Write for WireEnd {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.with(|d, step| {
            assert!(!d.fin || buf.is_empty(), "nothing is written after the end");
            let n = buf.len().min(step).min(d.room.saturating_sub(d.queue.len()));
            if n == 0 && !buf.is_empty() {
                return Err(ErrorKind::WouldBlock.into());
            }
            d.queue.extend(&buf[..n]);
            d.writes += usize::from(n > 0);
            Ok(n)
        })?
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        self.write(&all)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Leg for WireEnd {
    fn shutdown(&mut self) {
        let _ = self.with(|d, _| d.fin = true);
    }

    fn abort(&mut self) {
        let mut wire = self.wire.borrow_mut();
        wire.reset = true;
        wire.there.queue.clear();
        wire.back.queue.clear();
    }
}
