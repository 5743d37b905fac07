//! Fronts: where TLS from clients ends.
//!
//! - `load`: files become what [`tls`] makes a front of;
//! - `served`: what all who serve a front share, and what is swapped when files or settings change;
//! - `fronts`: which fronts there are, by the table of services: the control plane's side;
//! - `host`: threads that serve clients by the host's own TCP.
//!
//! The engine chooses the servers, as for any other connection; [`tls::Relay`] moves the bytes.

mod fronts;
mod host;
mod load;
mod served;

pub(crate) use fronts::Fronts;
pub(crate) use load::check;
