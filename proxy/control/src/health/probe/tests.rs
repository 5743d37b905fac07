//! What all kinds have in common; and the servers that their tests ask.

use std::future::Future;
use std::sync::Mutex;

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sched::{ExecCheck, FileCheck, HttpCheck, HttpUrl, Mark, Proto, TlsCheck, UdpCheck};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::*;

/// Long enough for whatever answers.
pub(super) const LONG: u32 = 20_000;
/// Long enough for what does not.
pub(super) const SHORT: u32 = 300;

pub(super) fn tools() -> Arc<Tools> {
    Tools::new(::tls::provider(), ::tls::anybody(), None)
}

pub(super) fn target(server: SocketAddr) -> Target {
    Target { service: service(), dest: server, server, vip: None, up: true }
}

pub(super) fn service() -> ServiceKey {
    ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap())
}

/// What a question under way has, for those that are asked no question.
pub(super) struct Alone {
    target: Target,
    way: Way,
    tools: Arc<Tools>,
    progress: Progress,
}

impl Alone {
    pub(super) fn towards(server: SocketAddr, tools: &Arc<Tools>) -> Self {
        let way = Way { bind: None, device: None, mark: None };
        Self { target: target(server), way, tools: Arc::clone(tools), progress: Progress::default() }
    }

    pub(super) fn asking(&self) -> Asking<'_> {
        let Self { target, way, tools, progress } = self;
        let deadline = Instant::now() + Duration::from_millis(LONG.into());
        Asking { target, way, tools, progress, deadline }
    }
}

/// Asks, with time enough.
pub(super) async fn ask(kind: CheckKind, server: SocketAddr) -> Result<Success, String> {
    ask_for(LONG, kind, server).await
}

/// Asks and is waiting for so many milliseconds.
pub(super) async fn ask_for(timeout: u32, kind: CheckKind, server: SocketAddr) -> Result<Success, String> {
    let check = Check { timeout, ..Check::new(kind) };
    let outcome = Question::new(&check, &tools()).ask(&target(server)).await;
    assert!(outcome.took <= Duration::from_millis(timeout.into()) + Duration::from_secs(5), "{outcome:?}");
    outcome.result
}

/// Asks where only so many more descriptors can be had, and once more when there are enough: by a thread with descriptors
/// of its own.
pub(super) async fn starved(free: usize, kind: CheckKind, server: SocketAddr) -> [Outcome; 2] {
    let question = Question::new(&Check { timeout: LONG, ..Check::new(kind) }, &tools());
    // It may be a thousand millions. That is the process's, and enough for all of its tests.
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.min(4096), hard).unwrap();
    let (reply, answer) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_FILES).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let mut held: Vec<_> = std::iter::from_fn(|| null.try_clone().ok()).collect();
        held.truncate(held.len() - free);
        let first = runtime.block_on(question.ask(&target(server)));
        drop(held);
        reply.send([first, runtime.block_on(question.ask(&target(server)))])
    });
    answer.await.unwrap()
}

/// What is wrong.
pub(super) async fn why(kind: CheckKind, server: SocketAddr) -> String {
    ask(kind, server).await.expect_err("it is right")
}

/// What is wrong when there is little time.
pub(super) async fn soon_why(kind: CheckKind, server: SocketAddr) -> String {
    ask_for(SHORT, kind, server).await.expect_err("it is right")
}

/// A server that does this with each connection.
pub(super) async fn serve<F, R>(each: F) -> SocketAddr
where
    F: Fn(TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(each(stream));
        }
    });
    addr
}

/// A server that hears something, says this and closes the connection.
pub(super) async fn says(what: impl Into<Vec<u8>>) -> SocketAddr {
    let what = what.into();
    serve(move |mut stream| {
        let what = what.clone();
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&what).await;
            let _ = stream.shutdown().await;
            while stream.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {}
        }
    })
    .await
}

/// A server that accepts and says nothing.
pub(super) async fn silent() -> SocketAddr {
    serve(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await
}

/// A server that says this over and over, much at once if there is no pause.
pub(super) async fn endless(first: &'static [u8], then: &'static [u8], pause: Duration) -> SocketAddr {
    serve(move |mut stream| async move {
        let block = then.repeat(if pause.is_zero() { 1000 } else { 1 });
        let mut sent = stream.write_all(first).await;
        while sent.is_ok() {
            tokio::time::sleep(pause).await;
            sent = stream.write_all(&block).await;
        }
    })
    .await
}

/// A port that nobody listens on.
pub(super) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A server that answers datagrams, if it has an answer, and says what it has been asked.
pub(super) async fn answers<F>(answer: F) -> SocketAddr
where
    F: Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
{
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for answer in answer(&buffer[..length]) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    addr
}

/// All kinds that have a connection.
pub(super) fn connecting() -> Vec<CheckKind> {
    vec![
        CheckKind::Http(HttpCheck::default()),
        CheckKind::Http(HttpCheck { tls: Some(TlsCheck::default()), ..HttpCheck::default() }),
        CheckKind::Tls(TlsCheck::default()),
        CheckKind::Smtp { helo: "director".to_owned() },
        CheckKind::Grpc(sched::GrpcCheck::default()),
        CheckKind::Grpc(sched::GrpcCheck { tls: Some(TlsCheck::default()), ..sched::GrpcCheck::default() }),
    ]
}

#[tokio::test]
async fn a_server_is_asked_at_its_own_port_or_the_services_unless_the_check_has_one() {
    let dest: SocketAddr = "192.168.1.1:8080".parse().unwrap();
    let portless: SocketAddr = "192.168.1.1:0".parse().unwrap();
    let mark = ServiceKey::Mark { mark: Mark(3.try_into().unwrap()), family: sched::Family::Ipv4 };
    let asked = |check: &Check, service, dest| Target::of(check, service, dest, true);
    let plain = Check::new(CheckKind::Tcp);
    assert_eq!(asked(&plain, service(), dest).server, dest);
    assert_eq!(asked(&plain, service(), dest).vip, None);
    assert_eq!(asked(&plain, service(), portless).server.to_string(), "192.168.1.1:80");
    assert_eq!(asked(&plain, mark, dest).server, dest);
    assert_eq!(asked(&plain, mark, portless).server, portless);

    let own = Check { addr: Some("10.9.9.9".parse().unwrap()), port: Some(99), ..plain.clone() };
    let target = asked(&own, service(), dest);
    assert_eq!((target.server.to_string().as_str(), target.dest), ("10.9.9.9:99", dest));

    let vip = Check { via: Via::Vip, ..plain.clone() };
    assert_eq!(asked(&vip, service(), dest).vip.unwrap().to_string(), "10.0.0.1:80");
    assert_eq!(asked(&Check { port: Some(81), ..vip.clone() }, service(), dest).vip.unwrap().port(), 81);
    assert_eq!(asked(&vip, mark, dest).vip, None, "a mark has no VIP");

    let question = Question::new(&plain, &tools());
    let why = question.ask(&asked(&plain, mark, portless)).await.result.unwrap_err();
    assert!(why.contains("give the check a `port`"), "{why}");
}

#[tokio::test]
async fn nobody_there_is_a_refused_connection_of_every_kind() {
    let nobody = nobody().await;
    for kind in connecting() {
        assert_eq!(why(kind.clone(), nobody).await, "connection refused", "{kind:?}");
    }
    assert_eq!(why(CheckKind::Tcp, nobody).await, "connection refused");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_waited_for_as_long_as_it_is_said_and_no_longer() {
    let silent = silent().await;
    for kind in connecting() {
        let started = Instant::now();
        let why = soon_why(kind.clone(), silent).await;
        assert!(started.elapsed() >= Duration::from_millis(SHORT.into()), "{kind:?}");
        assert_eq!(why, "connected, but no answer within 300 ms", "{kind:?}");
    }
}

#[tokio::test]
async fn a_server_that_closes_at_once_has_not_answered() {
    let closes = serve(|stream| async move { drop(stream) }).await;
    for kind in connecting() {
        let why = why(kind.clone(), closes).await;
        assert!(
            why.contains("closed the connection") || why.contains("reset the connection"),
            "{kind:?}: {why}"
        );
    }
}

#[tokio::test]
async fn garbage_is_no_answer_of_any_kind_and_does_not_reach_the_terminal() {
    let garbage: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for said in [garbage, b"\x1b]0;gotcha\x07\r\n\r\n".to_vec(), b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()] {
        for kind in connecting() {
            let addr = serve({
                let said = said.clone();
                move |mut stream| {
                    let said = said.clone();
                    async move {
                        let _ = stream.write_all(&said).await;
                        while stream.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {}
                    }
                }
            })
            .await;
            let why = ask_for(3_000, kind.clone(), addr).await.expect_err("garbage is right");
            assert!(!why.is_empty() && why.chars().count() <= 200, "{kind:?}: {why}");
            assert!(!why.contains(|c: char| c.is_control()), "{kind:?}: {why:?}");
            assert!(
                why.contains(" not ") || why.contains("GREET") || why.contains("greets"),
                "{kind:?}: {why}"
            );
        }
    }
}

#[tokio::test]
async fn a_server_that_drips_gets_no_more_time() {
    for (kind, first, then) in [
        (CheckKind::Http(HttpCheck::default()), b"HTTP/1.1 200 OK\r\nX: ".as_slice(), b"x".as_slice()),
        (CheckKind::Http(HttpCheck::default()), b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
        (CheckKind::Smtp { helo: "director".to_owned() }, b"220-", b"x"),
    ] {
        let drips = endless(first, then, Duration::from_millis(10)).await;
        let why = soon_why(kind, drips).await;
        assert_eq!(why, "the answer was not complete within 300 ms");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_said_beforehand_and_fails_when_it_is_asked_all_the_same() {
    let plain = Check::new(CheckKind::Tcp);
    let bind = "[::1]:0".parse().ok();
    for (check, part) in [
        (Check { timeout: 0, ..plain.clone() }, "timeout of 0"),
        (Check { bind, addr: "10.0.0.1".parse().ok(), ..plain.clone() }, "one is IPv4, the other IPv6"),
        (Check { via: Via::Vip, kind: CheckKind::Icmp, ..plain.clone() }, "`via = \"vip\"`"),
        (
            Check { via: Via::Vip, kind: CheckKind::Exec(ExecCheck::default()), ..plain.clone() },
            "leave `via` out",
        ),
        (Check { via: Via::Vip, addr: "10.0.0.1".parse().ok(), ..plain.clone() }, "leave one of the two out"),
        (Check { kind: CheckKind::Exec(ExecCheck::default()), ..plain.clone() }, "names no command"),
    ] {
        let why = super::check(&check).expect_err("it can be asked");
        assert!(why.contains(part), "{why}");
        let question = Question::new(&check, &tools());
        assert_eq!(question.ask(&target(nobody().await)).await.result, Err(why));
    }
    assert_eq!(check(&plain), Ok(()));
    assert_eq!(check(&Check { via: Via::Vip, ..plain }), Ok(()));
}

#[tokio::test]
async fn a_question_goes_from_where_it_is_said_to() {
    let from = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let heard = Arc::clone(&from);
    tokio::spawn(async move {
        while let Ok((mut stream, peer)) = listener.accept().await {
            heard.lock().unwrap().push(peer);
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await;
        }
    });
    let from = |bind: &str| Check {
        timeout: LONG,
        bind: Some(bind.parse().unwrap()),
        ..Check::new(CheckKind::Http(HttpCheck::default()))
    };
    let ask = async |check: Check| Question::new(&check, &tools()).ask(&target(addr)).await.result;
    assert_eq!(ask(from("127.0.0.7:0")).await, Ok(Success::default()));
    // The same port twice: it is not in TIME_WAIT after the first.
    for _ in 0..2 {
        assert_eq!(ask(from("127.0.0.7:29173")).await, Ok(Success::default()));
    }
    let why = ask(from("203.0.113.9:0")).await.unwrap_err();
    assert_eq!(why, "cannot ask from 203.0.113.9: it is no address of this host");
    let why = ask(from("[::1]:0")).await.unwrap_err();
    assert_eq!(why, "127.0.0.1 cannot be asked from ::1: one is IPv4, the other IPv6");
}

#[tokio::test]
async fn a_question_by_the_vip_is_aimed_before_its_first_packet_leaves() {
    #[derive(Default)]
    struct Fake(Mutex<Vec<(SocketAddr, SocketAddr, SocketAddr)>>);
    struct Passes(bool);
    impl Aimed for Passes {
        fn has_begun(&self) -> bool {
            self.0
        }
    }
    impl Aim for Fake {
        fn aim(
            &self,
            (proto, client, vip): (Proto, SocketAddr, SocketAddr),
            of: ServiceKey,
            server: DestKey,
        ) -> Result<Box<dyn Aimed>, String> {
            assert_eq!((of, proto), (service(), Proto::Tcp));
            self.0.lock().unwrap().push((client, vip, server));
            if server.port() == 1 {
                return Err("this server has no way".to_owned());
            }
            Ok(Box::new(Passes(server.port() == 80)))
        }
        fn by_engine(&self, _: Proto, _: SocketAddr) -> Option<ByEngine> {
            None
        }
    }
    let fake = Arc::new(Fake::default());
    let peers = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let vip = listener.local_addr().unwrap();
    let seen = Arc::clone(&peers);
    tokio::spawn(async move {
        while let Ok((mut stream, peer)) = listener.accept().await {
            seen.lock().unwrap().push(peer);
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await;
        }
    });
    let server: SocketAddr = "192.0.2.1:80".parse().unwrap();
    let target = Target { vip: Some(vip), dest: server, ..target(server) };
    let check = Check { timeout: LONG, ..Check::new(CheckKind::Http(HttpCheck::default())) };
    let aimed = Tools::new(::tls::provider(), ::tls::anybody(), Some(Arc::clone(&fake) as _));

    let question = Question::new(&check, &aimed);
    assert_eq!(question.ask(&target).await.result, Ok(Success::default()));
    let bound = Check { bind: "127.0.0.9:0".parse().ok(), ..check.clone() };
    assert_eq!(Question::new(&bound, &aimed).ask(&target).await.result, Ok(Success::default()));
    let [(first, ..), (second, ..)] = *fake.0.lock().unwrap().clone() else { panic!("two are aimed") };
    assert_eq!(*peers.lock().unwrap(), [first, second], "they come from where they are aimed from");
    assert_eq!(second.ip().to_string(), "127.0.0.9");
    assert!(fake.0.lock().unwrap().iter().all(|aim| (aim.1, aim.2) == (vip, server)));

    let lost = Target { dest: "192.0.2.1:1".parse().unwrap(), ..target.clone() };
    assert_eq!(question.ask(&lost).await.result, Err("this server has no way".to_owned()));
    let past_us = Target { dest: "192.0.2.1:2".parse().unwrap(), ..target.clone() };
    let why = question.ask(&past_us).await.result.unwrap_err();
    assert_eq!(why, "what this host sends to the VIP does not come by the service: ask without `via`");
    let alone = Question::new(&check, &tools());
    assert_eq!(alone.ask(&target).await.result, Err("no question can go by the VIP here".to_owned()));
    assert_eq!(peers.lock().unwrap().len(), 3, "nothing is sent that is not aimed");
}

#[tokio::test]
async fn mark_and_device_are_on_the_socket_before_anything_is_sent() {
    let way = Way { bind: None, device: Some("lo".to_owned()), mark: Some(7) };
    let server = nobody().await;
    let alone = Alone { way, ..Alone::towards(server, &tools()) };
    let socket = alone.asking().open(server, socket2::Type::STREAM, socket2::Protocol::TCP).unwrap();
    assert_eq!(socket.mark().unwrap(), 7);
    assert_eq!(socket.device().unwrap().as_deref(), Some(b"lo".as_slice()));
}

#[tokio::test]
async fn where_answers_come_by_the_engine_no_socket_is_bound_to_a_device() {
    const TCP: socket2::Protocol = socket2::Protocol::TCP;
    const UDP: socket2::Protocol = socket2::Protocol::UDP;
    /// The servers are some of TCP.
    struct Engine(Option<ByEngine>);
    impl Aim for Engine {
        fn aim(
            &self,
            _: (Proto, SocketAddr, SocketAddr),
            _: ServiceKey,
            _: DestKey,
        ) -> Result<Box<dyn Aimed>, String> {
            Err("nothing is asked by a VIP".to_owned())
        }
        fn by_engine(&self, proto: Proto, _: SocketAddr) -> Option<ByEngine> {
            self.0.clone().filter(|_| proto == Proto::Tcp)
        }
    }
    let server = nobody().await;
    let device = |by_engine, protocol| {
        let tools = Tools::new(::tls::provider(), ::tls::anybody(), Some(Arc::new(Engine(by_engine))));
        let way = Way { bind: None, device: Some("lo".to_owned()), mark: None };
        let alone = Alone { way, ..Alone::towards(server, &tools) };
        let kind = match protocol {
            UDP => socket2::Type::DGRAM,
            TCP => socket2::Type::STREAM,
            _ => socket2::Type::RAW,
        };
        alone.asking().open(server, kind, protocol).map(|socket| socket.device().unwrap().is_some())
    };
    let by = |device: Option<&str>| Some(ByEngine { device: device.map(str::to_owned) });
    assert_eq!(device(None, TCP), Ok(true));
    assert_eq!(device(by(Some("lo")), TCP), Ok(false));
    assert_eq!(device(by(None), TCP), Ok(false));
    let why = device(by(Some("eth7")), TCP).unwrap_err();
    assert!(why.contains("reaches it by `eth7`"), "{why}");
    assert_eq!(device(by(Some("eth7")), UDP), Ok(true), "what it answers in another protocol comes as ever");
    let echoes = device(by(Some("eth7")), socket2::Protocol::ICMPV4);
    assert_eq!(echoes, Ok(true), "echoes are no affair of the engine's");
}

#[tokio::test]
async fn without_a_vip_nothing_goes_by_it() {
    let check = Check { via: Via::Vip, ..Check::new(CheckKind::Tcp) };
    let why = Question::new(&check, &tools()).ask(&target(nobody().await)).await.result.unwrap_err();
    assert_eq!(why, "a service of a mark has no VIP that the question could go by");
}

#[tokio::test]
async fn thousands_under_way_fit_into_little_memory() {
    let question = Question::new(&Check::new(CheckKind::Tcp), &tools());
    let size = size_of_val(&question.ask(&target(nobody().await)));
    assert!(size < 8 * 1024, "{size} bytes each");
}

#[tokio::test]
async fn a_device_that_is_not_there_is_named() {
    let check = Check { device: Some("ulvs-none".to_owned()), ..Check::new(CheckKind::Tcp) };
    let why = Question::new(&check, &tools()).ask(&target(nobody().await)).await.result.unwrap_err();
    assert_eq!(why, "there is no device `ulvs-none` to ask by");
}

#[tokio::test]
async fn one_question_is_asked_of_many_at_once() {
    let good = says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK").await;
    let bad = says("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n").await;
    let url = HttpUrl { body: vec![sched::BodyTest::Keyword("OK".to_owned())], ..HttpUrl::new("/") };
    let kind = CheckKind::Http(HttpCheck { urls: vec![url], ..HttpCheck::default() });
    let question = Arc::new(Question::new(&Check { timeout: LONG, ..Check::new(kind) }, &tools()));
    let mut asked = tokio::task::JoinSet::new();
    for i in 0..200 {
        let question = Arc::clone(&question);
        let addr = if i % 2 == 0 { good } else { bad };
        asked.spawn(async move { (i % 2 == 0, question.ask(&target(addr)).await.result) });
    }
    for (is_good, result) in asked.join_all().await {
        assert_eq!(result.is_ok(), is_good, "{result:?}");
    }
}

#[tokio::test]
async fn a_udp_check_by_default_is_one_that_waits_for_an_error() {
    assert_eq!(
        ask(CheckKind::Udp(UdpCheck::default()), nobody().await).await,
        Err("connection refused".to_owned())
    );
}

#[tokio::test]
async fn what_this_host_has_no_descriptors_for_is_no_failure_of_the_server() {
    let server = serve(|_| async {}).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let file = FileCheck { path: file.path().to_owned(), weight: 1, ..FileCheck::default() };
    let command = vec!["/bin/true".to_owned()];
    let exec = ExecCheck { command, ..ExecCheck::default() };
    let by = ExecCheck { user: Some("nobody:nogroup".to_owned()), ..exec.clone() };
    for kind in [CheckKind::Tcp, CheckKind::File(file), CheckKind::Exec(exec), CheckKind::Exec(by)] {
        let [starved, later] = starved(0, kind.clone(), server).await;
        assert!(starved.lacking, "{kind:?}: {starved:?}");
        assert!(starved.result.unwrap_err().ends_with("too many files are open here"));
        assert!(!later.lacking && later.result.is_ok(), "{kind:?}: {later:?}");
    }
}
