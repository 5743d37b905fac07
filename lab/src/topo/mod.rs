//! Topologies: typed structs with a field for each role, built by a function, drawn by `Display`, gone when dropped.
//!
//! Addresses are from the blocks for documentation (RFC 5737, RFC 3849) and from 10.0.0.0/8; they are the same in
//! every lab, which is harmless: two labs share nothing.

mod container;
mod direct;
mod draw;
mod nat;

pub use self::container::{Confinement, ContainerLab};
pub use self::direct::{DirectLab, DirectOptions};
pub use self::nat::{NatLab, NatOptions, ServerSide, VipPlace};
