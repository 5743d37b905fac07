//! What a server sends: the head, then the body by one of the framings of RFC 9112 section 6.

use std::io;

use httparse::Status;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::super::asking::{Asking, Stage};
use super::super::words;
use super::page::Body;

/// The longest head, and the longest trailer.
const HEAD: usize = 64 * 1024;
/// Fields of a head.
const FIELDS: usize = 128;
/// The longest line that begins a chunk.
const CHUNK_LINE: usize = 4096;
/// The most that is read at once.
const READ: usize = 64 * 1024;
/// Interim answers before the final one.
const INTERIM: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub status: u16,
    pub framing: Framing,
}

/// How it is known where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// An answer as it comes.
pub(super) struct Answer<'a, S> {
    stream: S,
    asking: &'a Asking<'a>,
    /// What has come and has not been looked at.
    buffer: Vec<u8>,
}

impl<'a, S: AsyncRead + Unpin> Answer<'a, S> {
    pub(super) fn new(stream: S, asking: &'a Asking<'a>) -> Self {
        Self { stream, asking, buffer: Vec::with_capacity(4096) }
    }

    /// The head of the final answer. Interim ones (1xx) are left out.
    pub(super) async fn head(&mut self) -> Result<Head, String> {
        for _ in 0..INTERIM {
            let head = self.one_head().await?;
            if !(100..200).contains(&head.status) || head.status == 101 {
                return Ok(head);
            }
        }
        Err("the server says again and again that it will answer".into())
    }

    async fn one_head(&mut self) -> Result<Head, String> {
        let mut seen = 0;
        loop {
            // Only when an empty line has come it can be whole; looking sooner would cost a dripping server's time in ours.
            if self.buffer.len() >= 5 && !self.buffer.starts_with(b"HTTP/") {
                return Err(self.garbage());
            }
            if has_empty_line(&self.buffer[usize::saturating_sub(seen, 3)..])
                && let Some((head, length)) = parse(&self.buffer)?
            {
                self.buffer.drain(..length);
                return Ok(head);
            }
            seen = self.buffer.len();
            if seen > HEAD {
                return Err(format!("the head of the answer is longer than {} KiB", HEAD / 1024));
            }
            match self.more().await {
                Ok(true) => self.asking.reached(Stage::Answering),
                Ok(false) if seen == 0 => {
                    return Err("the server closed the connection without an answer".into());
                }
                Ok(false) if self.buffer.starts_with(b"HTTP/") => {
                    return Err("the server closed the connection in the middle of the answer's head".into());
                }
                Ok(false) => return Err(self.garbage()),
                Err(e) => return Err(words::io(&e)),
            }
        }
    }

    fn garbage(&self) -> String {
        format!("the answer is not HTTP: it begins with {}", words::quote(&self.buffer))
    }

    /// Reads the body, or as much of it as is looked at.
    pub(super) async fn body(&mut self, framing: Framing, body: &mut Body) -> Result<(), String> {
        match framing {
            Framing::Length(length) => self.counted(length, body).await.map(drop),
            Framing::Chunked => self.chunked(body).await,
            Framing::UntilClose => self.rest(body).await,
        }
    }

    /// So many bytes of the body. `false`: nobody looks at more.
    async fn counted(&mut self, length: u64, body: &mut Body) -> Result<bool, String> {
        let mut left = length;
        while left > 0 {
            if self.buffer.is_empty() && !self.more().await.map_err(|e| words::io(&e))? {
                return Err(format!("the body ends after {} of {length} bytes", length - left));
            }
            let taken = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let wanted = body.take(&self.buffer[..taken]);
            self.buffer.drain(..taken);
            left -= taken as u64;
            if !wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn chunked(&mut self, body: &mut Body) -> Result<(), String> {
        loop {
            let line = self.line(CHUNK_LINE).await?;
            let size = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
            let digits = std::str::from_utf8(size).ok().filter(|s| s.bytes().all(|b| b.is_ascii_hexdigit()));
            let Some(size) = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) else {
                return Err(format!("{} is no size of a chunk", words::quote(&line)));
            };
            if size == 0 {
                break;
            }
            if !self.counted(size, body).await? {
                return Ok(());
            }
            if !self.line(2).await?.is_empty() {
                return Err("a chunk is longer than it says".into());
            }
        }
        let mut trailer = 0;
        while trailer < HEAD {
            match self.line(HEAD).await?.len() {
                0 => return Ok(()),
                length => trailer += length + 1,
            }
        }
        Err(format!("the trailer of the answer is longer than {} KiB", HEAD / 1024))
    }

    async fn rest(&mut self, body: &mut Body) -> Result<(), String> {
        loop {
            if !body.take(&self.buffer) {
                return Ok(());
            }
            self.buffer.clear();
            if !self.more().await.map_err(|e| words::io(&e))? {
                return Ok(());
            }
        }
    }

    /// The next line, without its end.
    async fn line(&mut self, longest: usize) -> Result<Vec<u8>, String> {
        let mut seen = 0;
        loop {
            if let Some(end) = self.buffer[seen..].iter().position(|b| *b == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=seen + end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            seen = self.buffer.len();
            if seen > longest {
                return Err("a line between chunks has no end".into());
            }
            if !self.more().await.map_err(|e| words::io(&e))? {
                return Err("the body ends between two chunks".into());
            }
        }
    }

    /// Reads what there is; `false` at the end. A server that ends TCP without a goodbye within TLS is at its end too: such
    /// are common, and whether all has come is known otherwise.
    async fn more(&mut self) -> io::Result<bool> {
        // Few answers have more than the first read takes; those that have get more room.
        self.buffer.reserve(self.buffer.capacity().min(READ));
        match self.stream.read_buf(&mut self.buffer).await {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => Ok(read? != 0),
        }
    }
}

fn has_empty_line(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

/// The head and its length, if it is whole.
fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, String> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(format!("the head of the answer has more than {FIELDS} fields"));
        }
        Err(error) => {
            let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
            return Err(format!("the answer is not HTTP: {error} after {}", words::quote(line)));
        }
    };
    let status = response.code.unwrap_or_default();
    let mut framing = Framing::UntilClose;
    for field in response.headers.iter() {
        if field.name.eq_ignore_ascii_case("transfer-encoding") {
            // Whatever is beneath: the last coding is what frames (RFC 9112 section 6.3).
            let last = field.value.rsplit(|b| *b == b',').next().unwrap_or_default().trim_ascii();
            framing = match last.eq_ignore_ascii_case(b"chunked") {
                true => Framing::Chunked,
                false => Framing::UntilClose,
            };
            break;
        }
        if field.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(field.value).unwrap_or_default().trim();
            let digits = text.split(',').next().unwrap_or_default().trim();
            let length = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
            let length =
                length.ok_or_else(|| format!("{} is no Content-Length", words::quote(field.value)))?;
            framing = Framing::Length(length);
        }
    }
    if matches!(status, 100..200 | 204 | 304) {
        framing = Framing::Length(0);
    }
    Ok(Some((Head { status, framing }, length)))
}
