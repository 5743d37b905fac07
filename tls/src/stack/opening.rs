//! The handshake of a connection that is opened from here, until it is complete or refused.

use std::io;
use std::time::Duration;

use wire::packet::TcpFlags;

use super::flow::Agreed;
use super::receiver::{FIRST_WINDOW, SCALE};
use super::segment::{Header, Segment};

/// Smallest segment that another end may ask for, which Linux has too.
pub(super) const LEAST_MSS: u16 = 48;
/// What those take who do not say (RFC 9293 section 3.7.1).
pub(super) const DEFAULT_MSS: u16 = 536;
/// SYNs until the other end is given up: after a minute.
const MOST_SYNS: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Opening {
    isn: u32,
    /// Our largest segment: none is sent or received that is larger.
    mss: u16,
    sent: u32,
    sent_at: Duration,
    due: bool,
}

impl Opening {
    pub(super) fn new(isn: u32, mss: u16, now: Duration) -> Self {
        Self { isn, mss, sent: 0, sent_at: now, due: true }
    }

    /// What the answer to our SYN makes of it: `None` for what is no answer, or what both ends agree on.
    pub(super) fn receive(&self, segment: &Segment) -> Result<Option<Agreed>, io::ErrorKind> {
        let answers = segment.flags.ack() && segment.ack == self.next_seq();
        match (answers, segment.flags.rst(), segment.flags.syn()) {
            (true, true, _) => Err(io::ErrorKind::ConnectionRefused),
            (true, false, true) => Ok(Some(Agreed {
                mss: segment.mss.unwrap_or(DEFAULT_MSS).clamp(LEAST_MSS, self.mss),
                scale: segment.scale,
                sack: segment.sack_permitted,
                timestamp: segment.timestamps.map(|(value, _)| value),
            })),
            _ => Ok(None),
        }
    }

    /// The SYN, if one is due.
    pub(super) fn next_header(&mut self, header: Header, clock: u32, now: Duration) -> Option<Header> {
        std::mem::take(&mut self.due).then(|| {
            (self.sent, self.sent_at) = (self.sent + 1, now);
            Header {
                seq: self.isn,
                flags: TcpFlags::SYN,
                window: FIRST_WINDOW,
                mss: Some(self.mss),
                scale: Some(SCALE),
                sack_permitted: true,
                timestamps: Some((clock, 0)),
                ..header
            }
        })
    }

    /// A SYN was sent before.
    pub(super) fn is_repeated(&self) -> bool {
        self.sent > 0
    }

    /// What the handshake took, if that is certain.
    pub(super) fn rtt(&self, now: Duration) -> Option<Duration> {
        (self.sent == 1).then(|| now.saturating_sub(self.sent_at))
    }

    pub(super) fn next_seq(&self) -> u32 {
        self.isn.wrapping_add(1)
    }

    pub(super) fn deadline(&self) -> Duration {
        self.sent_at + FIRST_WAIT * 2u32.pow(self.sent.saturating_sub(1))
    }

    /// `false` when the other end is given up.
    pub(super) fn handle_timeout(&mut self, now: Duration) -> bool {
        if self.deadline() <= now && self.sent > 0 {
            self.due = true;
            return self.sent < MOST_SYNS;
        }
        true
    }
}
