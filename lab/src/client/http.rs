//! The HTTP client for [`serve::Http`](crate::serve::Http).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use sha2::{Digest as _, Sha256};

use super::connect;
use crate::node::Node;
use crate::pattern::{MAX_PIECE, Pattern, hex};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The body, as text.
    pub body: String,
    /// From before the connection (or the request on an open one) to the last byte.
    pub elapsed: Duration,
}

/// A finished transfer whose digest was the right one on both ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// Payload bytes.
    pub bytes: u64,
    /// SHA-256 of them, in hexadecimal.
    pub sha256: String,
    /// First to last byte.
    pub elapsed: Duration,
}

impl Transfer {
    /// Payload rate in Gbit/s.
    pub fn gbit_per_s(&self) -> f64 {
        self.bytes as f64 * 8e-9 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// One GET on a connection of its own.
pub fn get(node: &Node, target: SocketAddr, path: &str) -> anyhow::Result<Reply> {
    let start = Instant::now();
    let mut reply = Connection::open(node, target)?.get(path)?;
    reply.elapsed = start.elapsed();
    Ok(reply)
}

/// Downloads `bytes` of the default [`Pattern`] and compares the digest of what arrived with the server's digest of
/// what it sent, and with the one known beforehand. `progress` is called with the bytes so far, often.
pub fn download(
    node: &Node,
    target: SocketAddr,
    bytes: u64,
    progress: impl FnMut(u64),
) -> anyhow::Result<Transfer> {
    Connection::open(node, target)?.download(bytes, progress)
}

/// Uploads `bytes` of the default [`Pattern`] and compares the server's digest of what arrived with that of what was
/// sent. `progress` is called with the bytes so far, often.
pub fn upload(
    node: &Node,
    target: SocketAddr,
    bytes: u64,
    progress: impl FnMut(u64),
) -> anyhow::Result<Transfer> {
    Connection::open(node, target)?.upload(bytes, progress)
}

/// A connection that is kept alive, by TCP alone or by what is spoken over it.
#[derive(Debug)]
pub struct Connection<S = TcpStream> {
    stream: S,
    target: SocketAddr,
    /// Received and not yet used.
    input: Vec<u8>,
}

impl Connection {
    /// Connects from the node.
    pub fn open(node: &Node, target: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self::over(connect(node, target)?, target))
    }
}

impl<S: Read + Write> Connection<S> {
    /// On a stream that leads to the target.
    pub fn over(stream: S, target: SocketAddr) -> Self {
        Self { stream, target, input: Vec::new() }
    }

    /// The stream.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The same, for whoever has more to say.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// One GET with a small answer.
    pub fn get(&mut self, path: &str) -> anyhow::Result<Reply> {
        let start = Instant::now();
        self.request("GET", path, 0)?;
        self.reply(start)
    }

    /// As [`download`], on this connection.
    pub fn download(&mut self, bytes: u64, mut progress: impl FnMut(u64)) -> anyhow::Result<Transfer> {
        let start = Instant::now();
        self.request("GET", &format!("/hashed/{bytes}"), 0)?;
        let (status, length) = self.head()?;
        ensure!(status == 200 && length == bytes, "{} answered {status} with {length} bytes", self.target);
        let mut hash = Sha256::new();
        let mut buffer = vec![0; MAX_PIECE];
        let early = std::mem::take(&mut self.input);
        hash.update(&early);
        let mut done = early.len() as u64;
        while done < bytes {
            let room = buffer.len().min(usize::try_from(bytes - done).unwrap_or(usize::MAX));
            let got = self.stream.read(&mut buffer[..room]);
            let got =
                got.with_context(|| format!("{} stopped after {done} of {bytes} bytes", self.target))?;
            ensure!(got > 0, "{} closed the connection after {done} of {bytes} bytes", self.target);
            hash.update(&buffer[..got]);
            done += got as u64;
            progress(done);
        }
        let (elapsed, sha256) = (start.elapsed(), hex(hash));
        let sent = self.get("/sent")?.body;
        ensure!(sent.trim() == sha256, "{} sent {} and {sha256} arrived", self.target, sent.trim());
        let known = Pattern::default().sha256(bytes);
        ensure!(known == sha256, "{} should have sent {known} and sent {sha256}", self.target);
        Ok(Transfer { bytes, sha256, elapsed })
    }

    /// As [`upload`], on this connection.
    pub fn upload(&mut self, bytes: u64, mut progress: impl FnMut(u64)) -> anyhow::Result<Transfer> {
        let pattern = Pattern::default();
        let start = Instant::now();
        self.request("POST", "/upload", bytes)?;
        let mut hash = Sha256::new();
        let mut done = 0;
        while done < bytes {
            let piece = pattern.at(done, bytes - done);
            let put = self.stream.write(piece);
            let put = put.with_context(|| format!("{} took {done} of {bytes} bytes", self.target))?;
            hash.update(&piece[..put]);
            done += put as u64;
            progress(done);
        }
        let reply = self.reply(start)?;
        let sha256 = hex(hash);
        ensure!(
            reply.body.trim() == format!("{bytes} {sha256}"),
            "{bytes} bytes with SHA-256 {sha256} were sent to {}, which received {}",
            self.target,
            reply.body.trim()
        );
        Ok(Transfer { bytes, sha256, elapsed: reply.elapsed })
    }

    fn request(&mut self, method: &str, path: &str, length: u64) -> anyhow::Result<()> {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n", self.target);
        self.stream
            .write_all(request.as_bytes())
            .with_context(|| format!("cannot send a request to {}", self.target))
    }

    fn reply(&mut self, start: Instant) -> anyhow::Result<Reply> {
        let (status, length) = self.head()?;
        let length = usize::try_from(length).context("the answer is too long")?;
        while self.input.len() < length {
            self.read_more()?;
        }
        let body = String::from_utf8_lossy(&self.input[..length]).into_owned();
        self.input.drain(..length);
        Ok(Reply { status, body, elapsed: start.elapsed() })
    }

    /// Status and body length; what follows the head stays in `input`.
    fn head(&mut self) -> anyhow::Result<(u16, u64)> {
        let len = loop {
            match self.input.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.read_more()?,
            }
        };
        let head = String::from_utf8_lossy(&self.input[..len]).into_owned();
        self.input.drain(..len);
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let (Some(status), Some(length)) = (status, length) else {
            bail!("{} did not answer in HTTP: {head:?}", self.target)
        };
        Ok((status, length))
    }

    fn read_more(&mut self) -> anyhow::Result<()> {
        let mut buffer = [0; 4096];
        let got = self.stream.read(&mut buffer).with_context(|| format!("no answer from {}", self.target))?;
        ensure!(got > 0, "{} closed the connection", self.target);
        self.input.extend_from_slice(&buffer[..got]);
        Ok(())
    }
}
