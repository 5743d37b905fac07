//! A small HTTP/1.1 server (RFC 9112) with just what tests and benchmarks ask for: keep-alive, pipelining, downloads of
//! a known stream, uploads answered with their digest. No chunked bodies, no TLS.
//!
//! | request | answer |
//! |---|---|
//! | `GET /`, `GET /test1.html` | the server's name |
//! | `GET /whoami` | the client's address and port as the server sees them |
//! | `GET /bytes/N` | N bytes of the default [`Pattern`] |
//! | `GET /hashed/N` | the same, hashed while it is sent |
//! | `GET /sent` | SHA-256 of the last `/hashed` on this connection |
//! | `POST` or `PUT /upload` | how many bytes came, and their SHA-256 |
//! | `POST` or `PUT /discard` | how many bytes came |

use std::io::{self, Write as _};
use std::mem;
use std::net::SocketAddr;

use sha2::{Digest as _, Sha256};

use super::reactor::{Next, Reactor, Service, Wire};
use super::{Counters, Site, count};
use crate::node::Node;
use crate::pattern::{Pattern, hex};

/// A running HTTP server, named as its node.
#[derive(Debug)]
pub struct Http(Reactor);

impl Http {
    /// Serves on the port, in both families.
    pub fn start(node: &Node, l4_port: u16) -> anyhow::Result<Self> {
        let site = Site { name: node.name().to_owned(), root: None };
        Reactor::start(node, l4_port, Server { site, pattern: Pattern::default() }).map(Self)
    }

    /// Serves where this process is.
    pub(crate) fn here(site: &Site, l4_port: u16) -> anyhow::Result<Self> {
        let server = Server { site: site.clone(), pattern: Pattern::default() };
        Reactor::here(&site.name, l4_port, server).map(Self)
    }

    /// What it has done so far.
    pub fn counters(&self) -> &Counters {
        self.0.counters()
    }
}

/// Longest request head accepted.
const MAX_HEAD: usize = 16 * 1024;
/// Rounds that one connection has before the others get theirs.
const TURN: usize = 16;

struct Server {
    site: Site,
    pattern: Pattern,
}

struct Conn {
    peer: SocketAddr,
    /// Received and not yet understood.
    input: Vec<u8>,
    /// Heads and small bodies to send, from `sent` on.
    output: Vec<u8>,
    sent: usize,
    phase: Phase,
    /// Close once everything is sent.
    close: bool,
    /// SHA-256 of the last stream that was hashed.
    hashed: String,
}

enum Phase {
    Head,
    /// A request body: bytes still to come, bytes in all, and the digest if one is wanted.
    Upload {
        left: u64,
        total: u64,
        hash: Option<Sha256>,
    },
    /// A stream to send: from where, to where.
    Download {
        offset: u64,
        end: u64,
        hash: Option<Sha256>,
    },
}

impl Service for Server {
    type Conn = Conn;

    fn open(&mut self, peer: SocketAddr) -> Conn {
        Conn {
            peer,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            phase: Phase::Head,
            close: false,
            hashed: String::new(),
        }
    }

    fn ready(&mut self, conn: &mut Conn, wire: &mut Wire<'_>) -> io::Result<Next> {
        for _ in 0..TURN {
            while conn.sent < conn.output.len() {
                let Some(put) = wire.write(&conn.output[conn.sent..])? else { return Ok(Next::Wait) };
                conn.sent += put;
            }
            conn.output.clear();
            conn.sent = 0;
            if let Some(next) = self.step(conn, wire)? {
                return Ok(next);
            }
        }
        Ok(Next::Again)
    }
}

impl Server {
    /// One step with nothing left in `output`; `None` to go on.
    fn step(&self, conn: &mut Conn, wire: &mut Wire<'_>) -> io::Result<Option<Next>> {
        match &mut conn.phase {
            Phase::Download { offset, end, hash } => {
                if offset == end {
                    if let Some(hash) = hash.take() {
                        conn.hashed = hex(hash);
                    }
                    conn.phase = Phase::Head;
                    return Ok(None);
                }
                let piece = self.pattern.at(*offset, *end - *offset);
                let Some(put) = wire.write(piece)? else { return Ok(Some(Next::Wait)) };
                if let Some(hash) = hash {
                    hash.update(&piece[..put]);
                }
                *offset += put as u64;
            }
            Phase::Head if conn.close => return Ok(Some(Next::Close)),
            Phase::Head => {
                if let Some(len) = head_len(&conn.input) {
                    let head = conn.input.drain(..len).collect::<Vec<_>>();
                    count(&wire.counters().requests, 1);
                    self.answer(conn, &head);
                } else if conn.input.len() > MAX_HEAD {
                    conn.respond("431 Request Header Fields Too Large", "too long\n");
                    conn.close = true;
                } else {
                    match wire.read()? {
                        None => return Ok(Some(Next::Wait)),
                        Some([]) => return Ok(Some(Next::Close)),
                        Some(bytes) => conn.input.extend_from_slice(bytes),
                    }
                }
            }
            Phase::Upload { left: 0, total, hash } => {
                let body = match hash.take() {
                    Some(hash) => format!("{total} {}\n", hex(hash)),
                    None => format!("{total}\n"),
                };
                conn.phase = Phase::Head;
                conn.respond("200 OK", &body);
            }
            Phase::Upload { left, hash, .. } => {
                let early = mem::take(&mut conn.input);
                let bytes = if early.is_empty() {
                    match wire.read()? {
                        None => return Ok(Some(Next::Wait)),
                        Some([]) => return Ok(Some(Next::Close)),
                        Some(bytes) => bytes,
                    }
                } else {
                    &early
                };
                let (body, rest) =
                    bytes.split_at(bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX)));
                if let Some(hash) = hash {
                    hash.update(body);
                }
                *left -= body.len() as u64;
                conn.input.extend_from_slice(rest);
            }
        }
        Ok(None)
    }

    /// Takes up a request whose head (to the empty line) is given.
    fn answer(&self, conn: &mut Conn, head: &[u8]) {
        let Some(request) = Request::parse(head) else {
            conn.close = true;
            return conn.respond("400 Bad Request", "this server did not understand that\n");
        };
        conn.close = request.close;
        let stream = |prefix: &str| request.path.strip_prefix(prefix).and_then(|len| len.parse::<u64>().ok());
        let plain = stream("/bytes/").map(|len| (len, None));
        let hashed = || stream("/hashed/").map(|len| (len, Some(Sha256::new())));
        match (request.method, request.path) {
            ("GET", path) if let Some((status, body)) = self.site.page(path, conn.peer) => {
                conn.respond(status, &body)
            }
            ("GET", "/sent") => conn.respond("200 OK", &format!("{}\n", conn.hashed)),
            ("POST" | "PUT", "/upload" | "/discard") => {
                if request.expects_continue {
                    conn.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                let hash = (request.path == "/upload").then(Sha256::new);
                conn.phase = Phase::Upload { left: request.length, total: request.length, hash };
            }
            ("GET", _) if let Some((end, hash)) = plain.or_else(hashed) => {
                conn.respond_head("200 OK", end);
                conn.phase = Phase::Download { offset: 0, end, hash };
            }
            _ => conn.respond("404 Not Found", "nothing here\n"),
        }
    }
}

impl Conn {
    fn respond(&mut self, status: &str, body: &str) {
        self.respond_head(status, body.len() as u64);
        self.output.extend_from_slice(body.as_bytes());
    }

    fn respond_head(&mut self, status: &str, len: u64) {
        let close = if self.close { "Connection: close\r\n" } else { "" };
        // Writing to a vector cannot fail.
        let _ = write!(
            self.output,
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len}\r\n{close}\r\n"
        );
    }
}

/// The parts of a request head that matter here.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    length: u64,
    close: bool,
    expects_continue: bool,
}

impl<'a> Request<'a> {
    fn parse(head: &'a [u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, path, version) = (words.next()?, words.next()?, words.next()?);
        let mut request =
            Self { method, path, length: 0, close: version == "HTTP/1.0", expects_continue: false };
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':')?;
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                request.length = value.parse().ok()?;
            } else if name.eq_ignore_ascii_case("connection") {
                request.close = value.eq_ignore_ascii_case("close");
            } else if name.eq_ignore_ascii_case("expect") {
                request.expects_continue = value.eq_ignore_ascii_case("100-continue");
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                return None;
            }
        }
        Some(request)
    }
}

/// Length of the request head with its empty line, once it is complete.
fn head_len(input: &[u8]) -> Option<usize> {
    input.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}
