//! The head of a response: where its body ends (RFC 9112, 6.3), and whether the connection lives on.

use std::mem::MaybeUninit;

use httparse::{Header, Response, Status as Parsed};

use super::{FIELDS, Status, body, elements, length, request::Asked};

/// What follows a head.
#[derive(Debug)]
pub(super) enum Follows {
    /// Another head: this one was 1xx.
    Head,
    /// A body.
    Body(body::Body),
    /// Nothing: the response is complete.
    Nothing,
    /// Whatever the two agree on.
    Tunnel,
}

/// Reads a whole head, the response to `asked`: what follows, and whether the server keeps the connection.
pub(super) fn read(head: &[u8], asked: &Asked) -> Result<(Follows, bool), Status> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut response = Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .allow_obsolete_multiline_headers_in_responses(true)
        .parse_response_with_uninit_headers(&mut response, head, &mut fields);
    let (Ok(Parsed::Complete(_)), Some(code), Some(minor)) = (parsed, response.code, response.version) else {
        return Err(Status::BadGateway);
    };
    let mut said = Said { persist: minor == 1, ..Said::default() };
    for field in &*response.headers {
        said.hear(field)?;
    }
    let follows = match code {
        101 if asked.upgrade => Follows::Tunnel,
        101 => return Err(Status::BadGateway),
        100..=199 => Follows::Head,
        200..=299 if asked.connect => Follows::Tunnel,
        204 | 304 => Follows::Nothing,
        _ if asked.head => Follows::Nothing,
        _ => said.body(),
    };
    // A length beside chunks is an error of the server's (6.3): the client may not read the rest as we do.
    let persist = said.persist
        && !(said.encoded && said.length.is_some())
        && !matches!(follows, Follows::Body(body::Body::UntilClose));
    Ok((follows, persist))
}

#[derive(Default)]
struct Said {
    length: Option<u64>,
    encoded: bool,
    chunked: bool,
    persist: bool,
}

impl Said {
    fn hear(&mut self, field: &Header<'_>) -> Result<(), Status> {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let says = length(field.value).ok_or(Status::BadGateway)?;
            if self.length.is_some_and(|before| before != says) {
                return Err(Status::BadGateway);
            }
            self.length = Some(says);
        } else if is("transfer-encoding") {
            self.encoded = true;
            self.chunked =
                elements(field.value).last().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
        } else if is("connection") {
            for option in elements(field.value) {
                self.persist |= option.eq_ignore_ascii_case(b"keep-alive");
            }
            if elements(field.value).any(|option| option.eq_ignore_ascii_case(b"close")) {
                self.persist = false;
            }
        }
        Ok(())
    }

    const fn body(&self) -> Follows {
        match self.length {
            _ if self.chunked => Follows::Body(body::Body::Chunked(body::Chunks::new(false))),
            _ if self.encoded => Follows::Body(body::Body::UntilClose),
            Some(0) => Follows::Nothing,
            Some(length) => Follows::Body(body::Body::Length(length)),
            None => Follows::Body(body::Body::UntilClose),
        }
    }
}
