//! A connection, nothing more.
//!
//! The server's kernel answers our SYN, and that is all we want to know. Our own does not acknowledge that at once
//! ([`First::We`]), and so the reset with which we end it arrives in place of the handshake's third packet: there never is
//! a connection, the program on the server does not wake up, and its log says nothing.

use super::asking::{Asking, First};

pub(super) async fn ask(asking: &Asking<'_>) -> Result<(), String> {
    asking.stream(First::We).await.map(drop)
}

#[cfg(test)]
mod tests;
