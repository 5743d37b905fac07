//! `ulvs`: LVS in user space. One binary, whose name on the command line chooses its personality.

mod cli;
mod daemon;
mod decapsulator;
mod doctor;
mod explain;
mod front;
mod pcap;
mod reason;
mod trace;

use std::process::ExitCode;

/// Gives memory back within milliseconds when sessions have gone idle, where the C library keeps what their buffers
/// have used: half as much for an idle session on the userspace stack. (Version 2, whose delay is the shorter one.)
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
