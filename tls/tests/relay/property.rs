//! Whatever happens on either leg, a side gets what the other one has said, in order, and sees an end only where there
//! was one.

use std::{io::Write, time::Duration};

use proptest::prelude::*;
use rustls::version::{TLS12, TLS13};
use tls::{How, Leg};

use crate::world::{World, client_config, terms};

#[derive(Clone, Debug)]
enum Act {
    Drive,
    ClientSays(usize),
    ServerSays(usize),
    ClientPumps,
    ServerReads(usize),
    Step(bool, usize),
    Room(bool, usize),
    ClientEnds,
    ServerEnds,
    Reset(bool),
    /// TCP ends and TLS does not.
    ClientCuts,
    Time(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let some = prop_oneof![20_usize..50, 1_usize..20_000];
    prop_oneof![
        12 => Just(Act::Drive),
        6 => some.clone().prop_map(Act::ClientSays),
        6 => some.clone().prop_map(Act::ServerSays),
        8 => Just(Act::ClientPumps),
        6 => some.clone().prop_map(Act::ServerReads),
        3 => (any::<bool>(), some.clone()).prop_map(|(side, n)| Act::Step(side, n)),
        3 => (any::<bool>(), some).prop_map(|(side, n)| Act::Room(side, n)),
        1 => Just(Act::ClientEnds),
        1 => Just(Act::ServerEnds),
    ]
}

/// As above, and all that may go wrong.
fn rough() -> impl Strategy<Value = Act> {
    prop_oneof![
        40 => act(),
        1 => any::<bool>().prop_map(Act::Reset),
        1 => Just(Act::ClientCuts),
        1 => (1_u64..100).prop_map(Act::Time),
    ]
}

/// Bytes that show where they are from.
fn bytes(from: usize, n: usize) -> Vec<u8> {
    (from..from + n).map(|i| (i % 251) as u8).collect()
}

#[derive(Default)]
struct Said {
    client: usize,
    server: usize,
    client_ended: bool,
    client_cut: bool,
    server_ended: bool,
    got: Vec<u8>,
}

fn perform(world: &mut World, act: &Act, said: &mut Said) {
    let live = |said: &Said| !said.client_ended && !said.client_cut;
    match act {
        Act::Drive => drop(world.end.is_none() && world.turn()),
        Act::ClientSays(n) if live(said) => {
            world.client.tls.writer().write_all(&bytes(said.client, *n)).unwrap();
            said.client += n;
        }
        Act::ClientEnds if live(said) && !world.client.tls.is_handshaking() => {
            world.client.tls.send_close_notify();
            said.client_ended = true;
        }
        Act::ClientCuts if live(said) => {
            world.client.leg.shutdown();
            said.client_cut = true;
        }
        Act::ClientPumps if !said.client_cut => world.client.pump(),
        Act::Reset(true) => world.client.leg.abort(),
        Act::Time(n) => world.now += Duration::from_secs(*n),
        Act::Step(true, n) => world.near.wire.borrow_mut().step = *n,
        Act::Room(true, n) => world.near.wire.borrow_mut().back.room = *n,
        _ => {}
    }
    let Some(server) = &mut world.server else { return };
    match act {
        Act::ServerSays(n) if !said.server_ended && server.write_all(&bytes(said.server, *n)).is_ok() => {
            said.server += n;
        }
        Act::ServerReads(n) => {
            let mut buf = vec![0; *n];
            if let Ok(n) = std::io::Read::read(server, &mut buf) {
                said.got.extend(&buf[..n]);
            }
        }
        Act::ServerEnds => {
            server.shutdown();
            said.server_ended = true;
        }
        Act::Reset(false) => server.abort(),
        Act::Step(false, n) => server.wire.borrow_mut().step = *n,
        Act::Room(false, n) => server.wire.borrow_mut().there.room = *n,
        _ => {}
    }
}

fn play(acts: &[Act], old: bool) -> (World, Said) {
    let mut world = World::new(terms(), client_config(if old { &TLS12 } else { &TLS13 }, &[]));
    let mut said = Said::default();
    for act in acts {
        perform(&mut world, act, &mut said);
        let buffered = world.relay.buffered();
        assert!(buffered < 200 * 1024, "{buffered} bytes are held");
    }
    (world, said)
}

/// What must hold at any time.
fn check(world: &mut World, said: &mut Said) {
    if let Some(server) = &mut world.server {
        said.got.extend(server.take());
    }
    if !said.client_cut {
        world.client.pump();
    }
    assert!(
        said.got == bytes(0, said.client)[..said.got.len().min(said.client)],
        "the server got something else"
    );
    let got = world.client.got.len();
    assert!(
        world.client.got == bytes(0, said.server)[..got.min(said.server)],
        "the client got something else"
    );
    if world.server.as_ref().is_some_and(|server| server.ended()) {
        assert!(said.client_ended, "the server saw an end that there was not");
        assert_eq!(said.got.len(), said.client, "the server saw an end before the end");
    }
    if world.client.ended {
        assert!(said.server_ended, "the client saw an end that there was not");
        assert_eq!(got, said.server, "the client saw an end before the end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_sides_get_everything_where_nothing_goes_wrong(acts in prop::collection::vec(act(), 1..60), old: bool) {
        let (mut world, mut said) = play(&acts, old);
        world.near.wire.borrow_mut().back.room = usize::MAX;
        world.run();
        if let Some(server) = &mut world.server {
            server.wire.borrow_mut().there.room = usize::MAX;
        }
        for _ in 0..5 {
            world.run();
            check(&mut world, &mut said);
        }
        prop_assert_eq!(said.got.len(), said.client);
        prop_assert_eq!(world.client.got.len(), said.server);
        // Both say their end.
        perform(&mut world, &Act::ClientEnds, &mut said);
        perform(&mut world, &Act::ServerEnds, &mut said);
        for _ in 0..3 {
            world.run();
        }
        world.client.leg.shutdown();
        world.run();
        check(&mut world, &mut said);
        prop_assert!(world.client.ended);
        prop_assert_eq!(world.end, Some(How::Closed));
    }

    #[test]
    fn an_end_is_seen_only_where_there_was_one(acts in prop::collection::vec(rough(), 1..60), old: bool) {
        let (mut world, mut said) = play(&acts, old);
        check(&mut world, &mut said);
        // Whatever is left comes to an end by itself.
        for _ in 0..100 {
            if world.end.is_some() {
                break;
            }
            if let Some(timeout) = world.relay.poll_timeout() {
                world.now = world.now.max(timeout);
            }
            for _ in 0..100 {
                if !world.turn() {
                    break;
                }
            }
            check(&mut world, &mut said);
        }
        prop_assert!(world.end.is_some(), "{:?}", world.relay);
        prop_assert_eq!(world.counters.handshaking.get(), 0);
    }
}
