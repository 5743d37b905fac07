//! Which servers are alive: what they are asked, what is made of their answers, and what follows.
//!
//! [`machine`]: one check of one server; [`server`]: all that is known of a server; [`roster`]: all services, with quorum,
//! sorry server and panic. These are pure: times are arguments, what follows is returned as [`Effects`]. [`probe`] asks a
//! question; [`command`] is how commands are run; [`prober`] is the loop that asks them all, on a thread of its own.

pub mod command;
mod event;
pub mod machine;
pub mod probe;
pub mod prober;
pub mod roster;
pub mod server;

pub use event::{Event, EventKind, Told};
pub use roster::{CheckId, Due, Effects, Roster, Turned};
pub use server::Hand;
