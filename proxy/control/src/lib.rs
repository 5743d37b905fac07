//! Which state should exist: the configuration file, the difference between two states, the control socket.
//!
//! Never sees a packet and never touches the system beyond its socket and the file it is told to read. The daemon
//! implements [`api::Backend`]; command lines use [`api::Blocking`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod api;
pub mod config;
pub mod duration;
pub mod foreign;
pub mod health;
pub mod nearest;
pub mod save;
pub mod settings;
pub mod source;
pub mod state;
