//! What anybody may send: each target is a function of bytes that panics when something that has to hold does not.
//! `make fuzz` searches for such bytes; [`corpus`] holds what is worth trying on every day.

#![allow(clippy::unwrap_used, reason = "a panic is the finding")]

mod input;
mod packet;
mod script;
mod session;

use std::path::{Path, PathBuf};

pub use packet::packet;
pub use script::engine;
pub use session::{Net, Session, nets, packets};

/// The inputs of a target that are kept, in the order of their names.
pub fn corpus(target: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
