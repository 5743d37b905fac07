//! Packets as bytes. Nothing here does IO, keeps state or panics on any bytes.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod frame;
pub mod vnet;
