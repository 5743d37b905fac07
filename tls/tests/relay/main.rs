//! A relay between a client that speaks TLS and a server that speaks whatever the terms say, all in memory.

#![allow(clippy::unwrap_used)]

mod ends;
mod handshake;
mod http;
mod pressure;
mod property;
mod redirect;
mod upstream;
mod wire;
mod world;
