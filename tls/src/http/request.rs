//! The head of a request: what it asks, where its body ends, and how the server is to see it.

use std::mem::MaybeUninit;

use httparse::{Header, Request, Status as Parsed};

use super::{FIELDS, Stamp, Status, body, elements, forwarded, length};

/// What has to be known about a request once its head has gone on.
#[derive(Debug)]
pub(super) struct Asked {
    /// The body, if there is one.
    pub(super) body: Option<body::Body>,
    /// `HEAD`: the response has no body, whatever it says.
    pub(super) head: bool,
    /// `CONNECT`: after a 2xx the connection is a tunnel.
    pub(super) connect: bool,
    /// The client offers to change the protocol: after a 101 the connection is a tunnel.
    pub(super) upgrade: bool,
    /// Another request may follow.
    pub(super) persist: bool,
    /// Asking twice is as asking once (RFC 9110, 9.2.1), and there is no body.
    pub(super) repeatable: bool,
}

/// Reads a whole head and writes it to `out`: as it is, or with the fields of `stamp` instead of the client's own.
pub(super) fn read(head: &[u8], stamp: Option<&Stamp>, out: &mut Vec<u8>) -> Result<Asked, Status> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut request = Request::new(&mut []);
    match request.parse_with_uninit_headers(head, &mut fields) {
        Ok(Parsed::Complete(n)) if n == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Status::HeadTooLarge),
        Err(httparse::Error::Version) => return Err(Status::VersionNotSupported),
        Ok(_) | Err(_) => return Err(Status::BadRequest),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(Status::BadRequest);
    };
    let mut said = Said::default();
    for field in &*request.headers {
        said.hear(field)?;
    }
    let asked = said.asked(method, minor, stamp.is_some())?;
    match stamp {
        None => out.extend_from_slice(head),
        Some(stamp) => write(method, target, minor, request.headers, stamp, out),
    }
    Ok(asked)
}

fn write(method: &str, target: &str, minor: u8, fields: &[Header<'_>], stamp: &Stamp, out: &mut Vec<u8>) {
    for part in [method, " ", target, if minor == 0 { " HTTP/1.0\r\n" } else { " HTTP/1.1\r\n" }] {
        out.extend_from_slice(part.as_bytes());
    }
    for field in fields.iter().filter(|field| !forwarded::is_ours(field.name.as_bytes())) {
        for part in [field.name.as_bytes(), b": ", field.value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(stamp.lines());
    out.extend_from_slice(b"\r\n");
}

/// What the fields say.
#[derive(Default)]
struct Said {
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    connection_upgrade: bool,
}

impl Said {
    fn hear(&mut self, field: &Header<'_>) -> Result<(), Status> {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("host") {
            self.hosts += 1;
        } else if is("content-length") {
            // RFC 9112, 6.3: a list of the same numbers may be taken for one. Nobody who means well sends it.
            if self.length.is_some() {
                return Err(Status::BadRequest);
            }
            self.length = Some(length(field.value).ok_or(Status::BadRequest)?);
        } else if is("transfer-encoding") {
            if self.chunked || !field.value.eq_ignore_ascii_case(b"chunked") {
                return Err(Status::BadRequest);
            }
            self.chunked = true;
        } else if is("upgrade") {
            self.upgrade = true;
        } else if is("connection") {
            for option in elements(field.value) {
                self.close |= option.eq_ignore_ascii_case(b"close");
                self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                self.connection_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
            }
        } else if field.name.contains('_') && smuggles(field.name) {
            return Err(Status::BadRequest);
        }
        Ok(())
    }

    fn asked(&self, method: &str, minor: u8, guarded: bool) -> Result<Asked, Status> {
        // RFC 9112, 3.2 and 6.1: one Host, and either a length or chunks, which HTTP/1.0 does not have.
        if self.hosts > 1
            || (self.hosts == 0 && minor == 1)
            || (self.chunked && (self.length.is_some() || minor == 0))
        {
            return Err(Status::BadRequest);
        }
        let body = match self.length {
            None | Some(0) if !self.chunked => None,
            Some(length) => Some(body::Body::Length(length)),
            None => Some(body::Body::Chunked(body::Chunks::new(guarded))),
        };
        let connect = method == "CONNECT";
        if connect && body.is_some() {
            return Err(Status::BadRequest);
        }
        Ok(Asked {
            head: method == "HEAD",
            connect,
            upgrade: self.upgrade && self.connection_upgrade && minor == 1,
            persist: !self.close && (minor == 1 || self.keep_alive),
            repeatable: body.is_none() && matches!(method, "GET" | "HEAD" | "OPTIONS"),
            body,
        })
    }
}

/// `Content_Length` and `Transfer_Encoding` are nothing to us and something to what descends from CGI.
fn smuggles(name: &str) -> bool {
    ["content-length", "transfer-encoding"].iter().any(|framing| {
        name.len() == framing.len()
            && name
                .bytes()
                .zip(framing.bytes())
                .all(|(a, b)| a.eq_ignore_ascii_case(&b) || (a == b'_' && b == b'-'))
    })
}
