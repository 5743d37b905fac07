//! A certificate authority: makes itself, or is one that openssl has made; issues certificates for servers and clients,
//! signs requests, revokes. And says what certificates, requests, keys and lists hold.
//!
//! It never touches a file and has no clock: texts and times are arguments, the caller decides where secrets live. What it
//! issues is never valid for longer than itself, is no authority, and may do no more than it was ordered for, whatever a
//! request asks. Follows RFC 5280 (certificates and lists), RFC 2986 (requests) and, in `index`, the database of `openssl
//! ca`.

mod authority;
mod date;
mod error;
mod index;
mod key;
mod name;
mod note;
mod pem;
mod request;
mod revoke;
mod serial;
pub mod show;
mod subject;

pub use authority::{Authority, Issued, Order, Pair, Usage};
pub use date::Date;
pub use error::CaError;
pub use index::{Entry, Index, Reason, Status};
pub use key::{Key, KeyKind};
pub use name::{BadName, Name};
pub use note::Note;
pub use request::Request;
pub use revoke::Crl;
pub use subject::Subject;

#[cfg(test)]
mod tests;
