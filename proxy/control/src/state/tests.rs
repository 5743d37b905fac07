use std::sync::Arc;

use proptest::prelude::*;
use sched::{CertFiles, Check, CheckKind, Health, Proto, ServiceTable, TlsFront, Trash, Weight};

use super::*;

fn specs() -> impl Strategy<Value = Vec<ServiceSpec>> {
    let dest = (0u8..5, 0u32..3);
    let service = (
        0u8..4,
        any::<bool>(),
        prop::sample::select(vec!["rr", "wrr", "wlc"]),
        prop::collection::vec(dest, 0..5),
        prop::collection::btree_set(0u8..4, 0..4),
        prop::option::of(0u8..3),
        prop::option::of(0u8..3),
    );
    prop::collection::vec(service, 0..6).prop_map(|services| {
        let mut specs: Vec<ServiceSpec> = Vec::new();
        for (n, udp, scheduler, dests, lips, tls, health) in services {
            let vip = format!("10.0.0.{}:80", n + 1).parse().unwrap();
            let key = ServiceKey::addr(if udp { Proto::Udp } else { Proto::Tcp }, vip);
            if specs.iter().any(|s| s.key == key) {
                continue;
            }
            let mut spec = ServiceSpec::new(key, scheduler);
            spec.lips = lips.iter().map(|n| [10, 1, 0, n + 1].into()).collect();
            spec.tls = tls.filter(|_| !udp).map(front);
            spec.health = health.map(checks);
            for (n, weight) in dests {
                let addr = format!("192.168.1.{}:8080", n + 1).parse().unwrap();
                if spec.dests.iter().all(|d| d.addr != addr) {
                    spec.dests.push(DestSpec { weight: Weight(weight), ..DestSpec::new(addr) });
                }
            }
            // In one file nobody is both; between the files and by hand anybody may be.
            let sorry = spec.health.as_ref().and_then(|health| health.sorry.as_ref()).map(|dest| dest.addr);
            spec.dests.retain(|dest| Some(dest.addr) != sorry);
            specs.push(spec);
        }
        specs
    })
}

/// A front of port 80, one of several.
fn front(n: u8) -> Arc<TlsFront> {
    let pair = CertFiles { cert: "/site.crt".into(), key: "/site.key".into(), ocsp: None };
    Arc::new(TlsFront { port: 80, server_port: Some(8000 + u16::from(n)), ..TlsFront::new(pair) })
}

/// The checks of a service, one of several ways. Their sorry server is like any other.
fn checks(n: u8) -> Arc<Health> {
    let sorry = format!("192.168.1.{}:8080", 2 + n).parse().unwrap();
    let checks = vec![Check::new(CheckKind::Tcp); usize::from(n)];
    Arc::new(Health { checks, sorry: Some(DestSpec::new(sorry)), ..Health::default() })
}

/// As a set: by key, servers by address.
fn sorted(mut specs: Vec<ServiceSpec>) -> Vec<ServiceSpec> {
    specs.sort_by_key(|s| s.key);
    for spec in &mut specs {
        spec.dests.sort_by_key(|d| d.addr);
        spec.lips.sort();
    }
    specs
}

fn table(specs: &[ServiceSpec]) -> ServiceTable {
    apply(&ServiceTable::default(), &diff(&[], specs))
}

fn apply(table: &ServiceTable, ops: &[Op]) -> ServiceTable {
    table.apply(&mut Trash::default(), ops).unwrap_or_else(|(i, e)| panic!("edit {i} of {ops:?}: {e}"))
}

fn read(table: &ServiceTable) -> Vec<ServiceSpec> {
    sorted(table.services().map(|s| s.spec()).collect())
}

proptest! {
    #[test]
    fn applying_the_difference_of_two_states_to_the_first_gives_the_second(a in specs(), b in specs()) {
        prop_assert_eq!(read(&apply(&table(&a), &diff(&a, &b))), sorted(b));
    }

    #[test]
    fn equal_states_differ_in_nothing(a in specs()) {
        let mut shuffled = a.clone();
        shuffled.reverse();
        prop_assert_eq!(diff(&a, &shuffled), Vec::new());
    }

    #[test]
    fn a_reload_applies_to_whatever_runs(running in specs(), old in specs(), new in specs()) {
        apply(&table(&running), &reconcile(&running, &old, &new));
    }

    #[test]
    fn without_edits_by_hand_a_reload_ends_at_the_new_file(old in specs(), new in specs()) {
        let after = apply(&table(&old), &reconcile(&old, &old, &new));
        prop_assert_eq!(read(&after), sorted(new));
    }

    #[test]
    fn an_unchanged_file_changes_nothing(running in specs(), file in specs()) {
        prop_assert_eq!(reconcile(&running, &file, &file), Vec::new());
    }
}

fn service(text: &str) -> ServiceSpec {
    let mut words = text.split(' ');
    let vip = words.next().unwrap().parse().unwrap();
    let scheduler = words.next().unwrap().to_owned();
    let dests = words.map(|w| {
        let (addr, weight) = w.split_once('=').unwrap();
        DestSpec { weight: Weight(weight.parse().unwrap()), ..DestSpec::new(addr.parse().unwrap()) }
    });
    ServiceSpec { dests: dests.collect(), ..ServiceSpec::new(ServiceKey::addr(Proto::Tcp, vip), &scheduler) }
}

#[test]
fn what_goes_comes_first_and_what_comes_keeps_its_order() {
    let old = [service("10.0.0.1:80 rr 10.1.0.1:80=1 10.1.0.2:80=1"), service("10.0.0.2:80 rr")];
    let new = [
        service("10.0.0.3:80 wlc 10.1.0.9:80=1"),
        service("10.0.0.1:80 wrr 10.1.0.2:80=5 10.1.0.8:80=1 10.1.0.3:80=1"),
    ];
    let key = new[1].key;
    let dest = |i: usize| new[1].dests[i].clone();
    let expected = vec![
        Op::DelService { key: old[1].key },
        Op::DelDest { key, addr: old[0].dests[0].addr },
        Op::EditService { service: service("10.0.0.1:80 wrr") },
        Op::EditDest { key, dest: dest(0) },
        Op::AddService { service: new[0].clone() },
        Op::AddDest { key, dest: dest(1) },
        Op::AddDest { key, dest: dest(2) },
    ];
    assert_eq!(diff(&old, &new), expected);
}

/// What runs, the old file, the new file; what runs after the reload.
#[test]
fn edits_by_hand_survive_unless_the_file_changed_the_same_thing() {
    let cases: &[(&str, [&[&str]; 4])] = &[
        (
            "a server drained by hand stays drained",
            [
                &["10.0.0.1:80 rr 10.1.0.1:80=0 10.1.0.2:80=1"],
                &["10.0.0.1:80 rr 10.1.0.1:80=1 10.1.0.2:80=1"],
                &["10.0.0.1:80 rr 10.1.0.1:80=1 10.1.0.2:80=7"],
                &["10.0.0.1:80 rr 10.1.0.1:80=0 10.1.0.2:80=7"],
            ],
        ),
        (
            "a weight changed by hand and then in the file is the file's",
            [
                &["10.0.0.1:80 rr 10.1.0.1:80=0"],
                &["10.0.0.1:80 rr 10.1.0.1:80=1"],
                &["10.0.0.1:80 rr 10.1.0.1:80=3"],
                &["10.0.0.1:80 rr 10.1.0.1:80=3"],
            ],
        ),
        (
            "a service added by hand stays",
            [&["10.0.0.1:80 rr", "10.0.0.9:80 rr"], &["10.0.0.1:80 rr"], &[], &["10.0.0.9:80 rr"]],
        ),
        (
            "a service added by hand and then in the file takes the file's settings and keeps its servers",
            [
                &["10.0.0.1:80 rr 10.1.0.1:80=1 10.1.0.2:80=1"],
                &[],
                &["10.0.0.1:80 wrr 10.1.0.2:80=4"],
                &["10.0.0.1:80 wrr 10.1.0.1:80=1 10.1.0.2:80=4"],
            ],
        ),
        (
            "a service removed by hand and not touched in the file stays away",
            [&[], &["10.0.0.1:80 rr"], &["10.0.0.1:80 rr", "10.0.0.2:80 rr"], &["10.0.0.2:80 rr"]],
        ),
        (
            "a service removed by hand and then edited in the file comes back",
            [
                &[],
                &["10.0.0.1:80 rr"],
                &["10.0.0.1:80 wrr 10.1.0.1:80=1"],
                &["10.0.0.1:80 wrr 10.1.0.1:80=1"],
            ],
        ),
        (
            "a server removed by hand and then from the file is gone",
            [
                &["10.0.0.1:80 rr"],
                &["10.0.0.1:80 rr 10.1.0.1:80=1"],
                &["10.0.0.1:80 rr"],
                &["10.0.0.1:80 rr"],
            ],
        ),
    ];
    for (what, states) in cases {
        let [running, old, new, expected] =
            states.map(|texts| texts.iter().map(|t| service(t)).collect::<Vec<_>>());
        let after = apply(&table(&running), &reconcile(&running, &old, &new));
        assert_eq!(read(&after), sorted(expected), "{what}");
    }
}

#[test]
fn a_reload_keeps_local_addresses_that_were_added_by_hand() {
    let lips = |hosts: &[u8]| hosts.iter().map(|n| [10, 1, 0, *n].into()).collect::<Vec<std::net::IpAddr>>();
    let after = |running: &[u8], old: &[u8], new: &[u8]| {
        let lips = [running, old, new].map(lips);
        let ops = reconcile_lips(&lips[0], &lips[1], &lips[2]);
        let before = apply(&ServiceTable::default(), &diff_lips(None, &[], &lips[0]));
        let after: Vec<_> = apply(&before, &ops).shared_lips().collect();

        // The same where they are a service's own.
        let key = ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap());
        let [running, old, new] = lips.map(|lips| vec![ServiceSpec { lips, ..ServiceSpec::new(key, "rr") }]);
        let own = read(&apply(&table(&running), &reconcile(&running, &old, &new)));
        assert_eq!(own[0].lips.iter().collect::<BTreeSet<_>>(), after.iter().collect());
        let mut after = after;
        after.sort();
        after
            .iter()
            .map(|lip| lip.to_string().rsplit('.').next().unwrap().parse().unwrap())
            .collect::<Vec<u8>>()
    };
    assert_eq!(after(&[1, 2, 9], &[1, 2], &[1, 2]), [1, 2, 9], "by hand");
    assert_eq!(after(&[1, 2, 9], &[1, 2], &[1, 3]), [1, 3, 9], "edited in the file");
    assert_eq!(after(&[2, 9], &[1, 2], &[1, 2]), [2, 9], "deleted by hand");
    assert_eq!(after(&[1, 9], &[1], &[1, 9]), [1, 9], "added by hand and then in the file");
    assert_eq!(after(&[9], &[1], &[]), [9], "gone in both");
}

#[test]
fn the_file_says_who_is_a_server_and_who_the_sorry_server() {
    let (plain, with) = ("10.0.0.1:80 rr 10.1.0.1:80=1", "10.0.0.1:80 rr 10.1.0.1:80=1 192.168.1.3:8080=1");
    let spec =
        |text: &str, health: Option<u8>| vec![ServiceSpec { health: health.map(checks), ..service(text) }];
    let sorry_in_file = reconcile(&spec(with, None), &spec(plain, None), &spec(plain, Some(1)));
    assert_eq!(read(&apply(&table(&spec(with, None)), &sorry_in_file)), spec(plain, Some(1)));

    let server_in_file = reconcile(&spec(plain, Some(1)), &spec(plain, None), &spec(with, None));
    let after = read(&apply(&table(&spec(plain, Some(1))), &server_in_file));
    assert_eq!(after[0].dests, spec(with, None)[0].dests);
    let health = after[0].health.as_ref().unwrap();
    assert_eq!((&health.sorry, &health.checks), (&None, &checks(1).checks), "the checks stay");
}

#[test]
fn a_front_set_by_hand_stays_until_the_file_says_otherwise() {
    let set = |spec, n: Option<u8>| ServiceSpec { tls: n.map(front), ..spec };
    stays_until_the_file_says_otherwise(set, |op| matches!(op, Op::SetTls { .. }));
}

#[test]
fn checks_set_by_hand_stay_until_the_file_says_otherwise() {
    let set = |spec, n: Option<u8>| ServiceSpec { health: n.map(checks), ..spec };
    stays_until_the_file_says_otherwise(set, |op| matches!(op, Op::SetHealth { .. }));
}

/// Something of which a service has one of several, or none.
fn stays_until_the_file_says_otherwise(
    set: fn(ServiceSpec, Option<u8>) -> ServiceSpec,
    sets: fn(&Op) -> bool,
) {
    let with =
        |n: Option<u8>, scheduler: &str| [set(service(&format!("10.0.0.1:80 {scheduler} 10.1.0.1:80=1")), n)];
    let cases = [
        (
            "by hand, and the file changes something else",
            [(Some(1), "rr"), (None, "rr"), (None, "wrr")],
            Some(1),
        ),
        (
            "edited by hand, and the file leaves its own",
            [(Some(1), "rr"), (Some(2), "rr"), (Some(2), "wrr")],
            Some(1),
        ),
        ("taken away by hand", [(None, "rr"), (Some(2), "rr"), (Some(2), "wrr")], None),
        ("edited by hand and then in the file", [(Some(1), "rr"), (Some(2), "rr"), (Some(0), "rr")], Some(0)),
        ("edited by hand and gone from the file", [(Some(1), "rr"), (Some(2), "rr"), (None, "rr")], None),
        ("new in the file", [(None, "rr"), (None, "rr"), (Some(2), "rr")], Some(2)),
    ];
    for (what, states, expected) in cases {
        let [running, old, new] = states.map(|(n, scheduler)| with(n, scheduler));
        let ops = reconcile(&running, &old, &new);
        assert_eq!(read(&apply(&table(&running), &ops)), with(expected, states[2].1), "{what}");
        let edits = ops.iter().filter(|op| sets(op)).count();
        assert_eq!(edits, usize::from(expected != states[0].0), "{what}: {ops:?}");
    }
}
