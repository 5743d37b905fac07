//! One connection at a time: connect, ask, read the answer, again.

use std::io::{self, Read as _, Write as _};
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Token};

use super::{BACK_OFF, Direction, Mode, STALLED, Shared};

const KEEP_ALIVE: &[u8] = b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n";
const CLOSE: &[u8] = b"GET / HTTP/1.1\r\nHost: vip\r\nConnection: close\r\n\r\n";
const DOWNLOAD: &[u8] = b"GET /bytes/1000000000000000 HTTP/1.1\r\nHost: vip\r\n\r\n";
const UPLOAD: &[u8] = b"POST /discard HTTP/1.1\r\nHost: vip\r\nContent-Length: 1000000000000000\r\n\r\n";

/// Rounds that one connection has before the others get theirs.
const TURN: usize = 16;

/// A place for a connection.
pub(super) struct Slot {
    token: Token,
    stream: Option<TcpStream>,
    phase: Phase,
    /// The beginning of an answer that came in pieces.
    partial: Vec<u8>,
    /// When the request, or the connection, began.
    asked: Instant,
    /// When something last moved; of a closed connection, when it failed.
    moved: Instant,
    /// Something has been answered on this connection.
    counted: bool,
}

enum Phase {
    /// Bytes of the request that have been sent.
    Ask(usize),
    Answer,
    /// Payload sent so far.
    Upload(u64),
    Download,
    /// Paced: until the next request is due.
    Rest,
}

/// Whether the slot needs another turn without an event.
pub(super) enum Turn {
    Wait,
    Again,
}

impl Slot {
    pub(super) fn new(token: Token) -> Self {
        let now = Instant::now();
        Self {
            token,
            stream: None,
            phase: Phase::Ask(0),
            partial: Vec::new(),
            asked: now,
            moved: now,
            counted: false,
        }
    }

    /// Opens a new connection.
    pub(super) fn connect(&mut self, shared: &mut Shared, now: Instant) {
        self.phase = Phase::Ask(0);
        self.partial.clear();
        self.counted = false;
        (self.asked, self.moved) = (now, now);
        let open = || -> io::Result<TcpStream> {
            let mut stream = TcpStream::connect(shared.spec.target)?;
            stream.set_nodelay(true)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            shared.poll.registry().register(&mut stream, self.token, both)?;
            Ok(stream)
        };
        match open() {
            Ok(stream) => self.stream = Some(stream),
            Err(_) => self.fail(shared, now),
        }
    }

    /// Makes the request that was due then.
    pub(super) fn ask(&mut self, shared: &mut Shared, due: Instant, now: Instant) -> Turn {
        self.phase = Phase::Ask(0);
        (self.asked, self.moved) = (due, now);
        self.ready(shared)
    }

    /// Works until the socket would block.
    pub(super) fn ready(&mut self, shared: &mut Shared) -> Turn {
        for _ in 0..TURN {
            match self.step(shared) {
                Ok(true) => {}
                Ok(false) => return Turn::Wait,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Turn::Wait,
                Err(_) => {
                    self.fail(shared, Instant::now());
                    return Turn::Wait;
                }
            }
        }
        Turn::Again
    }

    /// Gives up what has stalled, and tries again where a connection failed a while ago.
    pub(super) fn sweep(&mut self, shared: &mut Shared, now: Instant) {
        let still = now.saturating_duration_since(self.moved);
        if self.stream.is_none() && still >= BACK_OFF {
            self.connect(shared, now);
        } else if still >= STALLED && !matches!(self.phase, Phase::Rest) {
            self.fail(shared, now);
        }
    }

    fn fail(&mut self, shared: &mut Shared, now: Instant) {
        shared.report.errors += 1;
        self.stream = None;
        self.moved = now;
    }

    /// One system call; false when there is no connection to go on with.
    fn step(&mut self, shared: &mut Shared) -> io::Result<bool> {
        let Some(stream) = &mut self.stream else { return Ok(false) };
        match &mut self.phase {
            Phase::Ask(sent) => {
                let request = request_of(shared.spec.mode);
                match stream.write(&request[*sent..]) {
                    Ok(put) => *sent += put,
                    // Not connected yet, as some kernels say it.
                    Err(err) if err.kind() == io::ErrorKind::NotConnected => return Ok(false),
                    Err(err) => return Err(err),
                }
                if *sent == request.len() {
                    self.phase = match shared.spec.mode {
                        Mode::KeepAlive { .. } | Mode::NewConn { .. } | Mode::Paced { .. } => Phase::Answer,
                        Mode::Bulk { direction: Direction::Download, .. } => Phase::Download,
                        Mode::Bulk { direction: Direction::Upload, .. } => Phase::Upload(0),
                    };
                }
            }
            Phase::Upload(done) => {
                let put = stream.write(shared.pattern.at(*done, u64::MAX))?;
                *done += put as u64;
                self.streamed(shared, put);
            }
            Phase::Download => {
                let got = stream.read(&mut shared.buffer)?;
                if got == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.streamed(shared, got);
            }
            Phase::Rest => return Ok(false),
            Phase::Answer => {
                let got = stream.read(&mut shared.buffer)?;
                return self.answered(shared, got);
            }
        }
        Ok(true)
    }

    fn streamed(&mut self, shared: &mut Shared, bytes: usize) {
        shared.report.bytes += bytes as u64;
        self.moved = Instant::now();
        self.count_connection(shared);
    }

    /// `got` bytes of an answer are in the shared buffer.
    fn answered(&mut self, shared: &mut Shared, got: usize) -> io::Result<bool> {
        shared.report.bytes += got as u64;
        let bytes = &shared.buffer[..got];
        // An answer nearly always comes whole and is looked at where it lies.
        let complete = if self.partial.is_empty() {
            complete(bytes)?
        } else {
            self.partial.extend_from_slice(bytes);
            complete(&self.partial)?
        };
        if !complete {
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if self.partial.is_empty() {
                self.partial.extend_from_slice(bytes);
            }
            return Ok(true);
        }
        let closes = matches!(shared.spec.mode, Mode::NewConn { .. });
        if closes && got > 0 {
            // The answer ends with the connection: keep it until the server's end of stream.
            if self.partial.is_empty() {
                self.partial.extend_from_slice(&shared.buffer[..got]);
            }
            return Ok(true);
        }
        let now = Instant::now();
        shared.report.requests += 1;
        shared.latency.record(now - self.asked);
        self.count_connection(shared);
        (self.asked, self.moved) = (now, now);
        self.partial.clear();
        if let Mode::Paced { .. } = shared.spec.mode {
            self.phase = Phase::Rest;
            shared.resting.push_back(self.token.0);
            return Ok(false);
        }
        self.phase = Phase::Ask(0);
        if closes {
            self.connect(shared, now);
            // Nothing can be sent before the handshake: an event will come.
            return Ok(false);
        }
        Ok(true)
    }

    fn count_connection(&mut self, shared: &mut Shared) {
        if !self.counted {
            self.counted = true;
            shared.report.connections += 1;
        }
    }
}

fn request_of(mode: Mode) -> &'static [u8] {
    match mode {
        Mode::KeepAlive { .. } | Mode::Paced { .. } => KEEP_ALIVE,
        Mode::NewConn { .. } => CLOSE,
        Mode::Bulk { direction: Direction::Download, .. } => DOWNLOAD,
        Mode::Bulk { direction: Direction::Upload, .. } => UPLOAD,
    }
}

/// Whether the bytes are a whole answer.
fn complete(bytes: &[u8]) -> io::Result<bool> {
    const LENGTH: &[u8] = b"Content-Length: ";
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(false) };
    if !bytes.starts_with(b"HTTP/1.1 200 ") {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let at = bytes[..head].windows(LENGTH.len()).position(|window| window == LENGTH);
    let digits = at.map(|at| bytes[at + LENGTH.len()..head].iter().take_while(|byte| byte.is_ascii_digit()));
    let Some(digits) = digits else { return Err(io::ErrorKind::InvalidData.into()) };
    let length =
        digits.fold(0_usize, |value, digit| value.wrapping_mul(10).wrapping_add(usize::from(digit - b'0')));
    Ok(bytes.len() >= head + 4 + length)
}
