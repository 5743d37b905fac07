//! Headers of the PROXY protocol that servers have not acknowledged yet. Where the server speaks first, the client has
//! no reason to say anything again: the header is sent again by a clock of ours.

use std::collections::VecDeque;

use super::outbox::Outbox;
use crate::conn::{Conn, Kept, Millis};
use crate::counters::WorkerCounters;
use crate::verdict::Egress;

/// The first wait: longer than a receiver delays an acknowledgment.
const FIRST_MS: Millis = 300;
/// Waits, each twice as long as the one before; after the last nobody is waited for any more (RFC 9293 section 3.8.3
/// asks for 100 s at least).
const WAITS: usize = 9;
/// Waits end together, so that a worker does not wake for each.
const TOGETHER_MS: Millis = 100;

/// Those that wait, by how often they have waited before: each list is in the order of its times.
#[derive(Debug, Default)]
pub(super) struct Greetings([VecDeque<(Millis, Kept)>; WAITS]);

impl Greetings {
    /// A header has been sent for the first time.
    pub(super) fn wait_for(&mut self, conn: &Conn<'_>, now: Millis) {
        self.wait(0, conn.keep(), now);
    }

    /// When to look at them next.
    pub(super) fn next_due(&self) -> Option<Millis> {
        self.0.iter().filter_map(|list| list.front()).map(|(due, _)| *due).min()
    }

    /// Sends those again whose time has come, until the outbox is full.
    pub(super) fn advance(&mut self, now: Millis, outbox: &mut Outbox, counters: &WorkerCounters) {
        for waits in 0..WAITS {
            while let Some((_, kept)) =
                self.0[waits].pop_front_if(|(due, _)| *due <= now && !outbox.is_full())
            {
                let Some(conn) = kept.conn().filter(|conn| !conn.is_gone()) else { continue };
                let Some(greeting) = conn.greeting() else { continue };
                if waits + 1 == WAITS {
                    greeting.give_up();
                } else if let Some(packet) = greeting.again(&conn, now) {
                    counters.greeted();
                    outbox.push_packet(packet, Egress::Route);
                    self.wait(waits + 1, kept.clone(), now);
                }
            }
        }
    }

    fn wait(&mut self, waits: usize, conn: Kept, now: Millis) {
        let due = now + (FIRST_MS << waits);
        self.0[waits].push_back((due.next_multiple_of(TOGETHER_MS), conn));
    }
}
