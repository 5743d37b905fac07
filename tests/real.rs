//! `ulvs real`: the real server's side.

mod direct;
mod host;
mod tunnel;
