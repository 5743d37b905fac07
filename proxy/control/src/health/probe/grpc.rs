//! The health service of gRPC: `grpc.health.v1.Health/Check`, over HTTP/2, in clear or within TLS.
//!
//! Its two messages have a field each, a name and a number: they are written and read here, without a compiler of
//! protocol buffers.

use std::pin::pin;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use h2::{Reason, RecvStream};
use sched::GrpcCheck;
use tokio::io::{AsyncRead, AsyncWrite};

use super::asking::{Asking, First, Stage};
use super::{Tools, host, tls, words};

/// An answer has two bytes in a frame of five.
const LONGEST: usize = 16 * 1024;
/// As many bytes of headers are taken.
const HEADERS: u32 = 16 * 1024;

#[derive(Debug)]
pub(super) struct Ready {
    message: Bytes,
    service: String,
    tls: Option<tls::Ready>,
}

impl Ready {
    pub(super) fn new(check: &GrpcCheck, tools: &Arc<Tools>) -> Result<Self, String> {
        let tls = check.tls.as_ref().map(|tls| tls::Ready::new(tls, tls::Protocol::Http2, tools));
        Ok(Self { message: message(&check.service), service: check.service.clone(), tls: tls.transpose()? })
    }

    pub(super) async fn ask(&self, asking: &Asking<'_>) -> Result<(), String> {
        let stream = asking.stream(First::We).await?;
        match &self.tls {
            None => self.talk(asking, stream).await,
            Some(tls) => self.talk(asking, tls.shake(asking, stream).await?).await,
        }
    }

    async fn talk<S>(&self, asking: &Asking<'_>, stream: S) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut builder = h2::client::Builder::new();
        builder.enable_push(false).max_header_list_size(HEADERS).initial_window_size(LONGEST as u32);
        let (sender, connection) = builder.handshake(stream).await.map_err(|e| broken(&e))?;
        let mut talk = pin!(self.call(asking, sender));
        let mut connection = pin!(connection);
        tokio::select! {
            biased;
            result = &mut talk => result,
            // What has come before the end is there still.
            _ = &mut connection => talk.await,
        }
    }

    async fn call(&self, asking: &Asking<'_>, sender: h2::client::SendRequest<Bytes>) -> Result<(), String> {
        let to = asking.target.vip.unwrap_or(asking.target.server);
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let uri = format!("{scheme}://{}:{}/grpc.health.v1.Health/Check", host(to.ip()), to.port());
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .header(header::USER_AGENT, concat!("ulvs/", env!("CARGO_PKG_VERSION"), " (health check)"))
            .body(())
            .map_err(|e| e.to_string())?;
        let mut sender = sender.ready().await.map_err(|e| broken(&e))?;
        let (response, mut stream) = sender.send_request(request, false).map_err(|e| broken(&e))?;
        stream.send_data(self.message.clone(), true).map_err(|e| broken(&e))?;
        let response = response.await.map_err(|e| broken(&e))?;
        asking.reached(Stage::Answering);
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            return Err(format!("status {} where 200 was expected", head.status.as_u16()));
        }
        let kind = head.headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes()).unwrap_or_default();
        if !kind.starts_with(b"application/grpc") {
            return Err(format!("the answer is not gRPC: its type is {}", words::quote(kind)));
        }
        // With nothing to say, a server says so at once, in its headers.
        if head.headers.contains_key("grpc-status") {
            self.judge_status(&head.headers)?;
        }
        let (message, trailers) = whole(body).await?;
        self.judge_status(&trailers.unwrap_or(head.headers))?;
        self.judge(&message)
    }

    fn judge_status(&self, headers: &HeaderMap) -> Result<(), String> {
        let text = |name| headers.get(name).map(|value| value.as_bytes());
        let code = text("grpc-status").ok_or("the answer ends without the status of gRPC")?;
        let code: u8 = std::str::from_utf8(code)
            .ok()
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| format!("{} is no status of gRPC", words::quote(code)))?;
        let why = match code {
            0 => return Ok(()),
            5 if !self.service.is_empty() => {
                return Err(format!("the server knows no service `{}`", self.service));
            }
            12 => return Err("the server has no health service (UNIMPLEMENTED)".into()),
            code => STATUS.get(usize::from(code)).copied().unwrap_or("an unknown status"),
        };
        let said = text("grpc-message").map(|said| format!(": {}", words::quote(said))).unwrap_or_default();
        Err(format!("the health service fails with {why}{said}"))
    }

    fn judge(&self, body: &[u8]) -> Result<(), String> {
        let service = match self.service.as_str() {
            "" => "the server".to_owned(),
            service => format!("service `{service}`"),
        };
        match serving(body)? {
            0 => Err(format!("{service} is in state UNKNOWN")),
            1 => Ok(()),
            2 => Err(format!("{service} is NOT_SERVING")),
            3 => Err(format!("{service} is in state SERVICE_UNKNOWN")),
            number => Err(format!("{service} is in a state that is not known here, {number}")),
        }
    }
}

/// Why there is no answer.
fn broken(error: &h2::Error) -> String {
    match (error.get_io(), error.reason()) {
        (Some(io), _) if io.kind() == std::io::ErrorKind::BrokenPipe || io.raw_os_error().is_none() => {
            "the server closed the connection before it had answered: it may not speak HTTP/2".into()
        }
        (Some(io), _) => words::io(io),
        (None, Some(Reason::PROTOCOL_ERROR | Reason::FRAME_SIZE_ERROR)) if !error.is_remote() => {
            "the answer is not HTTP/2".into()
        }
        (None, Some(reason)) => format!("the stream was reset: {reason:?}"),
        (None, None) => error.to_string(),
    }
}

/// The body, and the trailers if there are some.
async fn whole(mut body: RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), String> {
    let mut message = Vec::new();
    while let Some(part) = body.data().await {
        let part = part.map_err(|e| broken(&e))?;
        // Its window is as large, and is never made larger.
        message.extend_from_slice(&part);
        if message.len() >= LONGEST {
            return Err("the answer is too long for one of the health service".into());
        }
    }
    let trailers = body.trailers().await.map_err(|e| broken(&e))?;
    Ok((message, trailers))
}

/// `HealthCheckRequest { string service = 1; }` in a frame: not compressed, its length, itself.
fn message(service: &str) -> Bytes {
    let mut request = Vec::new();
    if !service.is_empty() {
        request.push(1 << 3 | 2);
        let mut length = service.len();
        while length > 0x7f {
            request.push(0x80 | (length & 0x7f) as u8);
            length >>= 7;
        }
        request.push(length as u8);
        request.extend(service.bytes());
    }
    let mut framed = vec![0];
    framed.extend((request.len() as u32).to_be_bytes());
    framed.extend(request);
    framed.into()
}

/// `HealthCheckResponse { ServingStatus status = 1; }`: its number. Fields that are not known are passed over.
fn serving(body: &[u8]) -> Result<u64, String> {
    let nonsense = || "the answer is no message of the health service".to_owned();
    let (frame, message) = body.split_at_checked(5).ok_or_else(nonsense)?;
    if frame[0] != 0 {
        return Err("the answer is compressed, though nobody asked for that".into());
    }
    if u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]) as usize != message.len() {
        return Err(nonsense());
    }
    let (mut rest, mut status) = (message, 0);
    while !rest.is_empty() {
        let tag = varint(&mut rest).ok_or_else(nonsense)?;
        let skipped = match tag & 7 {
            0 => {
                let value = varint(&mut rest).ok_or_else(nonsense)?;
                if tag >> 3 == 1 {
                    status = value;
                }
                0
            }
            1 => 8,
            2 => varint(&mut rest).and_then(|length| usize::try_from(length).ok()).ok_or_else(nonsense)?,
            5 => 4,
            _ => return Err(nonsense()),
        };
        rest = rest.get(skipped..).ok_or_else(nonsense)?;
    }
    Ok(status)
}

/// Seven bits a byte, the lowest first.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let length = rest.iter().take(10).position(|byte| byte & 0x80 == 0)? + 1;
    let (bytes, after) = rest.split_at(length);
    *rest = after;
    Some(bytes.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f)))
}

/// The codes of gRPC, by number.
const STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[cfg(test)]
mod tests;
