use std::time::SystemTime;

use proptest::prelude::*;

use super::*;

const BINDING: [u8; 32] = [1; 32];

fn now(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn secret(bytes: &[u8]) -> Source {
    Source { name: "tickets".to_owned(), bytes: bytes.to_vec() }
}

fn times(rotation: u64, lifetime: u64) -> TicketTimes {
    TicketTimes { rotation: Duration::from_secs(rotation), lifetime: Duration::from_secs(lifetime) }
}

fn shared(clock: &Arc<Clock>) -> Arc<TicketKeys> {
    TicketKeys::shared(&secret(&[7; 32]), times(100, 250), clock).unwrap()
}

#[test]
fn a_secret_is_at_least_32_bytes() {
    let clock = Clock::at(now(0));
    let error = TicketKeys::shared(&secret(&[7; 31]), TicketTimes::default(), &clock).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tickets: too short to make ticket keys of (31 bytes of 32): `head -c 64 /dev/urandom > tickets`"
    );
    assert!(TicketKeys::shared(&secret(&[7; 32]), TicketTimes::default(), &clock).is_ok());
}

#[test]
fn times_without_sense_are_refused() {
    let clock = Clock::at(now(0));
    for (rotation, lifetime) in [(59, 100), (100, 0), (WEEK, WEEK + 1), (60, 6100)] {
        let made = TicketKeys::own(times(rotation, lifetime), &clock);
        assert!(matches!(made, Err(FrontError::TicketTimes { .. })), "{rotation}, {lifetime}");
    }
    assert!(TicketKeys::own(times(60, 6000), &clock).is_ok());
    assert!(TicketKeys::own(times(WEEK, WEEK), &clock).is_ok());
}

#[test]
fn keys_of_its_own_are_forgotten_when_their_tickets_are_dead() {
    let clock = Clock::at(now(1000));
    let keys = TicketKeys::own(times(100, 250), &clock).unwrap();
    assert_eq!(keys.ring().unwrap().keys.len(), 1, "of no other period has anybody a ticket");
    let first = keys.ring().unwrap().keys[0].name;
    let known = |seconds| {
        clock.set(now(seconds));
        keys.ring().unwrap().keys.iter().any(|key| key.name == first)
    };
    assert!(known(1100));
    assert!(known(1399), "made at 1099, a ticket lives until 1349");
    assert!(!known(1400));
    assert!(!known(1000), "what is forgotten does not come back with the clock");
}

#[test]
fn tickets_of_the_next_period_are_accepted_and_of_the_one_after_are_not() {
    let (clock, ahead) = (Clock::at(now(1099)), Clock::at(now(1099)));
    let (here, there) = (shared(&clock).bound(BINDING), shared(&ahead).bound(BINDING));
    for (seconds, accepted) in [(1099, true), (1100, true), (1199, true), (1200, false)] {
        ahead.set(now(seconds));
        let ticket = there.encrypt(b"session").unwrap();
        assert_eq!(here.decrypt(&ticket).is_some(), accepted, "made at {seconds}");
    }
}

#[test]
fn a_ticket_lives_to_the_second() {
    let clock = Clock::at(now(1050));
    let keys = shared(&clock).bound(BINDING);
    let ticket = keys.encrypt(b"session").unwrap();
    for (seconds, accepted) in [(1050, true), (1299, true), (1300, false), (1040, true)] {
        clock.set(now(seconds));
        assert_eq!(keys.decrypt(&ticket).as_deref(), accepted.then_some(&b"session"[..]), "at {seconds}");
    }
}

#[test]
fn no_two_tickets_are_alike_and_nothing_in_them_can_be_read() {
    let keys = shared(&Clock::at(now(1000))).bound(BINDING);
    let (one, two) = (keys.encrypt(&[0; 64]).unwrap(), keys.encrypt(&[0; 64]).unwrap());
    assert_eq!(one[..NAME_LEN], two[..NAME_LEN]);
    assert_ne!(one[NAME_LEN..NAME_LEN + NONCE_LEN], two[NAME_LEN..NAME_LEN + NONCE_LEN]);
    assert_ne!(one[NAME_LEN + NONCE_LEN..], two[NAME_LEN + NONCE_LEN..]);
    assert!(!one.windows(8).any(|window| window == [0; 8]));
}

/// Directors of different versions, and with different providers, share tickets: this must never change by accident.
#[test]
fn keys_are_derived_as_they_have_always_been() {
    let ring = shared(&Clock::at(now(1000))).ring().unwrap();
    let names: Vec<_> = ring.keys.iter().map(|key| (key.period, u128::from_be_bytes(key.name))).collect();
    assert_eq!(names, KNOWN);
}

/// HKDF-SHA256 as another implementation has it.
const KNOWN: [(u64, u128); 5] = [
    (7, 0xa64a96cbc4d675926735fd896af8c0de),
    (8, 0xd0f01860edd96f942a3cdd534b34e5fb),
    (9, 0x6ef41012d390c7ffa6407afbdbbca4e0),
    (10, 0xfc7999f30e4c22a505b6494011de6196),
    (11, 0x45a4681657fd54f0a2eb06fe741f3e52),
];

#[test]
fn a_ticket_of_another_director_is_read() {
    let keys = shared(&Clock::at(now(1000))).bound(BINDING);
    assert_eq!(keys.decrypt(&TICKET).as_deref(), Some(&b"session"[..]));
}

/// Made with aws-lc-rs.
const TICKET: [u8; 59] = [
    0xfc, 0x79, 0x99, 0xf3, 0x0e, 0x4c, 0x22, 0xa5, 0x05, 0xb6, 0x49, 0x40, 0x11, 0xde, 0x61, 0x96, 0xb3,
    0x80, 0xa5, 0x49, 0x64, 0x89, 0x85, 0x63, 0x72, 0x41, 0xfc, 0x7f, 0xdc, 0xb9, 0xc9, 0x0e, 0x4f, 0x29,
    0x8f, 0xbd, 0x07, 0xf5, 0x35, 0x06, 0xb5, 0x5c, 0xf5, 0xc5, 0xc9, 0x63, 0x95, 0x12, 0x31, 0x6d, 0x3c,
    0x6d, 0xac, 0x27, 0xf4, 0xf7, 0x63, 0x79, 0x64,
];

#[test]
fn what_is_shown_of_keys_tells_no_secret() {
    let keys = shared(&Clock::at(now(1000)));
    assert_eq!(format!("{keys:?}"), "TicketKeys { shared: true, rotation: 100, lifetime: 250 }");
}

#[test]
fn threads_that_turn_the_keys_at_once_agree() {
    let clock = Clock::at(now(1000));
    let keys = TicketKeys::own(times(100, 250), &clock).unwrap();
    for period in 11..200 {
        clock.set(now(period * 100));
        let turned: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| keys.ring().unwrap().keys.last().unwrap().name)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(turned.iter().all(|name| *name == turned[0]), "period {period}");
    }
}

proptest! {
    #[test]
    fn a_ticket_with_any_bit_changed_is_refused(session in prop::collection::vec(any::<u8>(), 0..300), at: prop::sample::Index, bit in 0..8u32) {
        let keys = shared(&Clock::at(now(1000))).bound(BINDING);
        let mut ticket = keys.encrypt(&session).unwrap();
        prop_assert_eq!(keys.decrypt(&ticket), Some(session));
        let at = at.index(ticket.len());
        ticket[at] ^= 1u8 << bit;
        prop_assert_eq!(keys.decrypt(&ticket), None);
    }

    #[test]
    fn a_ticket_of_another_binding_or_length_is_refused(cut: prop::sample::Index, binding: [u8; 32]) {
        let keys = shared(&Clock::at(now(1000)));
        let mut ticket = keys.bound(BINDING).encrypt(b"session").unwrap();
        prop_assume!(binding != BINDING);
        prop_assert_eq!(keys.bound(binding).decrypt(&ticket), None);
        ticket.truncate(cut.index(ticket.len()));
        prop_assert_eq!(keys.bound(BINDING).decrypt(&ticket), None);
    }

    #[test]
    fn random_bytes_are_no_ticket(bytes in prop::collection::vec(any::<u8>(), 0..200), named: bool) {
        let keys = shared(&Clock::at(now(1000)));
        let name = keys.ring().unwrap().keys[0].name;
        let bytes = if named { [&name[..], &bytes].concat() } else { bytes };
        prop_assert_eq!(keys.bound(BINDING).decrypt(&bytes), None);
    }
}
