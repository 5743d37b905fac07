use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use sched::{CheckKind, DnsRecord};

use super::super::Success;
use super::super::tests::{answers, ask, nobody, soon_why, why};
use super::{Ready, rcode};

/// What a query is answered with.
type Answer = fn(&[u8]) -> Vec<u8>;

fn question(record: DnsRecord, name: &str) -> CheckKind {
    CheckKind::Dns { record, name: name.to_owned() }
}

fn root() -> CheckKind {
    question(DnsRecord::Soa, ".")
}

/// The query as an answer with that RCODE.
fn answer(query: &[u8], rcode: u8) -> Vec<u8> {
    let mut answer = query.to_vec();
    answer[2] |= 0x80;
    answer[3] = 0x80 | rcode;
    answer
}

#[tokio::test]
async fn the_query_is_as_the_rfc_has_it() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&seen);
    let addr = answers(move |query| {
        heard.lock().unwrap().push(query.to_vec());
        vec![answer(query, 0)]
    })
    .await;
    for (record, name, rest) in [
        (DnsRecord::Soa, ".", b"\0\0\x06\0\x01".as_slice()),
        (DnsRecord::A, "www.ilinux.io", b"\x03www\x06ilinux\x02io\0\0\x01\0\x01"),
        (DnsRecord::Aaaa, "ilinux.io.", b"\x06ilinux\x02io\0\0\x1c\0\x01"),
        (DnsRecord::Ns, "io", b"\x02io\0\0\x02\0\x01"),
        (DnsRecord::Cname, "io", b"\x02io\0\0\x05\0\x01"),
        (DnsRecord::Mx, "io", b"\x02io\0\0\x0f\0\x01"),
        (DnsRecord::Txt, "_a.io", b"\x02_a\x02io\0\0\x10\0\x01"),
    ] {
        assert_eq!(ask(question(record, name), addr).await, Ok(Success::default()));
        let query = seen.lock().unwrap().pop().unwrap();
        assert_eq!(query[2..12], [1, 0, 0, 1, 0, 0, 0, 0, 0, 0], "recursion desired, one question");
        assert_eq!(&query[12..], rest, "{name}");
    }
}

#[tokio::test]
async fn an_answer_without_a_record_is_right_as_it_is_to_keepalived() {
    let addr = answers(|query| vec![answer(query, 0)]).await;
    assert_eq!(ask(root(), addr).await, Ok(Success::default()));
}

#[tokio::test]
async fn another_rcode_is_a_failure_by_name() {
    for (rcode, name) in [(1, "FORMERR"), (2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED"), (15, "RCODE 15")]
    {
        let addr = answers(move |query| vec![answer(query, rcode)]).await;
        let why = why(question(DnsRecord::A, "www.ilinux.io"), addr).await;
        assert_eq!(why, format!("asked for A of `www.ilinux.io`, it answers {name}"));
    }
    // One that cannot read it does not quote it.
    let addr = answers(|query| vec![[&query[..2], &[0x80, 0x01, 0, 0, 0, 0, 0, 0, 0, 0]].concat()]).await;
    assert_eq!(why(root(), addr).await, "asked for SOA of `.`, it answers FORMERR");
}

#[tokio::test]
async fn what_is_no_answer_to_the_question_is_left_alone() {
    let others: [Answer; 8] = [
        |_| Vec::new(),
        |query| query[..11].to_vec(),
        |query| query.to_vec(),
        |query| {
            let mut other = answer(query, 0);
            other[0] ^= 1;
            other
        },
        |query| {
            let mut other = answer(query, 3);
            other[1] ^= 1;
            other
        },
        |query| {
            let mut other = answer(query, 0);
            other[13] ^= 1;
            other
        },
        |query| answer(query, 0)[..12].to_vec(),
        |query| [&query[..2], &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat(),
    ];
    for other in others {
        let addr = answers(move |query| vec![other(query)]).await;
        assert_eq!(soon_why(question(DnsRecord::A, "a.io"), addr).await, "no answer within 300 ms");
        let addr = answers(move |query| vec![other(query), answer(query, 0)]).await;
        assert_eq!(ask(question(DnsRecord::A, "a.io"), addr).await, Ok(Success::default()));
    }
}

#[tokio::test]
async fn capitals_do_not_matter_and_nobody_there_is_a_refusal() {
    let addr = answers(|query| vec![answer(&query.to_ascii_uppercase(), 0)]).await;
    // The number and the flags have no letters, unless chance has it.
    let mut result = Err(String::new());
    for _ in 0..20 {
        result = super::super::tests::ask_for(500, question(DnsRecord::A, "a.io"), addr).await;
        if result.is_ok() {
            break;
        }
    }
    assert_eq!(result, Ok(Success::default()));
    assert_eq!(why(root(), nobody().await).await, "connection refused");
}

#[test]
fn what_is_no_name_is_said_beforehand() {
    let long = vec!["a".repeat(63); 4].join(".");
    for (name, part) in [
        ("", "the root is `.`"),
        ("..", "nothing between two dots"),
        ("a..b", "nothing between two dots"),
        (".a", "nothing between two dots"),
        (&"a".repeat(64), "more than 63"),
        (&long, "more than 253"),
        ("a b", "no ` ` can be in it"),
        ("a\nb", "no `\\n` can be in it"),
        ("é.io", "no `\\u{e9}` can be in it"),
    ] {
        let why = Ready::new(DnsRecord::A, name).expect_err(name);
        assert!(why.contains(part), "{name}: {why}");
    }
    let longest = [vec!["a".repeat(63); 3].join("."), "a".repeat(61)].join(".");
    assert_eq!(longest.len(), 253);
    assert!(Ready::new(DnsRecord::A, &longest).is_ok());
}

proptest! {
    #[test]
    fn whatever_comes_is_no_answer_by_chance(mut answer in prop::collection::vec(any::<u8>(), 0..100), like: bool) {
        let mut query = Ready::new(DnsRecord::A, "www.ilinux.io").unwrap().query;
        query[..2].copy_from_slice(b"\xab\xcd");
        if like && answer.len() > 4 {
            answer[..3].copy_from_slice(b"\xab\xcd\x80");
        }
        // Who does not quote the question can say that something is wrong with it, and no more.
        prop_assert_ne!(rcode(&answer, &query), Some(0));
    }
}
