//! TLS at the director: TLS in, plain bytes out.
//!
//! - `leg`: the seam to TCP. Two stacks are behind it: the host's, whose sockets the caller has, and ours in user space;
//! - `front`: what clients meet: certificates by name, versions and suites, client certificates, tickets;
//! - `ca`: the certificate authority that laboratories and first deployments need.
//!
//! No IO and no clock: bytes and times are arguments. Only the provider of cryptography draws its own randomness.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod ca;
mod front;
mod leg;
mod provider;

pub use ca::{Authority, CaError, Issued};
pub use front::{
    Authorities, ClientCertificates, ClientIdentity, Clock, Fingerprint, Front, FrontError, FrontSettings,
    KeyKind, Name, Pair, PairFiles, Profile, Refused, Source, TicketKeys, TicketTimes, UnknownName, Warning,
};
pub use leg::Leg;
pub use provider::provider;
