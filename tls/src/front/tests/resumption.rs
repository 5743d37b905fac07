//! Sessions resumed: here, at another director, after a reload, and where they must not be.

use super::*;

const SECRET: [u8; 32] = [7; 32];
const HOUR: Duration = Duration::from_secs(3600);

/// A director: its own clock, its own keys.
struct Director {
    clock: Arc<Clock>,
    keys: Arc<TicketKeys>,
}

impl Director {
    fn sharing(secret: &[u8]) -> Self {
        let clock = Clock::at(*NOW);
        let keys = TicketKeys::shared(&source("tickets", secret), TicketTimes::default(), &clock).unwrap();
        Self { clock, keys }
    }

    fn alone() -> Self {
        let clock = Clock::at(*NOW);
        Self { keys: TicketKeys::own(TicketTimes::default(), &clock).unwrap(), clock }
    }

    fn front(&self, settings: FrontSettings) -> Front {
        let settings = FrontSettings { tickets: Some(Arc::clone(&self.keys)), ..settings };
        Front::new(&settings, &self.clock).unwrap().0
    }
}

fn kind(front: &Front, client: &Arc<ClientConfig>) -> HandshakeKind {
    meet(front, client, "www.example").unwrap().kind()
}

fn full(kind: HandshakeKind) -> bool {
    kind != HandshakeKind::Resumed
}

/// In each version: a session with `first`, then what becomes of it with `second`, after `between`.
fn resumes(ca: &Ca, first: &Front, second: &Front, between: impl Fn()) -> [bool; 2] {
    [TLS12, TLS13].map(|versions| {
        let client = Arc::new(client(ca, versions));
        assert!(full(kind(first, &client)), "a new client has nothing to resume");
        between();
        !full(kind(second, &client))
    })
}

#[test]
fn a_session_is_resumed_by_every_director_that_has_the_secret() {
    let ca = Ca::new("ca");
    let www = ca.issue(&["www.example"], Kind::P256);
    let (one, other) = (Director::sharing(&SECRET), Director::sharing(&SECRET));
    let (front, elsewhere) = (one.front(settings(&[&www])), other.front(settings(&[&www])));
    assert_eq!(resumes(&ca, &front, &front, || ()), [true; 2]);
    assert_eq!(resumes(&ca, &front, &elsewhere, || ()), [true; 2]);
    let stranger = Director::sharing(&[8; 32]).front(settings(&[&www]));
    assert_eq!(resumes(&ca, &front, &stranger, || ()), [false; 2], "another secret");
    let alone = Director::alone().front(settings(&[&www]));
    assert_eq!(resumes(&ca, &front, &alone, || ()), [false; 2], "no secret");
    assert_eq!(resumes(&ca, &alone, &alone, || ()), [true; 2], "but its own");
}

#[test]
fn clocks_that_are_apart_by_less_than_a_period_do_no_harm() {
    let ca = Ca::new("ca");
    let www = ca.issue(&["www.example"], Kind::P256);
    let (behind, ahead) = (Director::sharing(&SECRET), Director::sharing(&SECRET));
    ahead.clock.set(*NOW + 5 * HOUR);
    let (slow, fast) = (behind.front(settings(&[&www])), ahead.front(settings(&[&www])));
    assert_eq!(resumes(&ca, &slow, &fast, || ()), [true; 2]);
    assert_eq!(resumes(&ca, &fast, &slow, || ()), [true; 2]);
}

#[test]
fn keys_change_and_tickets_live_as_long_as_they_may() {
    let ca = Ca::new("ca");
    let www = ca.issue(&["www.example"], Kind::P256);
    for director in [Director::sharing(&SECRET), Director::alone()] {
        let front = director.front(settings(&[&www]));
        for (later, resumed) in [
            (HOUR, true),
            (7 * HOUR, true),
            (12 * HOUR - Duration::from_secs(1), true),
            (12 * HOUR, false),
            (60 * HOUR, false),
        ] {
            director.clock.set(*NOW);
            let after = resumes(&ca, &front, &front, || director.clock.set(*NOW + later));
            // The second version's first session is made when it is later already.
            assert_eq!(after[0], resumed, "TLS 1.2, {later:?} later");
            director.clock.set(*NOW);
            let client = Arc::new(client(&ca, TLS13));
            kind(&front, &client);
            director.clock.set(*NOW + later);
            assert_eq!(!full(kind(&front, &client)), resumed, "TLS 1.3, {later:?} later");
        }
    }
}

#[test]
fn a_reload_with_a_renewed_certificate_keeps_sessions() {
    let ca = Ca::new("ca");
    let director = Director::alone();
    let front =
        arc_swap::ArcSwap::from_pointee(director.front(settings(&[&ca.issue(&["www.example"], Kind::P256)])));
    let accepted = front.load_full();
    let renewed = ca.issue(&["www.example"], Kind::P256);
    front.store(Arc::new(director.front(settings(&[&renewed]))));
    assert_eq!(resumes(&ca, &accepted, &front.load(), || ()), [true; 2]);
}

#[test]
fn without_tickets_nothing_is_ever_resumed() {
    let ca = Ca::new("ca");
    let front = front(&settings(&[&ca.issue(&["www.example"], Kind::P256)]));
    assert_eq!(resumes(&ca, &front, &front, || ()), [false; 2]);
    for versions in [TLS12, TLS13] {
        let client = Arc::new(client(&ca, versions));
        let session = meet(&front, &client, "www.example").unwrap();
        assert_eq!(session.client.tls13_tickets_received(), 0);
    }
}

#[test]
fn one_ticket_is_given_to_each_client_and_one_to_each_that_comes_again() {
    let ca = Ca::new("ca");
    let front = Director::alone().front(settings(&[&ca.issue(&["www.example"], Kind::P256)]));
    let client = Arc::new(client(&ca, TLS13));
    for _ in 0..3 {
        let session = meet(&front, &client, "www.example").unwrap();
        assert_eq!(session.client.tls13_tickets_received(), 1);
    }
    assert!(!full(kind(&front, &client)));
}

#[test]
fn a_ticket_of_a_front_for_other_names_is_of_no_use() {
    let ca = Ca::new("ca");
    let director = Director::sharing(&SECRET);
    let www = director.front(settings(&[&ca.issue(&["www.example"], Kind::P256)]));
    let both = director.front(settings(&[&ca.issue(&["www.example", "shop.example"], Kind::P256)]));
    assert_eq!(resumes(&ca, &www, &both, || ()), [false; 2]);
}
