mod fake;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use sched::{Op, OpError, Proto, ServiceKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use self::fake::*;
use super::socket::connect_named;
use super::*;

fn del(port: u16) -> Op {
    Op::DelService { key: ServiceKey::addr(Proto::Tcp, format!("10.0.0.1:{port}").parse().unwrap()) }
}

/// A socket name that no other test or process has.
fn name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("ulvs/test/{}/{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

/// Runs a fake engine on the current runtime.
async fn engine() -> (String, tokio::task::JoinHandle<std::io::Result<()>>) {
    let name = name();
    let socket = ControlSocket::bind_named(&name).await.unwrap();
    let (stop, stopped) = oneshot::channel();
    let backend = Arc::new(Fake { stop: std::sync::Mutex::new(Some(stop)) });
    let task = tokio::spawn(serve(socket, backend, async { _ = stopped.await }));
    (name, task)
}

#[tokio::test]
async fn a_client_reads_and_changes_the_state() {
    let (name, task) = engine().await;
    let mut client = Client::connect_to(&name).await.unwrap();
    assert_eq!(client.status().await.unwrap().version, "1.2.3");
    assert_eq!(client.services().await.unwrap().generation, 9);
    assert_eq!(client.marks().await.unwrap().generation, 9);
    let applied = client.apply(ApplyMode::KeepGoing, vec![del(80), del(1), del(81)]).await.unwrap();
    assert_eq!(applied.failures, [OpFailure { index: 1, error: OpError::NoSuchService }]);
    let refused = client.apply(ApplyMode::Atomic, vec![del(80), del(81), del(1)]).await.unwrap_err();
    assert!(
        matches!(refused, ClientError::Refused { index: 2, error: OpError::NoSuchService }),
        "{refused:?}"
    );
    let mut change = SettingsChange::default();
    change.timeouts.udp = 7;
    change.sysctls.insert("sloppy_tcp".to_owned(), 1);
    let set = client.set(&change).await.unwrap();
    assert_eq!(set, client.settings().await.unwrap().changed(&change).unwrap());
    assert_eq!((set.timeouts.udp, set.timeouts.tcp), (7, 900));
    let view = client.drain(&order()).await.unwrap();
    assert_eq!((view, view.is_empty()), (drained(order()), false));
    assert_eq!(client.drains().await.unwrap().drains, [view]);
    let failed = client.drain(&DrainOrder { undo: true, ..order() }).await.unwrap_err();
    assert!(matches!(&failed, ClientError::Failed(text) if text == "it is not being drained"), "{failed:?}");
    let failed = client.reload().await.unwrap_err();
    assert!(matches!(&failed, ClientError::Failed(text) if text == "ulvs.toml:3:1: no"), "{failed:?}");
    client.stop().await.unwrap();
    drop(client);
    task.await.unwrap().unwrap();
    assert!(matches!(Client::connect_to(&name).await, Err(ClientError::NoEngine)));
}

#[tokio::test]
async fn fronts_are_shown_and_those_with_bad_files_are_refused() {
    let (name, _task) = engine().await;
    let mut client = Client::connect_to(&name).await.unwrap();
    let list = client.tls().await.unwrap();
    assert_eq!(list.fronts, [front()]);
    assert_eq!((list.fronts[0].count(TlsView::FULL), list.fronts[0].count(TlsView::FAILED)), (7, 0));
    let reloaded = client.reload_tls().await.unwrap();
    assert_eq!((reloaded.fronts[0].changes.len(), reloaded.fronts[0].error.as_deref()), (1, Some("no")));
    let set = Op::SetTls { key: order().service, tls: Some(front().settings) };
    let refused = client.apply(ApplyMode::Atomic, vec![del(80), set]).await.unwrap_err();
    assert_eq!(refused.to_string(), "cannot read /site.crt: no such file");
    let body = r#"{"ops":[{"op":"set-tls","key":{"addr":{"proto":"tcp","vip":"10.0.0.1","l4_port":443}},"tls":null}]}"#;
    assert_eq!(
        raw(&name, &format!("POST /v1/apply\n\n{body}")).await,
        r#"422 {"error":"cannot read /site.crt: no such file","code":"bad-files","index":0}"#
    );
}

#[tokio::test]
async fn packets_are_explained_and_traced_until_there_are_enough() {
    let (name, _) = engine().await;
    let mut client = Client::connect_to(&name).await.unwrap();
    let order = |packet: &str| ExplainOrder { packet: packet.into(), ..ExplainOrder::default() };
    assert_eq!(client.explain(&order("45")).await.unwrap(), serde_json::json!({ "of": "45" }));
    assert!(
        matches!(client.explain(&order("")).await, Err(ClientError::Failed(text)) if text == "no packet")
    );
    let nonsense = TraceOrder { filter: "nonsense".into(), ..TraceOrder::default() };
    let refused = client.trace(&nonsense, None, |_| ControlFlow::Continue(())).await;
    assert!(matches!(refused, Err(ClientError::Failed(text)) if text == "no such word"));
    let mut lines = Vec::new();
    let until = Some(std::time::Instant::now() + std::time::Duration::from_millis(200));
    let order = TraceOrder::default();
    let all = client.trace(&order, until, |line| {
        lines.push(line.to_vec());
        ControlFlow::Continue(())
    });
    all.await.unwrap();
    assert_eq!(lines, [b"1", b"2", b"3"], "and it ends when it is time");
    let mut client = Client::connect_to(&name).await.unwrap();
    let mut seen = 0;
    let few = client.trace(&order, None, |_| {
        seen += 1;
        if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    few.await.unwrap();
    assert_eq!(seen, 2);
}

#[tokio::test]
async fn servers_are_looked_at_and_spoken_for_and_events_come_until_there_are_enough() {
    let (name, _task) = engine().await;
    let mut client = Client::connect_to(&name).await.unwrap();
    let DrainOrder { service, server, .. } = order();
    assert_eq!(client.health().await.unwrap().services[0].servers, [server_health("up")]);
    let say = |to| ServerOrder { service, server, to };
    let view = client.server(&say(ServerWord::Down)).await.unwrap();
    assert_eq!(view.state, "down by hand");
    let refused = client.server(&say(ServerWord::Auto)).await;
    assert!(matches!(refused, Err(ClientError::Refused { error: OpError::NoSuchDest, .. })));
    let mut seen = 0;
    let few = client.events(|_| {
        seen += 1;
        if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    few.await.unwrap();
    assert_eq!(seen, 2);
}

#[tokio::test]
async fn connections_come_page_by_page_and_can_be_filtered() {
    let (name, _task) = engine().await;
    let mut client = Client::connect_to(&name).await.unwrap();
    let mut query = ConnQuery { client: Some("10.0.1.2".parse().unwrap()), ..ConnQuery::default() };
    query.vip = Some("10.0.0.1:80".parse().unwrap());
    let mut found = Vec::new();
    loop {
        let page = client.connections(&query).await.unwrap();
        found.extend(page.connections);
        let Some(next) = page.next else { break };
        query.cursor = next;
    }
    assert_eq!(found, (0..CONNS).filter(|n| n % 2 == 1).map(conn).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_second_engine_learns_who_the_first_is() {
    let (name, _task) = engine().await;
    let second = ControlSocket::bind_named(&name).await.unwrap_err();
    let own = i32::try_from(std::process::id()).unwrap();
    assert!(matches!(second, BindError::AlreadyRunning { pid: Some(pid) } if pid == own), "{second:?}");
}

#[tokio::test]
async fn a_dying_engine_is_waited_for_but_not_for_long() {
    let name = name();
    // As after `kill -9`: the name is taken, nobody answers, and in a moment the kernel has closed it.
    let dying = ControlSocket::bind_named(&name).await.unwrap();
    let (next, ()) = tokio::join!(ControlSocket::bind_named(&name), async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        drop(dying);
    });
    let _silent = next.unwrap();
    let refused = ControlSocket::bind_named(&name).await.unwrap_err();
    assert!(matches!(refused, BindError::AlreadyRunning { .. }), "{refused:?}");
}

/// What `curl --abstract-unix-socket` would see.
async fn raw(name: &str, request: &str) -> String {
    let mut stream = connect_named(name).unwrap();
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let length = body.len();
    let message = format!(
        "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(message.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer[9..12].to_owned();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    format!("{status} {body}")
}

#[tokio::test]
async fn answers_are_json_with_a_fitting_status() {
    let (name, _task) = engine().await;
    let body =
        r#"{"ops":[{"op":"del-service","key":{"addr":{"proto":"tcp","vip":"10.0.0.1","l4_port":1}}}]}"#;
    let cases = [
        ("GET /v1/services", r#"200 {"generation":9,"services":[]}"#.to_owned()),
        (
            "GET /v1/nonsense",
            r#"404 {"error":"no such resource; try /v1/status","code":"bad-request"}"#.to_owned(),
        ),
        (
            "POST /v1/status",
            r#"405 {"error":"this resource has another method","code":"bad-request"}"#.to_owned(),
        ),
        (
            "POST /v1/settings\n\n{\"sysctls\":{\"drop_entry\":4}}",
            r#"409 {"error":"net.ipv4.vs.drop_entry cannot be 4: it takes a whole number from 0 to 3","code":"bad-setting"}"#.to_owned(),
        ),
        ("POST /v1/reload", r#"422 {"error":"ulvs.toml:3:1: no","code":"bad-config"}"#.to_owned()),
    ];
    for (request, expected) in cases {
        assert_eq!(raw(&name, request).await, expected, "{request}");
    }
    let refused = raw(&name, &format!("POST /v1/apply\n\n{body}")).await;
    assert_eq!(refused, r#"409 {"error":"No such service","code":"no-such-service","index":0}"#);
    for bad in [
        "POST /v1/apply\n\n{}",
        "POST /v1/apply\n\n{\"ops\":[{\"op\":\"explode\"}]}",
        "POST /v1/settings\n\n{\"sysctl\":{}}",
        "GET /v1/connections?vip=nonsense",
    ] {
        let answer = raw(&name, bad).await;
        assert!(
            answer.starts_with("400 {") && answer.ends_with(r#""code":"bad-request"}"#),
            "{bad}: {answer}"
        );
    }
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    let (name, _task) = engine().await;
    let mut stream = connect_named(&name).unwrap();
    let form = "application/x-www-form-urlencoded";
    let head = format!("POST /v1/apply HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {form}");
    stream.write_all(format!("{head}\r\nContent-Length: 10\r\n\r\n{{\"ops\":[]}}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with(r#"{"generation":10,"failures":[]}"#), "{answer}");
}

#[tokio::test]
async fn many_thousands_of_edits_fit_into_one_request() {
    let (name, _task) = engine().await;
    let mut client = Client::connect_to(&name).await.unwrap();
    let applied = client.apply(ApplyMode::KeepGoing, vec![del(80); 100_000]).await.unwrap();
    assert_eq!(applied.failures, []);
}

#[tokio::test]
async fn a_client_that_dawdles_does_not_keep_the_engine_alive() {
    let (name, task) = engine().await;
    let mut dawdler = connect_named(&name).unwrap();
    dawdler.write_all(b"POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{").await.unwrap();
    Client::connect_to(&name).await.unwrap().stop().await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(10), task).await.unwrap().unwrap().unwrap();
}

#[test]
fn a_client_without_an_engine_says_how_to_start_one() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let error = runtime.block_on(Client::connect_to(&name())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no engine is running in this network namespace; start one with `ulvs run --detach`"
    );
}
