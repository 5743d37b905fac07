//! Packets as bytes: one parse that checks the headers, edits that keep every checksum right, and the answers a
//! balancer gives itself. Nothing here does IO, keeps state or panics on any bytes.
//!
//! A [`frame::Frame`] holds a packet and its offload metadata; [`packet::Packet`] is what parsing it found. The
//! functions of [`edit`], [`icmp`] and [`reply`] take both and expect the second to be the parse of the first.

#![forbid(unsafe_code)]
#![warn(clippy::disallowed_methods)]
#![warn(missing_docs)]

pub mod arp;
#[cfg(any(test, feature = "build"))]
pub mod build;
pub mod checksum;
pub mod decap;
pub mod edit;
pub mod encap;
pub mod frame;
pub mod gro;
pub mod gso;
pub mod icmp;
pub mod ndp;
pub mod packet;
pub mod reply;
mod sctp;
pub mod segment;
pub mod tcp;
pub mod vnet;

mod bytes;
