//! Port 80 of a service that speaks TLS: every request is sent to `https://`.
//!
//! Answers 308 (RFC 9110, 15.4.9), which keeps the method. The host is the one that was asked for if it can be one,
//! otherwise the one that the terms name: what a client says never becomes part of a header unchecked. The connection
//! is kept for the next request where that is safe, which is not after a body.

use std::{
    io::ErrorKind,
    mem::MaybeUninit,
    sync::Arc,
    time::{Duration, Instant},
};

use httparse::{Request, Status as Parsed};

use super::{FIELDS, Status, elements, gather, gather::Gather};
use crate::{
    leg::Leg,
    relay::{How, Next, Scratch, Timeout},
};

const RULES: gather::Rules = gather::Rules { limit: 16 * 1024, strict: true };
/// Bytes of requests that are answered at once: an answer may be ten times as long.
const AT_ONCE: usize = 4096;

/// Where a redirect leads, and how long it waits.
#[derive(Clone, Debug)]
pub struct RedirectTerms {
    /// The port that speaks TLS.
    pub port: u16,
    /// The host for those who name none, as it stands in a URL: a name, or an address (IPv6 in brackets).
    pub host: String,
    /// The time to a whole head, and to the next one.
    pub head: Duration,
}

/// One connection to port 80.
///
/// To be driven as a [`crate::Relay`] is: when its leg is ready, and when [`Redirect::poll_timeout`] has passed.
#[derive(Debug)]
pub struct Redirect {
    terms: Arc<RedirectTerms>,
    head: Gather,
    /// What is left of the answers.
    out: Vec<u8>,
    /// No further request is answered.
    last: Option<How>,
    told: bool,
    deadline: Instant,
}

impl Redirect {
    /// A connection that was accepted at `now`.
    pub fn new(terms: Arc<RedirectTerms>, now: Instant) -> Self {
        let deadline = now + terms.head;
        Self { terms, head: Gather::default(), out: Vec::new(), last: None, told: false, deadline }
    }

    /// When to drive it although nothing has come.
    pub const fn poll_timeout(&self) -> Instant {
        self.deadline
    }

    /// Does what can be done. Answers [`Next::Wait`] or [`Next::Ended`].
    pub fn drive(&mut self, leg: &mut dyn Leg, now: Instant, scratch: &mut Scratch) -> Next {
        if now >= self.deadline {
            leg.abort();
            return Next::Ended(How::TimedOut(Timeout::Head));
        }
        loop {
            while !self.out.is_empty() {
                match leg.write(&self.out) {
                    Ok(0) => return Next::Wait,
                    Ok(n) => drop(self.out.drain(..n)),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => return Next::Wait,
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(_) => return gone(leg),
                }
            }
            if self.last.is_some() && !std::mem::replace(&mut self.told, true) {
                leg.shutdown();
            }
            // After the last answer, what still comes is read and thrown away: closing over it would reset the
            // connection and might take the answer with it.
            match leg.read(&mut scratch.inward[..AT_ONCE]) {
                Ok(0) => {
                    leg.shutdown();
                    return Next::Ended(self.last.unwrap_or(How::Closed));
                }
                Ok(n) if self.last.is_none() => self.requests(&scratch.inward[..n], now),
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Next::Wait,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return gone(leg),
            }
        }
    }

    fn requests(&mut self, mut input: &[u8], now: Instant) {
        while !input.is_empty() && self.last.is_none() {
            let read = self.head.take(input, RULES).and_then(|whole| match whole {
                None => Ok(None),
                Some((head, taken)) => Ok(Some((answer(head, &self.terms)?, taken))),
            });
            match read {
                Ok(None) => return,
                Ok(Some(((answer, keep), taken))) => {
                    self.out.extend_from_slice(&answer);
                    self.head.done();
                    self.deadline = now + self.terms.head;
                    self.last = (!keep).then_some(How::Closed);
                    input = &input[taken..];
                }
                Err(status) => {
                    self.out.extend_from_slice(&status.answer());
                    self.last = Some(How::Rejected(status.code()));
                }
            }
        }
    }
}

fn gone(leg: &mut dyn Leg) -> Next {
    leg.abort();
    Next::Ended(How::ClientGone)
}

/// The answer to a whole head, and whether another request may follow.
fn answer(head: &[u8], terms: &RedirectTerms) -> Result<(Vec<u8>, bool), Status> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut request = Request::new(&mut []);
    if !matches!(request.parse_with_uninit_headers(head, &mut fields), Ok(Parsed::Complete(_))) {
        return Err(Status::BadRequest);
    }
    let (Some(target), Some(minor)) = (request.path, request.version) else { return Err(Status::BadRequest) };
    let (mut host, mut keep, mut close, mut body) = (None, minor == 1, false, false);
    for field in &*request.headers {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("host") {
            if host.replace(field.value).is_some() {
                return Err(Status::BadRequest);
            }
        } else if is("connection") {
            keep |= elements(field.value).any(|option| option.eq_ignore_ascii_case(b"keep-alive"));
            close |= elements(field.value).any(|option| option.eq_ignore_ascii_case(b"close"));
        } else if is("content-length") || is("transfer-encoding") {
            body |= field.value != b"0";
        }
    }
    let (asked, path) = split(target).ok_or(Status::BadRequest)?;
    let host = asked.or_else(|| str::from_utf8(host?).ok()).and_then(name).unwrap_or(&terms.host);
    let port = if terms.port == 443 { String::new() } else { format!(":{}", terms.port) };
    let keep = keep && !close && !body;
    let connection = match (keep, minor) {
        (false, _) => "Connection: close\r\n",
        (true, 0) => "Connection: keep-alive\r\n",
        (true, _) => "",
    };
    let answer = format!(
        "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://{host}{port}{path}\r\nContent-Length: 0\r\n{connection}\r\n",
    );
    Ok((answer.into_bytes(), keep))
}

/// Host and path of a request's target (RFC 9112, 3.2), which a path or a URL may be.
fn split(target: &str) -> Option<(Option<&str>, &str)> {
    if !target.is_ascii() {
        return None;
    }
    if target.starts_with('/') {
        return Some((None, target));
    }
    let rest =
        target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://")).map(|_| &target[7..])?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    (!host.contains(['?', '#'])).then_some((Some(host), if path.is_empty() { "/" } else { path }))
}

/// The host without its port, if it can be a name or an address.
fn name(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')? + 2;
            rest[..end - 2].parse::<std::net::Ipv6Addr>().ok()?;
            host.split_at(end)
        }
        None => {
            let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
            let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            ((!name.is_empty() && name.len() <= 255 && name.bytes().all(fits)).then_some(name)?, port)
        }
    };
    let port = port.strip_prefix(':').unwrap_or(port);
    port.bytes().all(|b| b.is_ascii_digit()).then_some(name)
}
