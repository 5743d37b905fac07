//! Every state of a server, and everything that can happen to it there.

use super::*;

const HOLD: Duration = Duration::from_secs(1);
const DAMPED: Duration = Duration::from_secs(5);

/// What happens.
#[derive(Clone, Copy, Debug)]
enum What {
    Right,
    Wrong,
    /// Clients' connections come to nothing.
    Clients,
    /// So much time passes.
    Time(Duration),
    Hand(Option<Hand>),
}
use What::{Clients, Right, Time, Wrong};

const TIMES: [What; 2] = [Time(HOLD), Time(DAMPED)];
const DOWN: What = What::Hand(Some(Hand::Down));
const UP: What = What::Hand(Some(Hand::Up));
const AUTO: What = What::Hand(None);
const ALL: [What; 8] = [Right, Wrong, Clients, TIMES[0], TIMES[1], DOWN, UP, AUTO];

struct Watched {
    server: Server,
    health: Health,
    now: Instant,
}

impl Watched {
    fn new() -> Self {
        let passive = Some(Passive { fall: 3, hold: 1_000, max_hold: 1_000 });
        let damping = Some(Damping { flaps: 2, within: 60_000, hold: 5_000 });
        let health = Health { passive, damping, ..Health::default() };
        let now = Instant::now();
        Self { server: Server::new(&[check(2, 2)], Initially::Up, now), health, now }
    }

    fn happens(&mut self, what: What) -> Vec<&'static str> {
        let Self { server, health, now } = self;
        let turns = match what {
            Right | Wrong => server.heed(0, answer(matches!(what, Right)), health, *now),
            Clients => server.meet(Met { in_a_row: 3, ..Met::default() }, health, *now),
            Time(time) => {
                *now += time;
                server.tick(health, *now)
            }
            What::Hand(hand) => server.order(hand, health, *now),
        };
        turns.into_iter().map(|(kind, _)| kind.name()).collect()
    }

    fn words(&self) -> String {
        self.server.words(self.now)
    }
}

/// How one gets there, what it is called there, and what becomes of each of [`ALL`]: the state then, and what is told.
type Row = (&'static [What], &'static str, [(&'static str, &'static str); 8]);

const BY_HAND: (&str, &str) = ("down by hand", "by-hand");

#[rustfmt::skip]
const TABLE: &[Row] = &[
    (&[], "up", [
        ("up", ""), ("soft-down 1/2", "soft-down"), ("held", "down"), ("up", ""), ("up", ""),
        ("down by hand", "down"), ("up by hand", "by-hand"), ("up", ""),
    ]),
    (&[Wrong], "soft-down 1/2", [
        ("up", "firm"), ("down", "down"), ("held", "down"), ("soft-down 1/2", ""), ("soft-down 1/2", ""),
        ("down by hand", "down"), ("up by hand", "by-hand"), ("soft-down 1/2", ""),
    ]),
    (&[Wrong, Wrong], "down", [
        ("soft-up 1/2", "soft-up"), ("down", ""), ("held", ""), ("down", ""), ("down", ""),
        BY_HAND, ("up by hand", "up"), ("down", ""),
    ]),
    (&[Wrong, Wrong, Right], "soft-up 1/2", [
        ("up", "up"), ("down", "firm"), ("held", ""), ("soft-up 1/2", ""), ("soft-up 1/2", ""),
        BY_HAND, ("up by hand", "up"), ("soft-up 1/2", ""),
    ]),
    (&[Clients], "held", [
        ("held", ""), ("held", ""), ("held", ""), ("up", "up"), ("up", "up"),
        BY_HAND, ("up by hand", "up"), ("held", ""),
    ]),
    // It has fallen twice, and its check says that it is dead, or alive.
    (&[Wrong, Wrong, Right, Right, Wrong, Wrong], "damped", [
        ("damped", "soft-up"), ("damped", ""), ("held", ""), ("damped", ""), ("down", ""),
        BY_HAND, ("up by hand", "up"), ("damped", ""),
    ]),
    (&[Wrong, Wrong, Right, Right, Wrong, Wrong, Right, Right], "damped", [
        ("damped", ""), ("damped", ""), ("held", ""), ("damped", ""), ("up", "up"),
        BY_HAND, ("up by hand", "up"), ("damped", ""),
    ]),
    (&[DOWN], "down by hand", [
        ("down by hand", ""), ("down by hand", ""), ("down by hand", ""), ("down by hand", ""), ("down by hand", ""),
        ("down by hand", ""), ("up by hand", "up"), ("up", "up"),
    ]),
    (&[UP], "up by hand", [
        ("up by hand", ""), ("up by hand", ""), ("up by hand", ""), ("up by hand", ""), ("up by hand", ""),
        ("down by hand", "down"), ("up by hand", ""), ("up", "by-hand"),
    ]),
];

#[test]
fn everything_that_can_happen_to_a_server_in_every_state() {
    for (way, name, expected) in TABLE {
        for (what, (state, told)) in ALL.into_iter().zip(expected) {
            let mut w = Watched::new();
            for step in *way {
                w.happens(*step);
            }
            assert_eq!(w.words(), *name, "{way:?}");
            let kinds = w.happens(what);
            assert_eq!(
                (w.words().as_str(), kinds.join(" ").as_str()),
                (*state, *told),
                "{name} after {way:?}: {what:?}"
            );
        }
    }
}
