//! Servers of h2's.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use axum::http::{HeaderMap, Response};
use proptest::prelude::*;
use sched::{Check, CheckKind, TlsCheck};
use tokio_rustls::TlsAcceptor;

use super::super::tests::{LONG, ask, ask_for, says, serve, target, tools, why};
use super::super::{Question, Success};
use super::*;

const RIGHT: Result<Success, String> = Ok(Success { weight: None });

fn kind(service: &str) -> CheckKind {
    CheckKind::Grpc(GrpcCheck { service: service.to_owned(), tls: None })
}

/// What a server answers.
#[derive(Clone)]
struct Says {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    /// Without one, the answer ends with its headers.
    body: Option<Vec<u8>>,
    trailers: Vec<(&'static str, &'static str)>,
}

/// This state.
fn state(number: u8) -> Says {
    Says {
        status: 200,
        headers: vec![("content-type", "application/grpc+proto")],
        body: Some(vec![0, 0, 0, 0, 2, 8, number]),
        trailers: vec![("grpc-status", "0")],
    }
}

/// An error, without a body.
fn fails(status: &'static str, message: &'static str) -> Says {
    let headers =
        vec![("content-type", "application/grpc"), ("grpc-status", status), ("grpc-message", message)];
    Says { headers, body: None, ..state(1) }
}

fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
    of.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// Requests and their messages.
type Heard = Arc<Mutex<Vec<(Request<()>, Vec<u8>)>>>;

/// Serves one connection; what has been asked.
async fn talk<S>(stream: S, says: Says, heard: Heard)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let (head, mut body) = request.into_parts();
        let mut message = Vec::new();
        // The connection has to go on meanwhile.
        loop {
            let part = tokio::select! {
                part = body.data() => part,
                _ = poll_fn(|context| connection.poll_closed(context)) => return,
            };
            match part {
                Some(Ok(part)) => message.extend_from_slice(&part),
                _ => break,
            }
        }
        heard.lock().unwrap().push((Request::from_parts(head, ()), message));
        let mut response = Response::new(());
        *response.status_mut() = says.status.try_into().unwrap();
        *response.headers_mut() = headers(&says.headers);
        let mut stream = respond.send_response(response, says.body.is_none()).unwrap();
        if let Some(body) = &says.body {
            let over = says.trailers.is_empty();
            let _ = stream.send_data(body.clone().into(), over);
            if !over {
                let _ = stream.send_trailers(headers(&says.trailers));
            }
        }
    }
}

async fn server(says: Says) -> (SocketAddr, Heard) {
    let heard = Heard::default();
    let hears = Arc::clone(&heard);
    let addr = serve(move |stream| talk(stream, says.clone(), Arc::clone(&hears))).await;
    (addr, heard)
}

#[tokio::test]
async fn the_request_is_as_the_protocol_of_health_has_it() {
    let (addr, heard) = server(state(1)).await;
    assert_eq!(ask(kind(""), addr).await, RIGHT);
    assert_eq!(ask(kind("shop.Cart"), addr).await, RIGHT);
    let long = "x".repeat(300);
    assert_eq!(ask(kind(&long), addr).await, RIGHT);
    let heard = heard.lock().unwrap();
    let [(whole, nothing), (_, cart), (_, name)] = heard.as_slice() else { panic!("three have been asked") };
    assert_eq!(whole.method(), Method::POST);
    assert_eq!(*whole.uri(), *format!("http://{addr}/grpc.health.v1.Health/Check"));
    assert_eq!(whole.headers()["content-type"], "application/grpc");
    assert_eq!(whole.headers()["te"], "trailers");
    assert_eq!(nothing, b"\0\0\0\0\0");
    assert_eq!(cart, b"\0\0\0\0\x0b\x0a\x09shop.Cart");
    assert_eq!(*name, [b"\0\0\0\x01\x2f\x0a\xac\x02".as_slice(), long.as_bytes()].concat());
}

#[tokio::test]
async fn serving_is_the_one_state_that_is_right() {
    for (number, words) in [
        (0, "service `cart` is in state UNKNOWN"),
        (2, "service `cart` is NOT_SERVING"),
        (3, "service `cart` is in state SERVICE_UNKNOWN"),
        (9, "service `cart` is in a state that is not known here, 9"),
    ] {
        assert_eq!(why(kind("cart"), server(state(number)).await.0).await, words);
    }
    assert_eq!(why(kind(""), server(state(2)).await.0).await, "the server is NOT_SERVING");
    // The number 0 is not written.
    let unknown = Says { body: Some(vec![0, 0, 0, 0, 0]), ..state(0) };
    assert_eq!(why(kind(""), server(unknown).await.0).await, "the server is in state UNKNOWN");
}

#[tokio::test]
async fn statuses_of_grpc_have_their_names() {
    for (status, message, words) in [
        ("5", "", "the server knows no service `cart`"),
        ("12", "", "the server has no health service (UNIMPLEMENTED)"),
        ("14", "back soon", "the health service fails with UNAVAILABLE: `back soon`"),
        ("99", "", "the health service fails with an unknown status: ``"),
        ("x", "", "`x` is no status of gRPC"),
    ] {
        assert_eq!(why(kind("cart"), server(fails(status, message)).await.0).await, words);
        // The same at the end.
        let trailers = vec![("grpc-status", status), ("grpc-message", message)];
        let late = Says { trailers, ..state(1) };
        assert_eq!(why(kind("cart"), server(late).await.0).await, words);
    }
    let without = Says { trailers: Vec::new(), ..state(1) };
    assert_eq!(why(kind(""), server(without).await.0).await, "the answer ends without the status of gRPC");
}

#[tokio::test]
async fn what_is_no_answer_of_grpc_is_said() {
    let web = Says { headers: vec![("content-type", "text/html")], ..state(1) };
    assert_eq!(why(kind(""), server(web).await.0).await, "the answer is not gRPC: its type is `text/html`");
    let away = Says { status: 503, ..state(1) };
    assert_eq!(why(kind(""), server(away).await.0).await, "status 503 where 200 was expected");
    let body = |body: &[u8]| Says { body: Some(body.to_vec()), ..state(1) };
    for nonsense in
        [b"".as_slice(), b"\0\0\0\0", b"\0\0\0\0\x03\x08\x01", b"\0\0\0\0\x01\x08", b"\0\0\0\0\x02\x0f\x01"]
    {
        let said = why(kind(""), server(body(nonsense)).await.0).await;
        assert_eq!(said, "the answer is no message of the health service", "{nonsense:?}");
    }
    let compressed = why(kind(""), server(body(b"\x01\0\0\0\x02\x08\x01")).await.0).await;
    assert_eq!(compressed, "the answer is compressed, though nobody asked for that");
    let long = why(kind(""), server(body(&[0; 100_000])).await.0).await;
    assert_eq!(long, "the answer is too long for one of the health service");
}

#[test]
fn fields_that_are_not_known_are_passed_over() {
    let framed = |message: &[u8]| [&[0, 0, 0, 0, message.len() as u8], message].concat();
    let unknown = b"\x10\x96\x01\x1a\x03abc\x21\0\0\0\0\0\0\0\0\x2d\0\0\0\0\x08\x01";
    assert_eq!(serving(&framed(unknown)), Ok(1));
    assert_eq!(serving(&framed(b"\x08\x02\x08\x01")), Ok(1), "the last counts");
    assert_eq!(serving(&framed(b"\x08\x81\x01")), Ok(129));
    assert!(serving(&framed(b"\x1a\x7f")).is_err());
    assert!(serving(&framed(b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")).is_err());
    assert!(serving(&framed(&[0xff; 20])).is_err());
}

proptest! {
    #[test]
    fn numbers_are_read_as_they_are_written(number: u64, before in prop::collection::vec((2..16u64, any::<u64>()), 0..5)) {
        let write = |message: &mut Vec<u8>, mut number: u64| {
            while number > 0x7f {
                message.push(number as u8 | 0x80);
                number >>= 7;
            }
            message.push(number as u8);
        };
        let mut message = Vec::new();
        for (field, value) in before.iter().chain([&(1, number)]) {
            write(&mut message, field << 3);
            write(&mut message, *value);
        }
        let framed = [&[0, 0, 0, 0, message.len() as u8], message.as_slice()].concat();
        prop_assert_eq!(serving(&framed), Ok(number));
        prop_assert!(serving(&framed[..framed.len() - 1]).is_err());
    }

    #[test]
    fn no_bytes_are_too_strange(message in prop::collection::vec(any::<u8>(), 0..60)) {
        let framed = [&[0, 0, 0, 0, message.len() as u8], message.as_slice()].concat();
        if let Ok(state) = serving(&framed) {
            prop_assert!(state == 0 || message.contains(&8) || message.contains(&0x88));
        }
    }
}

#[tokio::test]
async fn a_server_that_speaks_another_protocol_is_told_apart() {
    let web = says("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    assert_eq!(why(kind(""), web).await, "the answer is not HTTP/2");
    let closes = serve(|stream| async move { drop(stream) }).await;
    let said = why(kind(""), closes).await;
    assert!(said.contains("closed the connection before") || said.contains("reset the connection"), "{said}");
}

#[tokio::test]
async fn a_server_that_answers_and_is_gone_at_once_has_answered() {
    let addr = serve(|stream| async move {
        let heard = Heard::default();
        let served = talk(stream, state(1), Arc::clone(&heard));
        // As long as it takes to be asked, and a little for the answer.
        let _ = tokio::time::timeout(Duration::from_millis(200), served).await;
    })
    .await;
    assert_eq!(ask(kind(""), addr).await, RIGHT);
}

#[tokio::test]
async fn a_server_that_takes_the_request_and_says_nothing_is_not_waited_for_for_ever() {
    let addr = serve(|stream| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut held = Vec::new();
        while let Some(request) = connection.accept().await {
            held.push(request);
        }
    })
    .await;
    assert_eq!(ask_for(300, kind(""), addr).await, Err("connected, but no answer within 300 ms".to_owned()));
}

#[tokio::test]
async fn a_reset_stream_is_one() {
    let addr = serve(|stream| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            respond.send_reset(Reason::REFUSED_STREAM);
        }
    })
    .await;
    assert_eq!(why(kind(""), addr).await, "the stream was reset: REFUSED_STREAM");
}

#[tokio::test]
async fn within_tls_the_protocol_is_agreed_upon() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = |alpn: &[&str]| {
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = rustls::ServerConfig::builder_with_provider(::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    };
    let check = CheckKind::Grpc(GrpcCheck { service: String::new(), tls: Some(TlsCheck::default()) });
    let check = Check { timeout: LONG, ..Check::new(check) };
    let question = Question::new(&check, &tools());
    for (alpn, expected) in [
        (vec!["h2"], Ok(Success::default())),
        (vec!["http/1.1"], Err("the server ends the TLS handshake by an alert, NoApplicationProtocol")),
        (vec![], Err("the server does not speak HTTP/2 within TLS (it does not choose `h2` by ALPN)")),
    ]
    .map(|(alpn, expected): (_, Result<_, &str>)| (alpn, expected.map_err(str::to_owned)))
    {
        let acceptor = TlsAcceptor::from(config(&alpn));
        let heard = Heard::default();
        let hears = Arc::clone(&heard);
        let addr = serve(move |stream| {
            let (acceptor, hears) = (acceptor.clone(), Arc::clone(&hears));
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    talk(stream, state(1), hears).await;
                }
            }
        })
        .await;
        assert_eq!(question.ask(&target(addr)).await.result, expected, "{alpn:?}");
        if expected.is_ok() {
            let asked = heard.lock().unwrap()[0].0.uri().to_string();
            assert_eq!(asked, format!("https://{addr}/grpc.health.v1.Health/Check"));
        }
    }
}
