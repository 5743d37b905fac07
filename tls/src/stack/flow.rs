//! One connection: both halves, and what they share (RFC 9293; RFC 7323 for windows and timestamps, RFC 5961 against
//! those who guess).
//!
//! All frames of a connection pass through [`Flow::receive`] and [`Flow::next_frame`]. A flow never asks for the time
//! and never hands out more than its stack polls for.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use wire::frame::Frame;
use wire::packet::TcpFlags;

use super::opening::Opening;
use super::receiver::{FIRST_WINDOW, Receiver, SCALE, Shared};
use super::segment::{Header, Segment, TIMESTAMPS_LEN};
use super::sender::{Ack, Sender};

/// How long an acknowledgment waits for company (RFC 9293 section 3.8.6.3).
const ACK_DELAY: Duration = Duration::from_millis(10);
/// How often what does not fit is answered, unless it has data: two ends that disagree would never end it otherwise
/// (RFC 5961 section 7; the time is Linux's).
const CHALLENGE: Duration = Duration::from_millis(500);
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

#[derive(Debug)]
struct Open {
    sender: Sender,
    receiver: Receiver,
    agreed: Agreed,
    owed: Owed,
    /// The last acknowledgment that was sent.
    told: u32,
    /// When something that does not fit was last answered.
    challenged: Option<Duration>,
    active: Duration,
    /// A writer waits for room.
    blocked: bool,
}

/// An acknowledgment that the other end is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    No,
    By(Duration),
    Now,
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
        let mut flow = Self {
            local: segment.to,
            remote: segment.from,
            stage: Stage::Lost(io::ErrorKind::NotConnected),
            orphaned: None,
            reset: None,
        };
        flow.establish(segment, agreed, rtt, cx);
        flow
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
                    let rtt = opening.rtt(cx.now);
                    self.establish(segment, agreed, rtt, cx);
                    if let Stage::Open(open) = &mut self.stage {
                        open.owed = Owed::Now;
                    }
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

    /// Reads, and says whether the other end has to be told of more room.
    pub(super) fn read(&mut self, buf: &mut [u8], cx: &mut Context<'_>) -> io::Result<usize> {
        match &mut self.stage {
            Stage::Open(open) => {
                let (read, wider) = open.receiver.read(cx.shared, buf, cx.now)?;
                if wider {
                    open.owed = Owed::Now;
                }
                Ok(read)
            }
            Stage::Opening(_) => Err(io::ErrorKind::WouldBlock.into()),
            Stage::Lost(lost) => Err((*lost).into()),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stage {
            Stage::Open(open) if open.sender.is_finished() => Err(io::ErrorKind::BrokenPipe.into()),
            Stage::Open(open) => match open.sender.write(bytes) {
                0 if !bytes.is_empty() => {
                    open.blocked = true;
                    Err(io::ErrorKind::WouldBlock.into())
                }
                written => Ok(written),
            },
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
            open.sender.shrink(payload_of(mss, open.agreed.timestamp.is_some()));
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
            Stage::Open(open) => open.sender.ring_bytes() + open.receiver.ring_bytes(),
            _ => 0,
        }
    }

    pub(super) fn timeouts(&self) -> u64 {
        match &self.stage {
            Stage::Open(open) => open.sender.timeouts(),
            _ => 0,
        }
    }

    fn establish(&mut self, segment: &Segment, agreed: Agreed, rtt: Option<Duration>, cx: &Context<'_>) {
        // Windows of a SYN are not shifted.
        let shift = if segment.flags.syn() { 0 } else { agreed.scale.unwrap_or(0) };
        let window = usize::from(segment.window) << shift;
        let next = segment.seq.wrapping_add(u32::from(segment.flags.syn()));
        let mss = payload_of(agreed.mss, agreed.timestamp.is_some());
        let mut sender = Sender::new(segment.ack, window, mss, agreed.sack, cx.send, cx.now);
        rtt.into_iter().for_each(|rtt| sender.measured(rtt));
        // Without shifts no larger window can be told.
        let receive = if agreed.scale.is_some() { cx.receive } else { usize::from(FIRST_WINDOW) };
        self.stage = Stage::Open(Box::new(Open {
            sender,
            receiver: Receiver::new(next, agreed.sack, receive),
            agreed,
            owed: Owed::No,
            told: next,
            challenged: None,
            active: cx.now,
            blocked: false,
        }));
    }

    fn lost(&self) -> io::ErrorKind {
        match &self.stage {
            Stage::Lost(lost) => *lost,
            _ => io::ErrorKind::ConnectionAborted,
        }
    }
}

impl Open {
    fn receive(
        &mut self,
        frame: &mut Frame,
        segment: &Segment,
        cx: &mut Context<'_>,
    ) -> Result<bool, io::ErrorKind> {
        let ahead = segment.seq.wrapping_sub(self.receiver.next()) as i32;
        if segment.flags.rst() {
            // RFC 5961 section 3.2: only who knows the number exactly is believed.
            let inside = ahead > 0 && ahead.unsigned_abs() < self.receiver.window().max(1);
            if ahead == 0 {
                return Err(io::ErrorKind::ConnectionReset);
            } else if inside {
                self.challenge(cx.now);
            }
            return Ok(false);
        }
        // A segment that is too old comes from a connection before (RFC 7323 section 5), a SYN from an end that has
        // forgotten this one, or from one who guesses (RFC 5961 section 4.2).
        let old = |(value, _): (u32, u32)| {
            self.agreed.timestamp.is_some_and(|recent| (value.wrapping_sub(recent) as i32) < 0)
        };
        if segment.flags.syn() || segment.timestamps.is_some_and(old) {
            self.challenge(cx.now);
            return Ok(false);
        }
        if !segment.flags.ack() {
            return Ok(false);
        }
        if let Some((value, _)) = segment.timestamps
            && segment.seq.wrapping_sub(self.told) as i32 <= 0
            && self.agreed.timestamp.is_some()
        {
            self.agreed.timestamp = Some(value);
        }
        self.active = cx.now;
        let has_data = segment.payload_len > 0 || segment.flags.fin();
        let window = usize::from(segment.window) << self.agreed.scale.unwrap_or(0);
        let blocks = segment.blocks.as_slice();
        let echo = segment.timestamps.filter(|_| self.agreed.timestamp.is_some()).map(|(_, echo)| echo);
        let echoed = echo.and_then(|echo| cx.sent_at(echo));
        if self.sender.acknowledge(segment.ack, window, blocks, !has_data, echoed, cx.now) == Ack::Impossible
        {
            self.challenge(cx.now);
            return Ok(false);
        }
        let mut news = self.blocked && self.sender.room() > 0;
        if news {
            self.blocked = false;
        }
        if has_data {
            let taken = self.receiver.take(cx.shared, frame, segment, cx.now);
            news |= taken.ready;
            self.owe(taken.urgent, cx.now);
        } else if ahead < 0 {
            // The other end asks whether this one is alive, or for its window.
            self.challenge(cx.now);
        }
        Ok(news)
    }

    fn challenge(&mut self, now: Duration) {
        if self.challenged.is_none_or(|last| last + CHALLENGE <= now) {
            (self.challenged, self.owed) = (Some(now), Owed::Now);
        }
    }

    /// RFC 9293 section 3.8.6.3: at once for two segments, or when something is out of order.
    fn owe(&mut self, urgent: bool, now: Duration) {
        let untold = self.receiver.next().wrapping_sub(self.told) as usize;
        if urgent || untold >= 2 * self.sender.mss() {
            self.owed = Owed::Now;
        } else if self.owed == Owed::No {
            self.owed = Owed::By(now + ACK_DELAY);
        }
    }

    fn next_frame(&mut self, out: &mut Frame, header: Header, cx: &Context<'_>) -> Option<Kind> {
        let window = self.receiver.window() >> self.agreed.scale.map_or(0, |_| SCALE);
        let header = Header {
            seq: self.sender.next_seq(),
            ack: self.receiver.next(),
            flags: TcpFlags::ACK,
            window: window.min(u32::from(u16::MAX)) as u16,
            timestamps: self.agreed.timestamp.map(|recent| (cx.clock, recent)),
            ..header
        };
        let kind = if let Some(part) = self.sender.next(cx.now) {
            let mut flags = TcpFlags::ACK;
            if part.push {
                flags = flags | TcpFlags::PSH;
            }
            if part.fin {
                flags = flags | TcpFlags::FIN;
            }
            let header = Header { seq: part.seq, flags, ..header };
            header.write(out, self.sender.payload(&part), self.sender.mss());
            self.active = cx.now;
            if part.resent { Kind::Resent } else { Kind::Fresh }
        } else if let Some(seq) = self.sender.take_question() {
            Header { seq, ..header }.write(out, [&[], &[]], 1);
            Kind::Fresh
        } else if self.owed == Owed::Now || matches!(self.owed, Owed::By(at) if at <= cx.now) {
            let blocks = if self.agreed.sack { self.receiver.blocks() } else { Default::default() };
            Header { blocks, ..header }.write(out, [&[], &[]], 1);
            Kind::Fresh
        } else {
            return None;
        };
        self.told = header.ack;
        self.owed = Owed::No;
        Some(kind)
    }

    fn is_over(&self) -> bool {
        self.sender.is_done() && self.receiver.is_finished() && self.owed == Owed::No
    }

    fn deadline(&self, idle: Duration) -> Option<Duration> {
        let owed = match self.owed {
            Owed::By(at) => Some(at),
            _ => None,
        };
        let sleepy = self.receiver.can_sleep() || (self.sender.is_empty() && self.sender.ring_bytes() > 0);
        let sleep = sleepy.then(|| self.active + idle);
        owed.into_iter().chain(self.sender.deadline()).chain(sleep).min()
    }

    fn handle_timeout(&mut self, cx: &Context<'_>) -> bool {
        if self.active + cx.idle <= cx.now {
            self.receiver.sleep();
            self.sender.sleep();
        }
        self.sender.handle_timeout(cx.now)
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

/// Room for payload in a segment.
fn payload_of(mss: u16, timestamps: bool) -> usize {
    usize::from(mss) - if timestamps { TIMESTAMPS_LEN } else { 0 }
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
