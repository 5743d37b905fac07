use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use sched::CheckKind;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::super::Success;
use super::super::tests::{SHORT, ask, ask_for, endless, serve, soon_why, why};
use super::Ready;

fn kind() -> CheckKind {
    CheckKind::Smtp { helo: "director.example".to_owned() }
}

/// A mail server with these words; what it has heard.
async fn server(words: [&'static str; 3]) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let addr = serve(move |stream| {
        let hears = Arc::clone(&hears);
        async move {
            let mut stream = BufReader::new(stream);
            for word in words {
                let _ = stream.write_all(word.as_bytes()).await;
                let mut line = String::new();
                if stream.read_line(&mut line).await.is_ok_and(|n| n > 0) {
                    hears.lock().unwrap().push(line);
                }
            }
        }
    })
    .await;
    (addr, heard)
}

const BYE: &str = "221 bye\r\n";

#[tokio::test]
async fn it_is_greeted_greets_and_leaves() {
    let (addr, heard) = server(["220 mail ready\r\n", "250 hello\r\n", BYE]).await;
    assert_eq!(ask(kind(), addr).await, Ok(Success::default()));
    assert_eq!(*heard.lock().unwrap(), ["HELO director.example\r\n", "QUIT\r\n"]);
}

#[tokio::test]
async fn replies_may_have_several_lines_and_bare_ends() {
    for words in
        [["220-one\r\n220-two\r\n220 three\r\n", "250-a\r\n250 b\r\n", BYE], ["220\n", "250\n", "221\n"]]
    {
        assert_eq!(ask(kind(), server(words).await.0).await, Ok(Success::default()));
    }
}

#[tokio::test]
async fn other_codes_are_failures_that_quote_the_server() {
    let (addr, _) = server(["554 go\x1b[2J away\r\n", "", ""]).await;
    let greeted = why(kind(), addr).await;
    assert_eq!(greeted, "it greets with `554 go\u{fffd}[2J away`, where 220 was expected");
    let (addr, heard) = server(["220 hi\r\n", "501 syntax\r\n", BYE]).await;
    let answered = why(kind(), addr).await;
    assert_eq!(answered, "it answers HELO with `501 syntax`, where 250 was expected");
    assert_eq!(*heard.lock().unwrap(), ["HELO director.example\r\n"]);
}

#[tokio::test]
async fn what_it_says_to_our_leaving_does_not_matter() {
    for bye in ["500 what?\r\n", "nonsense\r\n", ""] {
        let (addr, _) = server(["220 hi\r\n", "250 hello\r\n", bye]).await;
        assert_eq!(ask(kind(), addr).await, Ok(Success::default()));
    }
    // It does not even close.
    let addr = serve(|stream| async move {
        let mut stream = BufReader::new(stream);
        let _ = stream.write_all(b"220 hi\r\n250 hello\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    assert_eq!(ask_for(SHORT, kind(), addr).await, Ok(Success::default()));
}

#[tokio::test]
async fn a_server_that_stops_in_the_middle_has_not_answered() {
    let stops = |said: &'static [u8]| {
        serve(move |mut stream| async move {
            let _ = stream.write_all(said).await;
        })
    };
    assert_eq!(why(kind(), stops(b"22").await).await, "the server closed the connection after `22`");
    assert_eq!(why(kind(), stops(b"220-hi\r\n").await).await, "the server closed the connection");
    let silent_after = endless(b"220-hi\r\n", b"", std::time::Duration::from_millis(50)).await;
    assert_eq!(soon_why(kind(), silent_after).await, "the answer was not complete within 300 ms");
}

#[tokio::test]
async fn a_reply_without_end_is_not_read_to_the_end() {
    let endless_lines = endless(b"", b"220-and more\r\n", std::time::Duration::ZERO).await;
    assert_eq!(why(kind(), endless_lines).await, "the reply has no end");
    let endless_line = endless(b"", b"220 and more", std::time::Duration::ZERO).await;
    assert!(why(kind(), endless_line).await.starts_with("the answer is not SMTP: `220 and more220"));
    let (addr, _) = server(["HTTP/1.1 400 Bad Request\r\n", "", ""]).await;
    assert_eq!(why(kind(), addr).await, "the answer is not SMTP: `HTTP/1.1 400 Bad Request`");
}

#[test]
fn a_name_that_would_be_two_lines_is_none() {
    for name in ["", "a b", "a\r\nQUIT", "é", &"a".repeat(256)] {
        assert!(Ready::new(name).is_err(), "{name}");
    }
    assert!(Ready::new("[10.0.0.1]").is_ok());
}
