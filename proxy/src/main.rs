//! `ulvs`: LVS in user space. One binary, whose name on the command line chooses its personality.

mod cli;
mod daemon;
mod decapsulator;
mod front_files;
mod reason;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
