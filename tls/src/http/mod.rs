//! HTTP/1.1 as far as a director has to understand it (RFC 9112): where a head ends, where a body ends, who is told
//! about the client.
//!
//! Heads are held until they are complete, up to a limit; bodies stream. One exchange at a time: the next request of a
//! connection is looked at when the response to the one before is complete. What could be read in two ways is refused,
//! because the server might read it in the other one.
//!
//! Never follows a URL, never changes a body, never keeps one.

mod body;
mod exchange;
mod forwarded;
mod gather;
mod page;
mod redirect;
mod request;
mod response;

pub(crate) use exchange::{Ended, Exchange, Scan};
pub(crate) use forwarded::Stamp;
pub(crate) use page::{Status, tls_is_spoken_here};
pub use redirect::{Redirect, RedirectTerms};

/// Fields that a head may have.
const FIELDS: usize = 128;

/// The elements of a field that is a list (RFC 9110, 5.6.1), trimmed.
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// What a `Content-Length` says: digits and nothing else.
fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
