//! A connection from its handshake on, until it is lost: what comes, what is sent, what the other end has to be told.

use std::io;
use std::time::Duration;

use wire::frame::Frame;
use wire::packet::TcpFlags;

use super::{Agreed, Context, Kind};
use crate::stack::receiver::{FIRST_WINDOW, Receiver, SCALE};
use crate::stack::segment::{Header, Segment, TIMESTAMPS_LEN};
use crate::stack::sender::{Ack, Sender};

/// How long an acknowledgment waits for company (RFC 9293 section 3.8.6.3).
const ACK_DELAY: Duration = Duration::from_millis(10);
/// How often what does not fit is answered, unless it has data: two ends that disagree would never end it otherwise
/// (RFC 5961 section 7; the time is Linux's).
const CHALLENGE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Open {
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    pub(super) agreed: Agreed,
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

impl Open {
    /// Begins with the segment that completes the handshake. `rtt` is what the handshake took, if that is known.
    pub(super) fn new(segment: &Segment, agreed: Agreed, rtt: Option<Duration>, cx: &Context<'_>) -> Self {
        // Windows of a SYN are not shifted.
        let shift = if segment.flags.syn() { 0 } else { agreed.scale.unwrap_or(0) };
        let window = usize::from(segment.window) << shift;
        let next = segment.seq.wrapping_add(u32::from(segment.flags.syn()));
        let mss = payload_of(agreed.mss, agreed.timestamp.is_some());
        let mut sender = Sender::new(segment.ack, window, mss, agreed.sack, cx.send, cx.now);
        rtt.into_iter().for_each(|rtt| sender.measured(rtt));
        // Without shifts no larger window can be told.
        let receive = if agreed.scale.is_some() { cx.receive } else { usize::from(FIRST_WINDOW) };
        Self {
            sender,
            receiver: Receiver::new(next, agreed.sack, receive),
            agreed,
            owed: Owed::No,
            told: next,
            challenged: None,
            active: cx.now,
            blocked: false,
        }
    }

    pub(super) fn read(&mut self, buf: &mut [u8], cx: &mut Context<'_>) -> io::Result<usize> {
        let (read, wider) = self.receiver.read(cx.shared, buf, cx.now)?;
        if wider {
            self.owe_now();
        }
        Ok(read)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.sender.is_finished() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match self.sender.write(bytes) {
            0 if !bytes.is_empty() => {
                self.blocked = true;
                Err(io::ErrorKind::WouldBlock.into())
            }
            written => Ok(written),
        }
    }

    /// The other end is to get an acknowledgment at once.
    pub(super) fn owe_now(&mut self) {
        self.owed = Owed::Now;
    }

    pub(super) fn shrink(&mut self, mss: u16) {
        self.sender.shrink(payload_of(mss, self.agreed.timestamp.is_some()));
    }

    pub(super) fn ring_bytes(&self) -> usize {
        self.sender.ring_bytes() + self.receiver.ring_bytes()
    }

    pub(super) fn receive(
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

    pub(super) fn next_frame(&mut self, out: &mut Frame, header: Header, cx: &Context<'_>) -> Option<Kind> {
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

    pub(super) fn is_over(&self) -> bool {
        self.sender.is_done() && self.receiver.is_finished() && self.owed == Owed::No
    }

    pub(super) fn deadline(&self, idle: Duration) -> Option<Duration> {
        let owed = match self.owed {
            Owed::By(at) => Some(at),
            _ => None,
        };
        let sleepy = self.receiver.can_sleep() || (self.sender.is_empty() && self.sender.ring_bytes() > 0);
        let sleep = sleepy.then(|| self.active + idle);
        owed.into_iter().chain(self.sender.deadline()).chain(sleep).min()
    }

    pub(super) fn handle_timeout(&mut self, cx: &Context<'_>) -> bool {
        if self.active + cx.idle <= cx.now {
            self.receiver.sleep();
            self.sender.sleep();
        }
        self.sender.handle_timeout(cx.now)
    }
}

/// Room for payload in a segment.
fn payload_of(mss: u16, timestamps: bool) -> usize {
    usize::from(mss) - if timestamps { TIMESTAMPS_LEN } else { 0 }
}
