//! What a stack may use, and what it has done.

use std::time::Duration;

/// What a stack may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time, those that are being closed included. A client beyond them is answered by silence: its
    /// handshake seems to be lost, and it tries again.
    pub flows: usize,
    /// Connections that are over but remembered, so that what comes late is answered; the oldest go first.
    pub remnants: usize,
    /// Bytes that a connection receives ahead of its reader, at most. Every one begins with 32 KiB; there are no more
    /// than 4 MiB.
    pub receive: usize,
    /// Bytes that a connection holds to be sent or acknowledged, at most. It holds twice as many as the network has
    /// proved to carry in a round trip.
    pub send: usize,
    /// The largest packet to and from clients.
    pub mtu: u16,
    /// How long a connection that has nothing to do keeps its rings.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 262_144,
            remnants: 65_536,
            receive: 1 << 20,
            send: 8 << 20,
            mtu: 1500,
            idle: Duration::from_millis(1500),
        }
    }
}

/// What a stack has done, and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that there are.
    pub flows: u64,
    /// Connections whose rings are allocated.
    pub awake: u64,
    /// Connections over but remembered.
    pub remnants: u64,
    /// SYNs answered with a cookie.
    pub cookies_sent: u64,
    /// Cookies that came back and became connections.
    pub cookies_accepted: u64,
    /// Cookies that came back when there were as many connections as may be.
    pub refused: u64,
    /// Connections opened from here.
    pub connects: u64,
    /// Resets sent for segments of no connection.
    pub resets: u64,
    /// Packets that were no TCP, or had a wrong checksum.
    pub bad: u64,
    /// Packets received; a super-packet is one.
    pub received: u64,
    /// Packets sent; a super-packet is one.
    pub sent: u64,
    /// How many of these were super-packets.
    pub super_packets: u64,
    /// Packets sent again.
    pub resent: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
    /// Bytes of rings that are allocated.
    pub ring_bytes: u64,
}
