//! Looking ahead: what the packets of a batch will ask for is fetched from memory for all of them at the same time, so that
//! they do not wait for it one after the other. Of a large table almost nothing is in a cache.
//!
//! It decides nothing and changes nothing: without it all is the same, only later.

use wire::packet::Packet;

use super::Worker;
use crate::conn::{AHEAD, FlowKey};

/// With fewer connections than these, and fewer ways from a VIP to a server, everything is near.
const FEW: usize = 8192;
const FEW_COURSES: usize = 128;

impl Worker {
    /// To be told which packets come next, before the first of them is processed: up to 64 are looked at.
    pub fn look_ahead<'p>(&mut self, packets: impl IntoIterator<Item = &'p Packet>) {
        if self.room.held() < FEW && self.known.held() < FEW_COURSES {
            return;
        }
        let mut hashes = [0; AHEAD];
        let mut n = 0;
        for key in packets.into_iter().filter_map(FlowKey::of).take(AHEAD) {
            hashes[n] = self.conns.hash(&key);
            n += 1;
        }
        self.conns.fetch(&mut self.reader, &self.known, self.writer, &hashes[..n]);
    }
}
