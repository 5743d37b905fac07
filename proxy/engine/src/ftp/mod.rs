//! FTP through address translation (RFC 959, RFC 2428; IPVS: `ip_vs_ftp`): each end tells the other where it waits for a
//! data connection, and what it says has to be true on the other side of us.
//!
//! A connection to port 21 of a VIP by NAT or FullNAT is a control connection, whatever service it belongs to; always, as
//! there is nothing to set. [`Control`] listens to both of its streams. What is named becomes an [`Expected`] data
//! connection, which goes to the same server by the same method; where the other end could not reach what is named, it
//! is told something else in its place, and [`crate::conn::Shifts`] keep the numbers right.
//!
//! - `227`: an address of the server's own becomes the VIP. Any other is what somebody wants clients to be told, and stays.
//! - `227`, `229`: the port stays, unless it is that of another service, or expected of this client already.
//! - `PORT`, `EPRT`: by NAT they stay; by FullNAT the server is told an address and port of ours (LIP).
//!
//! What is heeded is what nobody can misuse to get at others: an address that a client names has to be its own, ports
//! are those from 1024 on (RFC 2577 section 3), and a server's answer has to be one: asked for, and not amid the lines of
//! another reply. A stream that is encrypted (RFC 4217) says nothing.
//!
//! Left alone are lines that are split over segments, and those that come when later ones have come already: who counts
//! those bytes has counted them. What has been replaced once is replaced by the same whenever it comes again, in
//! whatever segments. A super-packet is like any other; a segment has room to grow because [`SPARE`] is taken off what
//! each end may send.

mod control;
mod expected;
mod words;

pub(crate) use control::{Control, Edit};
pub(crate) use expected::{Expected, Expecting};
pub(crate) use words::Named;

/// By so many bytes the segments of a control connection are shorter than what the way takes.
pub(crate) const SPARE: u16 = 64;
