//! TLS at the director: TLS in, plain bytes out.
//!
//! - `leg`: the seam to TCP. Two stacks are behind it: the host's, whose sockets the caller has, and ours in user space;
//! - `front`: what clients meet: certificates by name, versions and suites, client certificates, tickets;
//! - `relay`: one client's TLS session and the leg to its server; `http`: what of HTTP/1.1 it has to understand;
//! - `counters`: what the sessions add up to;
//! - `stack`: TCP in user space, on IP frames;
//! - `ca`: the certificate authority that laboratories and first deployments need.
//!
//! No IO and no clock: bytes and times are arguments. Only the provider of cryptography draws its own randomness.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod anybody;
pub mod ca;
mod counters;
mod front;
mod http;
mod leg;
mod provider;
mod relay;
pub mod stack;

pub use anybody::anybody;
pub use counters::{Counter, Counters};
pub use front::{
    Authorities, ClientCertificates, ClientIdentity, Clock, Fingerprint, Front, FrontError, FrontSettings,
    KeyKind, Name, Pair, PairFiles, Profile, Refused, Shown, Source, TicketKeys, TicketTimes, UnknownName,
    Warning,
};
pub use http::{Redirect, RedirectTerms};
pub use leg::Leg;
pub use provider::provider;
pub use relay::{
    Accept, Backend, How, Kept, Next, NoSuchName, Opened, Relay, Scratch, Terms, Timeout, Timeouts, Wanted,
    Who,
};
pub use rustls::KeyLog;
