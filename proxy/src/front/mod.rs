//! Fronts: where TLS from clients ends.
//!
//! - `load`, `make`: files become what [`tls`] makes a front of, and that becomes a front;
//! - `served`: what all who serve a front share, and what is swapped when files or settings change;
//! - `fronts`: which fronts there are, by the table of services: the control plane's side;
//! - `desk`: sessions served by one thread, over either TCP (`tcp` is the seam);
//! - `host`: threads that serve clients by the host's own TCP;
//! - `view`, `words`: fronts for listings, and what is said about them;
//! - `user`: the engine's workers serve them by ours.
//!
//! The engine chooses the servers, as for any other connection; [`tls::Relay`] moves the bytes.

mod desk;
mod fronts;
mod host;
mod load;
mod make;
mod pool;
mod served;
mod session;
mod tcp;
mod timers;
mod user;
mod view;
mod words;

pub(crate) use fronts::Fronts;
pub(crate) use load::check;
pub(crate) use user::{Userspace, userspaces};
pub(crate) use view::Listing;
