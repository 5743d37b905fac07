//! FTP byte by byte: what each end is told, who may connect then and where that goes, and the numbers of streams in which
//! what is said gets longer and shorter, again and again.

#![allow(clippy::unwrap_used, reason = "a test crate: a panic is a failure")]

mod active;
mod director;
#[path = "../end_all/mod.rs"]
mod end_all;
mod expected;
#[path = "../foreseen/mod.rs"]
mod foreseen;
mod passive;
mod streams;
mod talk;

use sched::ForwardMethod;

use crate::director::{METHODS, Net, nets};

/// Both families, both methods.
fn for_each(test: impl Fn(&Net, ForwardMethod)) {
    for net in nets() {
        for method in METHODS {
            test(&net, method);
        }
    }
}
