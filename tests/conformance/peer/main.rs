//! The traffic of conformance scenarios: one small program for a kernel's IPVS and for ulvs, so that both see the same.
//!
//! `peer serve NAME PORT...` is a server for TCP and UDP that says its name: at once to whoever connects, and for every
//! line and datagram it gets. It prints `ready` when it listens.
//!
//! `peer talk PROBE` reads commands, one a line, and answers each with one line. An address without a port leaves the
//! port to this program, which counts up from 20001. Names are `-` where nobody was there (refused, unreachable) and `?`
//! where nobody answered.
//!
//! ```text
//!   hit N SRC DST          N connections, each closed by both ends before the next: who answered
//!   hold N SRC DST         N connections that stay open: who answered
//!   release NAME N         closes the N oldest held connections of a server
//!   open ID SRC DST        one connection that stays open: who answered
//!   say ID                 sends a line over it: who answered, or `reset`, or `closed`
//!   close ID, reset ID     ends it with FIN or RST
//!   udp SRC DST [TEXT]     a datagram: who answered; the text may have %XX
//!   tcp SRC DST FLAGS [TEXT]   one raw segment; flags are letters of SAFR, the addresses may be anybody's
//!   datagram SRC DST [TEXT]    one raw datagram
//!   sctp SRC DST CHUNK     one raw packet with one chunk of this type (a number)
//! ```
//!
//! After a raw packet a ping to PROBE makes sure that it has arrived there: packets do not overtake each other.

mod raw;
mod serve;
mod talk;

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "a command-line tool")]
fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = args.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["serve", name, ref ports @ ..] => serve::main(name, ports),
        ["talk", probe] => talk::main(probe),
        _ => Err(anyhow::anyhow!("usage: peer serve NAME PORT... | peer talk PROBE")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peer: {error:#}");
            ExitCode::FAILURE
        }
    }
}
