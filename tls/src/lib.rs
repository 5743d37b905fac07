//! TLS at the director. So far: the certificate authority that laboratories and first deployments need.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod ca;

pub use ca::{Authority, CaError, Issued};
