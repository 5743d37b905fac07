use std::time::Duration;

use sched::{CheckKind, UdpCheck};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::super::tests::{SHORT, answers, ask, ask_for, nobody, soon_why, target, tools, why};
use super::super::{Question, Success};
use super::{AT_LENGTH, BRIEFLY, Ready, Refused};

fn wants(reply: &[Option<u8>]) -> UdpCheck {
    UdpCheck { payload: b"?".to_vec(), require_reply: true, reply: reply.to_vec(), ..UdpCheck::default() }
}

async fn echo() -> std::net::SocketAddr {
    answers(|asked| vec![asked.to_vec()]).await
}

#[tokio::test]
async fn without_a_reply_that_is_wanted_silence_is_right_when_the_time_is_over() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let started = Instant::now();
    let result = ask_for(SHORT, CheckKind::Udp(UdpCheck::default()), silent.local_addr().unwrap()).await;
    assert_eq!(result, Ok(Success::default()));
    assert!(started.elapsed() >= Duration::from_millis(200), "it has waited for an error");
}

#[tokio::test]
async fn without_a_reply_that_is_wanted_any_is_right_at_once() {
    let kind = CheckKind::Udp(UdpCheck { payload: b"?".to_vec(), ..UdpCheck::default() });
    let started = Instant::now();
    assert_eq!(ask(kind, echo().await).await, Ok(Success::default()));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_closed_port_is_an_error_of_either_family() {
    assert_eq!(why(CheckKind::Udp(wants(&[])), nobody().await).await, "connection refused");
    let nobody = UdpSocket::bind("[::1]:0").await.unwrap().local_addr().unwrap();
    assert_eq!(why(CheckKind::Udp(UdpCheck::default()), nobody).await, "connection refused");
}

#[tokio::test]
async fn silence_after_a_refusal_is_no_sign_of_life_until_the_host_would_have_refused_again() {
    let server = nobody().await;
    let check = sched::Check { timeout: SHORT, ..sched::Check::new(CheckKind::Udp(UdpCheck::default())) };
    let question = Question::new(&check, &tools());
    assert_eq!(question.ask(&target(server)).await.result, Err("connection refused".to_owned()));
    // Whoever is there now says nothing, and the host nothing for it.
    let silent = UdpSocket::bind(server).await.unwrap();
    let why = question.ask(&target(server)).await.result.unwrap_err();
    assert!(why.starts_with("connection refused ") && why.ends_with("no sign of life yet"), "{why}");
    let another = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let of_another = question.ask(&target(another.local_addr().unwrap())).await.result;
    assert_eq!(of_another, Ok(Success::default()), "each server for itself");
    drop(silent);
}

#[test]
fn a_refusal_counts_briefly_for_the_living_and_at_length_for_the_dead() {
    let (server, began, refused) = ("10.0.0.1:53".parse().unwrap(), Instant::now(), Refused::default());
    let ms = Duration::from_millis(1);
    assert_eq!(refused.lately(server, false, began), None);
    refused.note(server, began);
    assert_eq!(refused.lately(server, true, began + BRIEFLY - ms), Some(BRIEFLY - ms));
    assert_eq!(refused.lately(server, false, began + AT_LENGTH - ms), Some(AT_LENGTH - ms));
    assert_eq!(refused.lately(server, false, began + AT_LENGTH), None);
    refused.note(server, began);
    assert_eq!(refused.lately(server, true, began + BRIEFLY), None);
    refused.note(server, began);
    refused.forget(server);
    assert_eq!(refused.lately(server, false, began), None, "it has replied");
}

#[tokio::test]
async fn a_reply_that_is_wanted_and_does_not_come_is_a_failure() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(
        soon_why(CheckKind::Udp(wants(&[])), silent.local_addr().unwrap()).await,
        "no answer within 300 ms"
    );
}

#[tokio::test]
async fn what_is_sent_is_the_payload_and_what_comes_is_compared_with_the_pattern() {
    let check = UdpCheck { payload: vec![0, 255, 7], ..wants(&[Some(0), None, Some(7)]) };
    assert_eq!(ask(CheckKind::Udp(check.clone()), echo().await).await, Ok(Success::default()));
    let check = UdpCheck { reply: vec![Some(0), None, Some(8)], ..check };
    assert_eq!(
        why(CheckKind::Udp(check), echo().await).await,
        "byte 3 of the reply is 07, where 08 was expected"
    );
}

#[test]
fn replies_are_judged_as_keepalived_judges_them() {
    let judge = |check: &UdpCheck, got: &[u8]| Ready::new(check).unwrap().judge(got);
    let pattern = wants(&[Some(1), None, Some(3)]);
    assert_eq!(judge(&pattern, &[1, 9, 3, 4]), Ok(()), "more than the pattern has");
    assert_eq!(judge(&pattern, &[1]), Ok(()), "less than the pattern has: only that much is compared");
    assert_eq!(judge(&pattern, &[]), Ok(()));
    assert_eq!(
        judge(&pattern, &[2, 2, 3]),
        Err("byte 1 of the reply is 02, where 01 was expected".to_owned())
    );

    let bounded = UdpCheck { min_reply: 2, max_reply: 3, ..pattern };
    assert_eq!(judge(&bounded, &[1, 2]), Ok(()));
    assert_eq!(judge(&bounded, &[1, 2, 3]), Ok(()));
    assert_eq!(judge(&bounded, &[1]), Err("the reply has 1 byte, where 2 at least were expected".to_owned()));
    assert_eq!(judge(&bounded, &[1, 2, 3, 4]), Err("the reply is longer than 3 bytes".to_owned()));
}

#[test]
fn what_can_never_be_is_said_beforehand() {
    let why = |check: UdpCheck| Ready::new(&check).expect_err("it can be asked");
    assert!(why(UdpCheck { payload: vec![0; 65_508], ..UdpCheck::default() }).contains("65508"));
    assert!(why(UdpCheck { min_reply: 5, max_reply: 4, ..wants(&[]) }).contains("5 bytes at least and 4"));
    assert!(why(UdpCheck { reply: vec![None], ..UdpCheck::default() }).contains("set `require_reply`"));
    assert!(why(UdpCheck { min_reply: 1, ..UdpCheck::default() }).contains("set `require_reply`"));
}
