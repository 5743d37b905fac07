//! TLS at the director: TLS in, plain bytes out.
//!
//! - `leg`: the seam to TCP. Two stacks are behind it: the host's, whose sockets the caller has, and ours in user space;
//! - `ca`: the certificate authority that laboratories and first deployments need.
//!
//! No IO and no clock: bytes and times are arguments. Only the provider of cryptography draws its own randomness.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod ca;
mod leg;

pub use leg::Leg;
