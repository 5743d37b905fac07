//! How others talk to the decapsulator of their network namespace: a line of JSON each way over an abstract unix
//! socket, which belongs to the namespace and goes away with the process. Holding its name keeps a second one out.
//!
//! Everybody may ask how it is; only root and the user that runs it may tell it something.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net as unix;
use std::time::Duration;

use anyhow::{Context, bail};
use netio::real::Tunnels;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// The name, without the leading NUL that makes it abstract.
const NAME: &str = "ulvs/decapsulator";

/// How long the other side may take, and how long the name of one that was killed may take to be free.
const PATIENCE: Duration = Duration::from_secs(3);

/// The longest line, in bytes: some ten thousand addresses.
const MAX_LINE: u64 = 1 << 20;

/// What a decapsulator is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Request {
    /// How it is.
    Status,
    /// To serve these addresses and no others.
    Serve(Vec<IpAddr>),
    /// To end. The answer comes when it has given up all that it had.
    End,
}

/// What it answers.
pub(super) type Answer = Result<Status, String>;

/// A decapsulator at a glance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) pid: u32,
    /// The device by which it hands packets over.
    pub(crate) device: String,
    /// That device is there and up.
    pub(crate) device_up: bool,
    /// What the device passes unfinished, in words.
    pub(crate) offload: String,
    /// As it was started.
    #[serde(flatten)]
    pub(crate) tunnels: Tunnels,
    pub(crate) vips: Vec<IpAddr>,
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) drops: BTreeMap<String, u64>,
}

/// The listening side.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    owner: u32,
}

/// One who has asked something.
#[derive(Debug)]
pub(super) struct Caller {
    stream: UnixStream,
    may_tell: bool,
}

impl Socket {
    /// Takes the name, as soon as one that is dying has let go of it.
    pub(super) async fn bind() -> anyhow::Result<Self> {
        let addr = unix::SocketAddr::from_abstract_name(NAME)?;
        let patience = Instant::now() + PATIENCE;
        let listener = loop {
            match unix::UnixListener::bind_addr(&addr) {
                Ok(listener) => break listener,
                Err(e) if e.kind() == io::ErrorKind::AddrInUse => {}
                Err(e) => return Err(e).context("cannot create the decapsulator's socket"),
            }
            if let Ok(Some(Ok(status))) =
                timeout_at(patience, ask(&Request::Status)).await.unwrap_or(Ok(None))
            {
                bail!(
                    "pid {} takes packets out of tunnels in this network namespace already: see `ulvs real status`",
                    status.pid
                );
            }
            if Instant::now() >= patience {
                bail!(
                    "another program holds the name of the decapsulator's socket, @{NAME}, and does not answer: \
                     `ss -xlp` names it; end it"
                );
            }
            sleep(Duration::from_millis(10)).await;
        };
        listener.set_nonblocking(true)?;
        let (one, _other) = UnixStream::pair()?;
        Ok(Self { listener: UnixListener::from_std(listener)?, owner: one.peer_cred()?.uid() })
    }

    /// The next one who calls.
    pub(super) async fn accept(&self) -> io::Result<Caller> {
        let (stream, _) = self.listener.accept().await?;
        let uid = stream.peer_cred().map(|peer| peer.uid());
        let may_tell = uid.is_ok_and(|uid| uid == 0 || uid == self.owner);
        Ok(Caller { stream, may_tell })
    }
}

impl Caller {
    /// What it wants; none if it dawdles, makes no sense, or must not want that, of which it was told then.
    pub(super) async fn request(&mut self) -> Option<Request> {
        let request = timeout(PATIENCE, line(&mut self.stream)).await.ok()?.ok()?;
        if self.may_tell || matches!(request, Request::Status) {
            return Some(request);
        }
        self.answer(&Err("only root and the user that runs the decapsulator may do that".to_owned())).await;
        None
    }

    pub(super) async fn answer(&mut self, answer: &Answer) {
        // One who has gone away needs none.
        let _ = timeout(PATIENCE, tell(&mut self.stream, answer)).await;
    }
}

/// Asks the decapsulator of this network namespace; none if there is none.
///
/// # Errors
/// It does not answer, or what answers is none that this user should trust.
pub(super) async fn ask(request: &Request) -> anyhow::Result<Option<Answer>> {
    let addr = unix::SocketAddr::from_abstract_name(NAME)?;
    let stream = match unix::UnixStream::connect_addr(&addr) {
        Ok(stream) => stream,
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => return Ok(None),
        Err(e) => return Err(e).context("cannot talk to the decapsulator"),
    };
    stream.set_nonblocking(true)?;
    let mut stream = UnixStream::from_std(stream)?;
    let peer = stream.peer_cred()?;
    let (one, _other) = UnixStream::pair()?;
    let pid = peer.pid().unwrap_or_default();
    if peer.uid() != 0 && peer.uid() != one.peer_cred()?.uid() {
        bail!("pid {pid} of user {} poses as the decapsulator (it holds @{NAME}): end it", peer.uid());
    }
    let talk = async {
        tell(&mut stream, request).await?;
        line(&mut stream).await
    };
    match timeout(PATIENCE, talk).await {
        Ok(Ok(answer)) => Ok(Some(answer)),
        // It has ended meanwhile, or was about to.
        Ok(Err(e)) if is_end(&e) => Ok(None),
        Ok(Err(e)) => Err(e).context("cannot talk to the decapsulator"),
        Err(_) => bail!("the decapsulator (pid {pid}) does not answer: end it with `kill -9 {pid}`"),
    }
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

async fn tell(stream: &mut UnixStream, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

async fn line<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
    let mut line = Vec::new();
    BufReader::new(stream.take(MAX_LINE)).read_until(b'\n', &mut line).await?;
    if line.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_is_not_root_may_ask_and_not_tell() {
        for (request, tells) in [
            (Request::Status, false),
            (Request::Serve(vec!["10.0.0.1".parse().unwrap()]), true),
            (Request::End, true),
        ] {
            for may_tell in [true, false] {
                let (mut near, stream) = UnixStream::pair().unwrap();
                let mut caller = Caller { stream, may_tell };
                tell(&mut near, &request).await.unwrap();
                let heard = caller.request().await;
                assert_eq!(heard.is_some(), may_tell || !tells, "{request:?}");
                if heard.is_none() {
                    let answer: Answer = line(&mut near).await.unwrap();
                    assert!(answer.unwrap_err().contains("only root"));
                }
            }
        }
    }

    #[tokio::test]
    async fn nonsense_and_silence_are_not_heard() {
        for words in ["", "status\n", "{}\n", "\"status\"", "{\"serve\": [\"10.0.0\"]}\n"] {
            let (mut near, stream) = UnixStream::pair().unwrap();
            near.write_all(words.as_bytes()).await.unwrap();
            drop(near);
            assert!(Caller { stream, may_tell: true }.request().await.is_none(), "{words:?}");
        }
    }
}
