use std::time::Duration;

use sched::CheckKind;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::super::Success;
use super::super::tests::{ask, nobody, soon_why, why};

#[tokio::test]
async fn a_listener_is_enough() {
    for addr in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(addr).await.unwrap();
        assert_eq!(ask(CheckKind::Tcp, listener.local_addr().unwrap()).await, Ok(Success::default()));
    }
}

#[tokio::test]
async fn the_program_on_the_server_does_not_hear_of_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    for _ in 0..20 {
        assert_eq!(ask(CheckKind::Tcp, addr).await, Ok(Success::default()));
    }
    let accepted = timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(accepted.is_err(), "{accepted:?}");
}

#[tokio::test]
async fn nobody_there_is_a_refusal_also_where_our_own_port_may_be_the_one_that_is_asked() {
    // Of the ports that the kernel picks from, now and then one meets itself.
    let addr = nobody().await;
    for _ in 0..50 {
        assert_eq!(why(CheckKind::Tcp, addr).await, "connection refused");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_a_syn_is_not_waited_for_for_ever() {
    // A full queue of connections that nobody accepts: the kernel leaves further SYNs alone.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(addr)).await
    {
        waiting.push(stream);
    }
    assert_eq!(soon_why(CheckKind::Tcp, addr).await, "no answer within 300 ms");
}
