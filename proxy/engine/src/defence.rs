//! The defences against floods: `drop_entry`, `drop_packet`, and when the automatic ones are on.
//!
//! The kernel measures free memory; what runs out here is room for connections.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::conn::{Conn, Millis, Room};
use crate::knobs::{Defence, Knobs};
use crate::random::Random;
use crate::state::State;

/// Whether a defence is on.
pub(crate) fn is_on(defence: Defence, knobs: &Knobs, room: &Room) -> bool {
    match defence {
        Defence::Off => false,
        Defence::Auto => shortage(knobs, room) > 0,
        Defence::Always => true,
    }
}

/// How many free places are missing from those that there should be.
fn shortage(knobs: &Knobs, room: &Room) -> u32 {
    knobs.amemthresh.saturating_sub(u32::try_from(room.free()).unwrap_or(u32::MAX))
}

/// `drop_packet`: counts the packets that could begin a connection, for all workers.
#[derive(Debug, Default)]
pub(crate) struct Turnstile(AtomicU32);

impl Turnstile {
    pub(crate) fn copied(&self) -> Self {
        Self(self.0.load(Relaxed).into())
    }

    /// Whether this one is dropped: the first, and then every so many. Automatically that is the fewer, the shorter
    /// room is.
    pub(crate) fn refuses(&self, knobs: &Knobs, room: &Room) -> bool {
        let every = match knobs.drop_packet {
            Defence::Off => return false,
            Defence::Auto => knobs.amemthresh.checked_div(shortage(knobs, room)),
            Defence::Always => Some(knobs.am_droprate),
        };
        let Some(every) = every.filter(|every| *every > 0) else { return false };
        self.0.fetch_add(1, Relaxed).is_multiple_of(every)
    }
}

/// `drop_entry`: each second a worker looks at one in 32 of its connections and lets go what a flood leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    next: Option<Millis>,
    /// By the packets that idle ones have seen: of those with n, every n-th goes.
    idle: [u8; MOST as usize + 1],
}

/// An idle connection with more packets than that was a real one.
const MOST: u8 = 8;
/// How long it has to be idle.
const IDLE_MS: Millis = 60_000;
/// Between two looks.
const SECOND: Millis = 1000;

impl Sampler {
    /// Something is going on, and the defence may be on.
    pub(crate) fn wake(&mut self, now: Millis) {
        self.next.get_or_insert(now + SECOND);
    }

    pub(crate) fn next_due(&self) -> Option<Millis> {
        self.next
    }

    /// Whether to look now. `goes_on` while the defence may be on and there is something to look at.
    pub(crate) fn is_due(&mut self, now: Millis, goes_on: bool) -> bool {
        let due = self.next.is_some_and(|next| next <= now);
        if due {
            self.next = goes_on.then_some(now + SECOND);
        }
        due
    }

    /// Which of 32 parts to look at.
    pub(crate) fn part(random: &mut Random) -> u64 {
        random.next() % 32
    }

    /// Whether a connection goes. It is among those that were looked at.
    pub(crate) fn lets_go(&mut self, conn: &Conn<'_>, now: Millis, knobs: &Knobs) -> bool {
        match conn.state() {
            State::SynRecv | State::SynAck | State::Init1 | State::Init => true,
            State::Established | State::Udp => self.is_idle(conn, now, knobs),
            _ => false,
        }
    }

    fn is_idle(&mut self, conn: &Conn<'_>, now: Millis, knobs: &Knobs) -> bool {
        let lasts = conn.state().timeout(conn.legs.proto, knobs).as_millis() as Millis;
        let packets = conn.requests();
        if (now + lasts).saturating_sub(conn.deadline(now)) < IDLE_MS || packets == 0 || packets > MOST {
            return false;
        }
        let left = &mut self.idle[usize::from(packets)];
        *left = left.checked_sub(1).unwrap_or(packets - 1);
        *left == packets - 1
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sched::Direction;

    use super::*;
    use crate::conn::{test_birth, test_conn};
    use crate::state::{Event, tcp};

    fn room(max: usize, held: usize) -> Room {
        let room = Room::new(max);
        (0..held).for_each(|_| assert!(room.take()));
        room
    }

    #[test]
    fn automatic_is_on_while_room_is_short() {
        let knobs = Knobs { amemthresh: 10, ..Knobs::default() };
        let on = |defence, held| is_on(defence, &knobs, &room(100, held));
        assert!(!on(Defence::Off, 100) && on(Defence::Always, 0));
        assert!(!on(Defence::Auto, 90) && on(Defence::Auto, 91));
    }

    #[test]
    fn the_first_and_then_every_so_many_are_refused() {
        let refused = |knobs: Knobs, held| {
            let (turnstile, room) = (Turnstile::default(), room(100, held));
            (0..12).filter(|_| turnstile.refuses(&knobs, &room)).count()
        };
        let knobs = Knobs { am_droprate: 5, amemthresh: 40, ..Knobs::default() };
        assert_eq!(refused(knobs, 100), 0);
        assert_eq!(refused(Knobs { drop_packet: Defence::Always, ..knobs }, 0), 3);
        assert_eq!(refused(Knobs { drop_packet: Defence::Always, am_droprate: 0, ..knobs }, 0), 0);
        let auto = Knobs { drop_packet: Defence::Auto, ..knobs };
        // One in 40 / (40 - free).
        assert_eq!([60, 61, 80, 100].map(|held| refused(auto, held)), [0, 1, 6, 12]);
    }

    #[test]
    fn of_idle_connections_those_with_few_packets_go_sooner() {
        let knobs = Knobs { tcp_timeout: Duration::from_secs(900), ..Knobs::default() };
        let conn = |packets: u8| {
            let conn = test_conn(test_birth(1));
            let ack = Some(Event::Tcp(tcp::Event::Ack));
            (0..packets).for_each(|_| conn.seen(Direction::In, ack, 0, &knobs, false));
            conn
        };
        let mut sampler = Sampler::default();
        let mut gone =
            |packets, now| (0..24).filter(|_| sampler.lets_go(&conn(packets), now, &knobs)).count();
        assert_eq!([1, 2, 3, 8, 9].map(|packets| gone(packets, 59_999)), [0; 5]);
        assert_eq!([1, 2, 3, 8, 9, 200].map(|packets| gone(packets, 60_000)), [24, 12, 8, 3, 0, 0]);
    }

    #[test]
    fn a_half_open_connection_goes_at_once_and_one_that_closes_stays() {
        let (knobs, mut sampler, conn) = (Knobs::default(), Sampler::default(), test_conn(test_birth(1)));
        for (event, goes) in [(tcp::Event::Syn, true), (tcp::Event::Ack, false), (tcp::Event::Fin, false)] {
            conn.seen(Direction::In, Some(Event::Tcp(event)), 0, &knobs, false);
            assert_eq!(sampler.lets_go(&conn, 0, &knobs), goes, "{event:?}");
        }
    }

    #[test]
    fn it_looks_once_a_second_while_it_goes_on() {
        let mut sampler = Sampler::default();
        assert!(!sampler.is_due(5_000, true));
        sampler.wake(5_000);
        sampler.wake(5_900);
        assert_eq!((sampler.is_due(5_999, true), sampler.next_due()), (false, Some(6_000)));
        assert_eq!((sampler.is_due(6_000, true), sampler.next_due()), (true, Some(7_000)));
        assert_eq!((sampler.is_due(7_500, false), sampler.next_due()), (true, None));
    }
}
