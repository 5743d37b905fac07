//! Raw system calls behind safe functions. Nothing here keeps state or takes a decision; each `unsafe` block says
//! why it is sound.
#![allow(unsafe_code)]

pub(crate) mod anycast;
pub(crate) mod batch;
pub(crate) mod netns;
pub(crate) mod packet;
pub(crate) mod process;
pub(crate) mod questions;
pub(crate) mod ring;
pub(crate) mod socket;
pub(crate) mod tun;
