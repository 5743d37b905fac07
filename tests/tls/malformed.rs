//! Handshakes that are wrong, each in its own way: each gets its alert, and leaves nothing behind.

use std::io::{Read as _, Write as _};

use super::hello::{
    GROUPS, Hello, KEY_SHARE, SCHEMES, SERVER_NAME, VERSIONS, alert_of, message, record, sni,
};
use super::scene::{Scene, both, to_the_end};

const UNEXPECTED: u8 = 10;
const RECORD_OVERFLOW: u8 = 22;
const FAILURE: u8 = 40;
const ILLEGAL: u8 = 47;
const DECODE: u8 = 50;
const VERSION: u8 = 70;
const MISSING: u8 = 109;

/// What is sent, and the alerts that are right for it. None: the end without a word.
type Case = (&'static str, Vec<u8>, &'static [u8]);

fn cases() -> Vec<Case> {
    let hello = Hello::default;
    let good = hello().record();
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let cut = |len: usize| record(22, &message(1, &hello().body()[..len]));
    let suites = |suites: &[u8]| Hello { suites: suites.to_vec(), ..hello() }.record();
    let compression = |methods: &[u8]| Hello { compression: methods.to_vec(), ..hello() }.record();
    let twice = |kind: u16| {
        let mut doubled = hello();
        let extension = doubled.extensions.iter().find(|(known, _)| *known == kind).unwrap().clone();
        doubled.extensions.push(extension);
        doubled.record()
    };
    let share = |group: u16, key: &[u8]| {
        let entry = [&group.to_be_bytes()[..], &(key.len() as u16).to_be_bytes(), key].concat();
        let content = [&(entry.len() as u16).to_be_bytes()[..], &entry].concat();
        hello().with(GROUPS, &[&[0, 2][..], &group.to_be_bytes()].concat()).with(KEY_SHARE, &content).record()
    };
    let tls12 = || hello().without(VERSIONS).without(KEY_SHARE);
    let mut overlong = vec![22, 3, 1, 0x48, 1];
    overlong.extend([0; 0x4801]);
    let mut long_session = hello();
    long_session.session = vec![5; 33];
    vec![
        ("a record of version 9.9", changed(1, 9), &[UNEXPECTED, DECODE, VERSION]),
        ("a record of an unknown kind", changed(0, 99), &[UNEXPECTED, DECODE]),
        ("a record that is too long", overlong, &[RECORD_OVERFLOW, DECODE]),
        ("an empty record", record(22, &[]), &[UNEXPECTED, DECODE]),
        ("no body", record(22, &message(1, &[])), &[DECODE]),
        ("a body that ends in the random", cut(20), &[DECODE]),
        ("a body that ends in the suites", cut(70), &[DECODE]),
        ("a body that ends in the extensions", cut(120), &[DECODE]),
        (
            "bytes after the extensions",
            record(22, &message(1, &[&hello().body()[..], &[0; 3]].concat())),
            &[DECODE],
        ),
        ("an unknown message", record(22, &message(99, &[0; 40])), &[UNEXPECTED, DECODE]),
        ("a ServerHello", record(22, &message(2, &hello().body())), &[UNEXPECTED, DECODE]),
        ("Finished first", record(22, &message(20, &[0; 12])), &[UNEXPECTED, DECODE]),
        ("ChangeCipherSpec first", [record(20, &[1]), good.clone()].concat(), &[UNEXPECTED]),
        ("application data first", record(23, b"GET / HTTP/1.1\r\n\r\n"), &[UNEXPECTED]),
        ("a fatal alert first", record(21, &[2, 40]), &[UNEXPECTED]),
        ("close_notify first", record(21, &[1, 0]), &[UNEXPECTED]),
        ("an alert of one byte", record(21, &[2]), &[UNEXPECTED, DECODE]),
        ("a heartbeat", record(24, &[1, 0x40, 0, 0]), &[UNEXPECTED, DECODE]),
        ("no suites", suites(&[]), &[DECODE, FAILURE, ILLEGAL]),
        ("half a suite", suites(&[0x13]), &[DECODE]),
        ("suites that nobody has", suites(&[0xfa, 0xfa, 0, 5]), &[FAILURE]),
        ("nothing but NULL and export suites", suites(&[0, 1, 0, 2, 0, 3, 0, 8]), &[FAILURE]),
        ("no compression", compression(&[]), &[DECODE, ILLEGAL]),
        ("DEFLATE alone", compression(&[1]), &[ILLEGAL, DECODE]),
        ("a session id of 33 bytes", long_session.record(), &[DECODE, ILLEGAL]),
        ("the same extension twice", twice(SCHEMES), &[ILLEGAL, DECODE]),
        ("two names", twice(SERVER_NAME), &[ILLEGAL, DECODE]),
        (
            "a name with a byte 0",
            hello().with(SERVER_NAME, &sni("one\0example")).record(),
            &[DECODE, ILLEGAL, 112],
        ),
        ("an empty name", hello().with(SERVER_NAME, &sni("")).record(), &[DECODE, ILLEGAL, 112]),
        (
            "a name longer than its extension",
            hello().with(SERVER_NAME, &[0, 9, 0, 0, 99, 1]).record(),
            &[DECODE],
        ),
        ("no versions", hello().with(VERSIONS, &[0]).record(), &[DECODE, VERSION]),
        ("versions that nobody has", hello().with(VERSIONS, &[2, 0x7f, 0x7f]).record(), &[VERSION]),
        ("SSL 3.0", Hello { version: [3, 0], ..tls12().without(SCHEMES) }.record(), &[VERSION]),
        ("TLS 1.1", Hello { version: [3, 2], ..tls12().without(SCHEMES) }.record(), &[VERSION]),
        ("TLS 1.1 that has heard of schemes", Hello { version: [3, 2], ..tls12() }.record(), &[VERSION]),
        (
            "no groups in common",
            hello().with(GROUPS, &[0, 2, 0xfa, 0xfa]).with(KEY_SHARE, &[0, 0]).record(),
            &[FAILURE],
        ),
        ("no schemes", hello().without(SCHEMES).record(), &[MISSING, FAILURE]),
        ("schemes of SHA-1 alone", hello().with(SCHEMES, &[0, 4, 2, 1, 2, 3]).record(), &[FAILURE]),
        ("no groups", hello().without(GROUPS).record(), &[MISSING, FAILURE]),
        ("no key share", hello().without(KEY_SHARE).record(), &[MISSING, FAILURE]),
        ("a key of 31 bytes", share(29, &[9; 31]), &[ILLEGAL, DECODE]),
        ("the key 0", share(29, &[0; 32]), &[ILLEGAL, FAILURE]),
        ("a point that is not on the curve", share(23, &[&[4][..], &[1; 64]].concat()), &[ILLEGAL, FAILURE]),
        ("a hello in the middle of a hello", [&good[..60], &good].concat(), &[DECODE, UNEXPECTED, ILLEGAL]),
        (
            "an alert in the middle of a hello",
            { [record(22, &hello().message()[..60]), record(21, &[1, 90])].concat() },
            &[UNEXPECTED, ILLEGAL],
        ),
        (
            "application data in the middle of the handshake",
            [good.clone(), record(23, b"data")].concat(),
            &[],
        ),
    ]
}

#[test]
fn every_mistake_gets_its_alert_and_leaves_nothing() {
    both(|scene| {
        scene.add(&scene.pair("one.example", ""));
        for (name, bytes, alerts) in cases() {
            let answer = scene.answer(&bytes);
            match alert_of(&answer) {
                // What comes after the server's first words may be told in secret.
                None if alerts.is_empty() => assert_eq!(answer.first(), Some(&22), "{name}"),
                Some(alert) if alerts.contains(&alert) => {}
                other => panic!("{name}: {other:?} is none of {alerts:?}, in {answer:02x?}"),
            }
        }
        scene.wait_idle();
        assert_eq!(scene.counter("handshakes-full"), 0);
        let counted: u64 =
            scene.counters().iter().filter(|(name, _)| name.starts_with("alert-")).map(|(_, n)| n).sum();
        assert_eq!(counted, cases().len() as u64, "{:?}", scene.counters());
        scene.works("one.example", "");
    });
}

/// After the ServerHello, over which a client of TLS 1.2 can still talk in clear.
#[test]
fn mistakes_after_the_first_answer_end_the_handshake_too() {
    both(|scene| {
        scene.add(&scene.pair("one.example", ""));
        let hello = Hello::default().without(VERSIONS).without(KEY_SHARE);
        let key = message(16, &[&[32][..], &[9; 32]].concat());
        let long_key = message(16, &[&[33][..], &[9; 33]].concat());
        let finished = [record(20, &[1]), record(22, &[0; 40])].concat();
        for (name, then, alerts) in [
            ("another hello", hello.record(), &[UNEXPECTED][..]),
            ("ChangeCipherSpec before the keys", record(20, &[1]), &[UNEXPECTED]),
            (
                "ChangeCipherSpec of two bytes",
                [record(22, &key), record(20, &[1, 1])].concat(),
                &[DECODE, UNEXPECTED, ILLEGAL],
            ),
            ("application data", record(23, b"GET / HTTP/1.1\r\n\r\n"), &[UNEXPECTED]),
            ("a key that is too long", record(22, &long_key), &[DECODE, ILLEGAL]),
            ("an empty key", record(22, &message(16, &[])), &[DECODE]),
            (
                "Finished in clear",
                [record(22, &key), record(22, &message(20, &[0; 12]))].concat(),
                &[UNEXPECTED],
            ),
            ("Finished that is wrong", [record(22, &key), finished].concat(), &[20, 51]),
            ("a certificate that nobody asked for", record(22, &message(11, &[0, 0, 0])), &[UNEXPECTED]),
        ] {
            let mut stream = scene.connect();
            stream.write_all(&hello.record()).unwrap();
            let mut first = [0; 6];
            stream.read_exact(&mut first).unwrap();
            assert_eq!((first[0], first[5]), (22, 2), "{name}: {first:?}");
            let _ = stream.write_all(&then);
            let rest = to_the_end(&mut stream);
            let answer = [&first[..], &rest].concat();
            let alert = alert_of(&answer);
            assert!(
                alert.is_some_and(|alert| alerts.contains(&alert)),
                "{name}: {alert:?} is none of {alerts:?}, {rest:02x?}"
            );
        }
        scene.wait_idle();
        assert_eq!(scene.counter("handshakes-full"), 0);
    });
}

/// Kilobytes of memory that the engine has.
fn memory(scene: &Scene<'_>) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", scene.engine.status().pid)).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

#[test]
fn hundreds_of_mistakes_leave_no_memory_behind() {
    both(|scene| {
        scene.add(&scene.pair("one.example", ""));
        let cases = cases();
        let rounds = |n: usize| {
            for (at, (_, bytes, _)) in cases.iter().cycle().take(n).enumerate() {
                match at % 3 {
                    0 => drop(scene.answer(bytes)),
                    // Gone before there is an answer; and in the middle.
                    1 => drop(scene.connect().write_all(bytes)),
                    _ => drop(scene.connect().write_all(&bytes[..bytes.len() / 2])),
                }
            }
            scene.wait_idle();
        };
        rounds(150);
        // An allocator's arena grows once or twice; what a connection leaves behind grows each time.
        let sizes: Vec<u64> =
            std::iter::once(0).chain([120; 5]).map(|n| (rounds(n), memory(scene)).1).collect();
        let mut grown: Vec<i64> = sizes.windows(2).map(|pair| pair[1] as i64 - pair[0] as i64).collect();
        grown.sort_unstable();
        assert!(grown[2] < 120, "more than a kilobyte of each mistake stays: {sizes:?} kB");
        scene.works("one.example", "");
    });
}
