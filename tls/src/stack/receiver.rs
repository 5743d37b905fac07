//! The receiving half of a connection: a socket of smoltcp's, which takes what comes in any order, says what to
//! acknowledge, and holds it for the reader.
//!
//! The socket sees nothing of the other half (see [`super::sender`]), nor of the handshake, addresses and options: each
//! segment reaches it under plain headers of our own, on one interface that all share. That makes it movable: at any
//! moment at which nothing is held a new one can go on from the next sequence number, with another ring. So a ring
//! begins small, grows as the reader gets through it, and is given back with the socket when nothing comes for a while.
//! The right edge of the window never moves back on the way.

mod socket;

use std::io;
use std::time::Duration;

use smoltcp::socket::tcp;
use wire::frame::Frame;
use wire::packet::TcpFlags;

pub(super) use self::socket::Shared;
use self::socket::{Awake, LOCAL, REMOTE, Said};
use super::segment::{BARE, Blocks, Header, Segment};

/// The ring that a connection begins with.
pub(super) const FIRST_RING: usize = 32 << 10;
/// By how much all windows are shifted, which is told in the SYN and stays.
pub(super) const SCALE: u8 = 7;
/// Largest ring, whose windows smoltcp shifts by no more.
const MAX_RING: usize = 4 << 20;
/// What may be told in a SYN, whose window is not shifted.
pub(super) const FIRST_WINDOW: u16 = FIRST_RING as u16;

/// What came of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// There is more to read, or the end.
    pub(super) ready: bool,
    /// It has to be acknowledged at once: it left or filled a gap, or was not expected.
    pub(super) urgent: bool,
}

#[derive(Debug)]
pub(super) struct Receiver {
    /// Next sequence number expected.
    next: u32,
    /// End of the window that the other end has been told.
    edge: u32,
    blocks: Blocks,
    finished: bool,
    sack: bool,
    awake: Option<Box<Awake>>,
    /// Ring of the next socket, and what was read since the present one began.
    ring: usize,
    read: usize,
    max_ring: usize,
}

impl Receiver {
    pub(super) fn new(next: u32, sack: bool, max_ring: usize) -> Self {
        Self {
            next,
            edge: next.wrapping_add(u32::from(FIRST_WINDOW)),
            blocks: Blocks::default(),
            finished: false,
            sack,
            awake: None,
            ring: FIRST_RING,
            read: 0,
            max_ring: max_ring.clamp(FIRST_RING, MAX_RING),
        }
    }

    /// What to acknowledge.
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// How far the other end may send beyond it.
    pub(super) fn window(&self) -> u32 {
        self.edge.wrapping_sub(self.next)
    }

    /// What has come behind gaps.
    pub(super) fn blocks(&self) -> Blocks {
        self.blocks
    }

    /// The other end has said its last.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn ring_bytes(&self) -> usize {
        self.awake.as_ref().map_or(0, |awake| awake.ring)
    }

    /// There is a ring, and nothing is held in it.
    pub(super) fn can_sleep(&self) -> bool {
        self.awake.is_some() && (self.is_empty() || (self.finished && self.readable() == 0))
    }

    /// Bytes that can be read.
    pub(super) fn readable(&self) -> usize {
        self.awake.as_ref().map_or(0, |awake| awake.socket().recv_queue())
    }

    /// Takes a segment with payload or FIN, whose frame is used up.
    pub(super) fn take(
        &mut self,
        shared: &mut Shared,
        frame: &mut Frame,
        segment: &Segment,
        now: Duration,
    ) -> Taken {
        if self.finished {
            return Taken { ready: false, urgent: true };
        }
        let bytes = frame.packet_mut();
        let bytes = &mut bytes[segment.payload_at - BARE..segment.payload_at + segment.payload_len];
        let (ring, finished, next) = (self.ring, self.finished, self.next);
        let mut woken = None;
        let awake = match &mut self.awake {
            Some(awake) => awake,
            None => {
                let (awake, said) = shared.socket(next, self.edge, ring, self.sack, now);
                woken = said;
                self.awake.insert(awake)
            }
        };
        let fin = if segment.flags.fin() { TcpFlags::FIN } else { TcpFlags::default() };
        let header = Header {
            seq: segment.seq,
            ack: awake.ack,
            flags: TcpFlags::ACK | fin,
            window: u16::MAX,
            ..Header::new(REMOTE, LOCAL)
        };
        header.write_bare(bytes);
        let answer = shared.receive(awake, bytes, now);
        self.blocks = answer.map(|said| said.blocks).unwrap_or_default();
        let said = shared.poll(awake, now);
        self.finished = matches!(awake.socket().state(), tcp::State::CloseWait);
        for said in [woken, answer, said].into_iter().flatten() {
            self.hear(said);
        }
        let ready = self.next != next || self.finished != finished;
        Taken { ready, urgent: answer.is_some() || !ready }
    }

    /// Reads into `buf`; `Ok(0)` at the end. The window may have grown by it: then it says so.
    pub(super) fn read(
        &mut self,
        shared: &mut Shared,
        buf: &mut [u8],
        now: Duration,
    ) -> io::Result<(usize, bool)> {
        let Some(awake) = self.awake.as_mut().filter(|awake| awake.socket().can_recv()) else {
            return if self.finished { Ok((0, false)) } else { Err(io::ErrorKind::WouldBlock.into()) };
        };
        let read = awake.socket_mut().recv_slice(buf).unwrap_or(0);
        let edge = self.edge;
        self.read += read;
        let said = shared.poll(awake, now);
        said.into_iter().for_each(|said| self.hear(said));
        if self.read >= self.ring && self.ring < self.max_ring && self.is_empty() {
            self.ring = (self.ring * 4).min(self.max_ring);
            self.renew(shared, now);
        }
        Ok((read, self.edge != edge))
    }

    /// Gives ring and socket back, if nothing is held in them.
    pub(super) fn sleep(&mut self) {
        if self.can_sleep() {
            self.awake = None;
            self.ring = FIRST_RING;
            self.read = 0;
        }
    }

    fn renew(&mut self, shared: &mut Shared, now: Duration) {
        self.read = 0;
        let (awake, said) = shared.socket(self.next, self.edge, self.ring, self.sack, now);
        said.into_iter().for_each(|said| self.hear(said));
        self.awake = Some(awake);
    }

    fn is_empty(&self) -> bool {
        self.readable() == 0 && self.blocks.as_slice().is_empty() && !self.finished
    }

    fn hear(&mut self, said: Said) {
        self.next = said.ack;
        let edge = said.ack.wrapping_add(said.window);
        if edge.wrapping_sub(self.edge) as i32 > 0 {
            self.edge = edge;
        }
    }
}
