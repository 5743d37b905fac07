//! One end of a TCP connection, whichever stack has it: the seam between TCP and TLS.

use std::io::{Read, Write};

/// A TCP connection to a client or to a server. Neither reading nor writing ever blocks.
///
/// As with a nonblocking socket, [`Read::read`] gives `Ok(0)` when the other end has closed its direction,
/// [`std::io::ErrorKind::WouldBlock`] while nothing has come, and another error, again and again, when the connection
/// is lost. [`Write::write`] takes what there is room for and gives `WouldBlock` when that is nothing.
pub trait Leg: Read + Write {
    /// Says the end of this direction (FIN) after all that was written. Reading goes on.
    fn shutdown(&mut self);

    /// Ends the connection at once (RST). What was written may be lost; the other end learns that something is wrong.
    fn abort(&mut self);
}
