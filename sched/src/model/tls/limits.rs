//! What a front may take of time and connections.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// How a front is kept from being too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsLimits {
    /// Seconds for the handshake.
    pub handshake: u32,
    /// Seconds without a byte in either direction.
    pub idle: u32,
    /// Seconds that one direction goes on when the other has ended.
    pub half_closed: u32,
    /// Seconds for a server to take the connection, before another one is asked.
    pub connect: u32,
    /// Servers that are asked, at most.
    pub attempts: u32,
    /// Connections at a time; 0: as many as the engine has room for.
    pub connections: u32,
    /// Handshakes begun in a second; 0: any number.
    pub handshakes_per_second: u32,
}

impl Default for TlsLimits {
    fn default() -> Self {
        Self {
            handshake: 10,
            idle: 3600,
            half_closed: 60,
            connect: 5,
            attempts: 3,
            connections: 0,
            handshakes_per_second: 0,
        }
    }
}

impl TlsLimits {
    /// What each may be, by its name in the configuration.
    pub const RANGES: [(&str, RangeInclusive<u32>); 7] = [
        ("handshake_timeout", 1..=3600),
        ("idle_timeout", 1..=31 * 86_400),
        ("half_closed_timeout", 1..=86_400),
        ("connect_timeout", 1..=3600),
        ("connect_attempts", 1..=100),
        ("max_connections", 0..=u32::MAX),
        ("handshakes_per_second", 0..=u32::MAX),
    ];

    /// The values, in the order of [`Self::RANGES`].
    pub const fn in_order(&self) -> [u32; 7] {
        [
            self.handshake,
            self.idle,
            self.half_closed,
            self.connect,
            self.attempts,
            self.connections,
            self.handshakes_per_second,
        ]
    }

    /// The same to write to.
    pub const fn in_order_mut(&mut self) -> [&mut u32; 7] {
        [
            &mut self.handshake,
            &mut self.idle,
            &mut self.half_closed,
            &mut self.connect,
            &mut self.attempts,
            &mut self.connections,
            &mut self.handshakes_per_second,
        ]
    }
}
