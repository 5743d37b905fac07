//! Types of the chunks of SCTP (RFC 9260, section 3.2) that do something to an association.

/// The client begins.
pub const INIT: u8 = 1;
/// The server answers with a cookie.
pub const INIT_ACK: u8 = 2;
/// Over at once.
pub const ABORT: u8 = 6;
/// One side has nothing more to say.
pub const SHUTDOWN: u8 = 7;
/// The other agrees.
pub const SHUTDOWN_ACK: u8 = 8;
/// Something was wrong.
pub const ERROR: u8 = 9;
/// The client shows its cookie.
pub const COOKIE_ECHO: u8 = 10;
/// The server takes it.
pub const COOKIE_ACK: u8 = 11;
/// Over in agreement.
pub const SHUTDOWN_COMPLETE: u8 = 14;
