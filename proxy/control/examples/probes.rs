//! What it costs to ask 2,000 servers every second, on one thread: `probes [KIND...]`, of `tcp http udp icmp https`.
//!
//! The servers are addresses of this host's loopback device, served by one other thread. Most of what the asking thread is
//! charged with is the kernel's work on both ends of a connection: on loopback a packet is received by whoever sent it.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use control::health::probe::{Question, Target, Tools};
use nix::time::{ClockId, clock_gettime};
use sched::{BodyTest, Check, CheckKind, HttpCheck, HttpUrl, Proto, ServiceKey, TlsCheck, UdpCheck};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;

const SERVERS: u32 = 2000;
const SECONDS: u32 = 5;
const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\nConnection: close\r\n\r\nall is OK\n";

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut kinds: Vec<String> = std::env::args().skip(1).collect();
    if kinds.is_empty() {
        kinds = ["tcp", "http", "udp", "icmp", "https"].map(str::to_owned).to_vec();
    }
    let (tell, ports) = std::sync::mpsc::channel();
    std::thread::spawn(move || runtime()?.block_on(serve(tell)));
    let ports: [u16; 3] = ports.recv()?;
    println!("{SERVERS} servers, each asked once a second for {SECONDS} s");
    for kind in &kinds {
        let (kind, port) = match kind.as_str() {
            "tcp" => (CheckKind::Tcp, ports[0]),
            "http" => (CheckKind::Http(page(None)), ports[0]),
            "https" => (CheckKind::Http(page(Some(TlsCheck::default()))), ports[1]),
            "udp" => (CheckKind::Udp(UdpCheck { require_reply: true, ..UdpCheck::default() }), ports[2]),
            "icmp" => (CheckKind::Icmp, 0),
            other => return Err(format!("`{other}` is none of tcp, http, udp, icmp, https").into()),
        };
        runtime()?.block_on(ask(kind, port))?;
    }
    Ok(())
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn page(tls: Option<TlsCheck>) -> HttpCheck {
    let url = HttpUrl { body: vec![BodyTest::Keyword("OK".to_owned())], ..HttpUrl::new("/health") };
    HttpCheck { urls: vec![url], tls, ..HttpCheck::default() }
}

/// Two questions a millisecond.
async fn ask(kind: CheckKind, port: u16) -> Result<(), Failure> {
    let name = format!("{kind:?}");
    let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_lowercase();
    let name =
        if matches!(&kind, CheckKind::Http(http) if http.tls.is_some()) { "https".to_owned() } else { name };
    let question =
        Arc::new(Question::new(&Check::new(kind), &Tools::new(tls::provider(), tls::anybody(), None)));
    let service = ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse()?);
    let cpu = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    let (started, before) = (Instant::now(), cpu()?);
    // A datagram is answered from the address that the kernel picks for it, which is the first.
    let servers = if name == "udp" { 1 } else { SERVERS };
    let mut asked = tokio::task::JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    for i in 0..SERVERS * SECONDS {
        if i % (SERVERS / 1000) == 0 {
            tick.tick().await;
        }
        let server = SocketAddr::from((Ipv4Addr::from_bits(0x7f00_0001 + i % servers), port));
        let target = Target { service, dest: server, server, vip: None, up: true };
        let question = Arc::clone(&question);
        asked.spawn(async move { question.ask(&target).await });
    }
    let outcomes = asked.join_all().await;
    let (took, spent) = (started.elapsed(), cpu()?.saturating_sub(before));
    let mut times: Vec<_> = outcomes.iter().map(|outcome| outcome.took).collect();
    times.sort_unstable();
    let failed = outcomes.iter().find_map(|outcome| outcome.result.as_ref().err());
    println!(
        "{name:>6}: {:4.1} % of a core, {:5.1} us each; answers after {:?} (half), {:?} (99 %){}",
        100.0 * spent.as_secs_f64() / took.as_secs_f64(),
        1e6 * spent.as_secs_f64() / outcomes.len() as f64,
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        failed.map(|why| format!("; failed: {why}")).unwrap_or_default()
    );
    Ok(())
}

/// Says which ports it serves: pages, pages within TLS, datagrams.
async fn serve(tell: std::sync::mpsc::Sender<[u16; 3]>) -> Result<(), Failure> {
    let plain = TcpListener::bind("0.0.0.0:0").await?;
    let secret = TcpListener::bind("0.0.0.0:0").await?;
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    tell.send([plain.local_addr()?.port(), secret.local_addr()?.port(), socket.local_addr()?.port()])?;
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(vec!["www.ilinux.io".to_owned()])?.self_signed(&key)?;
    let config = rustls::ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into()?)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut buffer = [0; 2048];
    loop {
        tokio::select! {
            accepted = plain.accept() => {
                let mut stream = accepted?.0;
                tokio::spawn(async move {
                    if stream.read(&mut [0; 2048]).await.is_ok_and(|length| length > 0) {
                        let _ = stream.write_all(PAGE).await;
                    }
                });
            }
            accepted = secret.accept() => {
                let (stream, acceptor) = (accepted?.0, acceptor.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    if stream.read(&mut [0; 2048]).await.is_ok_and(|length| length > 0) {
                        let _ = stream.write_all(PAGE).await;
                        let _ = stream.shutdown().await;
                    }
                });
            }
            received = socket.recv_from(&mut buffer) => {
                let (length, from) = received?;
                socket.send_to(&buffer[..length], from).await?;
            }
        }
    }
}
