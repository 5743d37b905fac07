//! One connection: both halves, and what they share (RFC 9293; RFC 7323 for windows and timestamps, RFC 5961 against
//! those who guess).
//!
//! All frames of a connection pass through [`Flow::receive`] and [`Flow::next_frame`]. A flow never asks for the time
//! and never hands out more than its stack polls for.

mod open;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use wire::frame::Frame;
use wire::packet::TcpFlags;

use self::open::Open;
use super::opening::Opening;
use super::receiver::Shared;
use super::segment::{Header, Segment};

/// How long a connection that nobody here has an interest in any more waits for its other end.
const ORPHANED: Duration = Duration::from_secs(60);

/// What a flow needs from its stack.
pub(super) struct Context<'a> {
    pub(super) shared: &'a mut Shared,
    pub(super) now: Duration,
    /// Value of our timestamps.
    pub(super) clock: u32,
    pub(super) receive: usize,
    pub(super) send: usize,
    pub(super) idle: Duration,
}

impl Context<'_> {
    /// When a segment was sent that had this timestamp, to the millisecond.
    fn sent_at(&self, echo: u32) -> Option<Duration> {
        let age = Duration::from_millis(self.clock.wrapping_sub(echo).into());
        Duration::from_millis(self.now.as_millis() as u64).checked_sub(age)
    }
}

/// What both ends agreed on, as this one sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed {
    /// Largest segment to send, options included.
    pub(super) mss: u16,
    /// By how much the other end's windows are shifted; ours are too then.
    pub(super) scale: Option<u8>,
    pub(super) sack: bool,
    /// The other end's latest timestamp.
    pub(super) timestamp: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Flow {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    stage: Stage,
    /// When nobody had an interest in it any more.
    orphaned: Option<Duration>,
    /// A reset is to be sent, with this number.
    reset: Option<u32>,
}

#[derive(Debug)]
enum Stage {
    Opening(Opening),
    Open(Box<Open>),
    Lost(io::ErrorKind),
}

/// What is left of a flow that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remnant {
    seq: u32,
    ack: u32,
    timestamp: Option<u32>,
}

impl Flow {
    /// A connection that is to be opened from here.
    pub(super) fn opening(local: SocketAddr, remote: SocketAddr, opening: Opening) -> Self {
        Self { local, remote, stage: Stage::Opening(opening), orphaned: None, reset: None }
    }

    /// A connection whose handshake is complete with this segment. `rtt` is what the handshake took, if that is known.
    pub(super) fn open(segment: &Segment, agreed: Agreed, rtt: Option<Duration>, cx: &Context<'_>) -> Self {
        let stage = Stage::Open(Box::new(Open::new(segment, agreed, rtt, cx)));
        Self { local: segment.to, remote: segment.from, stage, orphaned: None, reset: None }
    }

    /// Takes a segment; the frame is used up. Says whether there is news for whoever uses the connection.
    pub(super) fn receive(&mut self, frame: &mut Frame, segment: &Segment, cx: &mut Context<'_>) -> bool {
        let news = self.take(frame, segment, cx);
        news && self.orphaned.is_none()
    }

    fn take(&mut self, frame: &mut Frame, segment: &Segment, cx: &mut Context<'_>) -> bool {
        match &mut self.stage {
            Stage::Lost(_) => false,
            Stage::Open(open) => match open.receive(frame, segment, cx) {
                Ok(news) => {
                    if self.orphaned.is_some() && open.receiver.readable() > 0 {
                        self.abort();
                    }
                    news
                }
                Err(lost) => {
                    self.stage = Stage::Lost(lost);
                    true
                }
            },
            Stage::Opening(opening) => match opening.receive(segment) {
                Ok(None) => false,
                Ok(Some(agreed)) => {
                    let mut open = Open::new(segment, agreed, opening.rtt(cx.now), cx);
                    open.owe_now();
                    self.stage = Stage::Open(Box::new(open));
                    true
                }
                Err(lost) => {
                    self.stage = Stage::Lost(lost);
                    true
                }
            },
        }
    }

    /// Makes `out` the next frame to send, and says of what kind; `None` when there is none for now.
    pub(super) fn next_frame(&mut self, out: &mut Frame, cx: &Context<'_>) -> Option<Kind> {
        if let Some(seq) = self.reset.take() {
            let flags = TcpFlags::RST | TcpFlags::ACK;
            let ack = match &self.stage {
                Stage::Open(open) => open.receiver.next(),
                _ => 0,
            };
            Header { seq, ack, flags, ..Header::new(self.local, self.remote) }.write(out, [&[], &[]], 1);
            self.stage = Stage::Lost(self.lost());
            return Some(Kind::Fresh);
        }
        let header = Header::new(self.local, self.remote);
        match &mut self.stage {
            Stage::Open(open) => open.next_frame(out, header, cx),
            Stage::Opening(opening) => {
                let resent = opening.is_repeated();
                let header = opening.next_header(header, cx.clock, cx.now)?;
                header.write(out, [&[], &[]], 1);
                Some(if resent { Kind::Resent } else { Kind::Fresh })
            }
            Stage::Lost(_) => None,
        }
    }

    pub(super) fn read(&mut self, buf: &mut [u8], cx: &mut Context<'_>) -> io::Result<usize> {
        match &mut self.stage {
            Stage::Open(open) => open.read(buf, cx),
            Stage::Opening(_) => Err(io::ErrorKind::WouldBlock.into()),
            Stage::Lost(lost) => Err((*lost).into()),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stage {
            Stage::Open(open) => open.write(bytes),
            Stage::Opening(_) => Err(io::ErrorKind::WouldBlock.into()),
            Stage::Lost(lost) => Err((*lost).into()),
        }
    }

    /// Says the end of our direction. What is not open yet is given up.
    pub(super) fn shutdown(&mut self) {
        match &mut self.stage {
            Stage::Open(open) => open.sender.finish(),
            Stage::Opening(_) => self.abort(),
            Stage::Lost(_) => {}
        }
    }

    /// Ends the connection with a reset.
    pub(super) fn abort(&mut self) {
        match &self.stage {
            Stage::Open(open) => self.reset = Some(open.sender.next_seq()),
            Stage::Opening(opening) => self.reset = Some(opening.next_seq()),
            Stage::Lost(_) => {}
        }
    }

    /// Nobody will read or write any more: what was written still goes, what is not read is refused.
    pub(super) fn release(&mut self, now: Duration) {
        self.orphaned.get_or_insert(now);
        let unread = matches!(&self.stage, Stage::Open(open) if open.receiver.readable() > 0);
        if unread { self.abort() } else { self.shutdown() }
    }

    /// There is nothing left to do, and nobody has an interest in it.
    pub(super) fn is_over(&self) -> bool {
        self.orphaned.is_some()
            && self.reset.is_none()
            && match &self.stage {
                Stage::Open(open) => open.is_over(),
                Stage::Opening(_) => false,
                Stage::Lost(_) => true,
            }
    }

    /// What has to be remembered of it.
    pub(super) fn remnant(&self) -> Option<Remnant> {
        match &self.stage {
            Stage::Open(open) => Some(Remnant {
                seq: open.sender.next_seq(),
                ack: open.receiver.next(),
                timestamp: open.agreed.timestamp,
            }),
            _ => None,
        }
    }

    /// No packet on the way takes more any more.
    pub(super) fn shrink(&mut self, mss: u16) {
        if let Stage::Open(open) = &mut self.stage {
            open.shrink(mss);
        }
    }

    /// When something has to be done though nothing comes.
    pub(super) fn deadline(&self, idle: Duration) -> Option<Duration> {
        let own = match &self.stage {
            Stage::Open(open) => open.deadline(idle),
            Stage::Opening(opening) => Some(opening.deadline()),
            Stage::Lost(_) => None,
        };
        let orphaned = self.orphaned.map(|at| at + ORPHANED);
        own.into_iter().chain(orphaned).min()
    }

    /// Does what has to be done by now; says whether there is news.
    pub(super) fn handle_timeout(&mut self, cx: &Context<'_>) -> bool {
        if self.orphaned.is_some_and(|at| at + ORPHANED <= cx.now) {
            self.abort();
            self.orphaned = Some(cx.now);
            return false;
        }
        let alive = match &mut self.stage {
            Stage::Open(open) => open.handle_timeout(cx),
            Stage::Opening(opening) => opening.handle_timeout(cx.now),
            Stage::Lost(_) => true,
        };
        if !alive {
            // Nobody has answered a SYN, and nobody is told.
            if let Stage::Open(_) = self.stage {
                self.abort();
            }
            self.stage = Stage::Lost(io::ErrorKind::TimedOut);
        }
        !alive && self.orphaned.is_none()
    }

    /// Bytes of rings.
    pub(super) fn ring_bytes(&self) -> usize {
        match &self.stage {
            Stage::Open(open) => open.ring_bytes(),
            _ => 0,
        }
    }

    pub(super) fn timeouts(&self) -> u64 {
        match &self.stage {
            Stage::Open(open) => open.sender.timeouts(),
            _ => 0,
        }
    }

    fn lost(&self) -> io::ErrorKind {
        match &self.stage {
            Stage::Lost(lost) => *lost,
            _ => io::ErrorKind::ConnectionAborted,
        }
    }
}

/// What a frame to be sent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Fresh,
    Resent,
}

impl Remnant {
    /// The answer to a segment that comes late: what takes sequence numbers is acknowledged again.
    pub(super) fn answer(&self, segment: &Segment, clock: u32) -> Option<Header> {
        (segment.len() > 0 && !segment.flags.rst()).then(|| Header {
            seq: self.seq,
            ack: self.ack,
            flags: TcpFlags::ACK,
            timestamps: self.timestamp.map(|recent| (clock, recent)),
            ..Header::new(segment.to, segment.from)
        })
    }

    /// A number that is new to the other end.
    pub(super) fn beyond(&self) -> u32 {
        self.seq.wrapping_add(1 << 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_with_nothing_to_do_is_small() {
        let size = size_of::<Flow>() + size_of::<Open>();
        println!("{size} bytes: {} and {}", size_of::<Flow>(), size_of::<Open>());
        assert!(size <= 768);
    }
}
