//! How connections begin: those of clients by cookies, those towards servers by a SYN of ours.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use wire::frame::Frame;
use wire::packet::TcpFlags;

use super::cookie::Offer;
use super::flow::{Agreed, Flow};
use super::flows::{Ends, Known};
use super::opening::{DEFAULT_MSS, LEAST_MSS, Opening};
use super::receiver::{FIRST_WINDOW, SCALE};
use super::segment::{Header, Segment, mss_of};
use super::{Event, FlowId, Stack};

/// Why a connection cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// One end is IPv4, the other IPv6.
    #[error("a connection has both ends in IPv4, or both in IPv6")]
    TwoFamilies,
    /// There is one between the same ends.
    #[error("there is a connection from {from} to {to}")]
    InUse {
        /// This end.
        from: SocketAddr,
        /// The other end.
        to: SocketAddr,
    },
    /// There are as many as [`super::Limits::flows`] allows.
    #[error("there are as many connections as there may be ({0})")]
    Full(usize),
}

impl Stack {
    /// Opens a connection over a way that takes packets of up to `mtu` bytes. It is `Ready` when that has succeeded, or
    /// failed.
    pub fn connect(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        mtu: u16,
        now: Instant,
    ) -> Result<FlowId, ConnectError> {
        self.advance(now);
        let ends = Ends { local: from, remote: to };
        if from.is_ipv4() != to.is_ipv4() {
            return Err(ConnectError::TwoFamilies);
        }
        let isn = self.baker.initial(from, to, self.now);
        let isn = match self.known.get(&ends) {
            Some(Known::Flow(_)) => return Err(ConnectError::InUse { from, to }),
            // What is new to the other end if it remembers the connection before.
            Some(Known::Remnant(remnant, _)) if (isn.wrapping_sub(remnant.beyond()) as i32) < 0 => {
                remnant.beyond()
            }
            _ => isn,
        };
        if self.counters.flows >= self.limits.flows as u64 {
            return Err(ConnectError::Full(self.limits.flows));
        }
        let mss = mss_of(mtu, from.ip()).max(LEAST_MSS);
        let flow = Flow::opening(from, to, Opening::new(isn, mss, self.now));
        self.counters.connects += 1;
        let id = self.insert(ends, flow);
        self.act(id, |_, _| ());
        Ok(id)
    }

    /// The answer to a SYN.
    pub(super) fn greet(&mut self, segment: &Segment) -> Option<Header> {
        if self.counters.flows >= self.limits.flows as u64 {
            self.counters.refused += 1;
            return None;
        }
        let mss = segment.mss.unwrap_or(DEFAULT_MSS).max(LEAST_MSS);
        let offer = Offer { mss, scale: segment.scale, sack: segment.sack_permitted };
        self.counters.cookies_sent += 1;
        Some(Header {
            seq: self.baker.bake(segment.from, segment.to, segment.seq, offer, self.now),
            ack: segment.seq.wrapping_add(1),
            flags: TcpFlags::SYN | TcpFlags::ACK,
            window: FIRST_WINDOW,
            mss: Some(mss_of(self.limits.mtu, segment.to.ip())),
            scale: segment.scale.map(|_| SCALE),
            sack_permitted: segment.sack_permitted,
            timestamps: segment.timestamps.map(|(value, _)| (self.clock(), value)),
            ..Header::new(segment.to, segment.from)
        })
    }

    /// What its SYN offered, if the segment completes a handshake.
    pub(super) fn taste(&self, segment: &Segment) -> Option<Offer> {
        let other = TcpFlags::SYN | TcpFlags::RST;
        if !segment.flags.ack() || segment.flags.0 & other.0 != 0 {
            return None;
        }
        let seq = segment.seq.wrapping_sub(1);
        self.baker.taste(segment.from, segment.to, seq, segment.ack, self.now)
    }

    pub(super) fn accept(&mut self, frame: &mut Frame, segment: &Segment, offer: Offer) {
        if self.counters.flows >= self.limits.flows as u64 {
            self.counters.refused += 1;
            return;
        }
        let (client, vip) = (segment.from, segment.to);
        let agreed = Agreed {
            mss: offer.mss.min(mss_of(self.limits.mtu, vip.ip())),
            scale: offer.scale,
            sack: offer.sack,
            timestamp: segment.timestamps.map(|(value, _)| value),
        };
        // The client gives back the time at which it was greeted. That may be a lie: it is its own loss.
        let rtt = segment.timestamps.map(|(_, echo)| self.clock().wrapping_sub(echo));
        let rtt = rtt.filter(|rtt| *rtt < 3000).map(|rtt| Duration::from_millis(u64::from(rtt.max(1))));
        let flow = Flow::open(segment, agreed, rtt, &self.context().1);
        let id = self.insert(Ends { local: vip, remote: client }, flow);
        self.counters.cookies_accepted += 1;
        self.events.push_back(Event::Accepted { flow: id, client, vip });
        self.deliver(id, frame, segment);
    }
}
