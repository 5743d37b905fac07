//! A TCP server that forgets every connection at once, without a word.

use anyhow::Context as _;
use mio::Interest;
use mio::net::TcpListener;

use super::polled::Polled;
use super::{Counters, count, listen_polled};
use crate::load::forget;
use crate::node::Node;

/// The server's end of [`leave_idle`](crate::load::leave_idle).
#[derive(Debug)]
pub struct Leaver(Polled);

impl Leaver {
    /// Serves on the port, in both families.
    pub fn start(node: &Node, l4_port: u16) -> anyhow::Result<Self> {
        let listener = node
            .run(|| listen_polled(l4_port))?
            .with_context(|| format!("{node} cannot listen on TCP port {l4_port}"))?;
        let serve = |listener: &TcpListener, counters: &Counters| {
            while let Ok((stream, _)) = listener.accept() {
                // One that has been reset meanwhile is gone already.
                if forget(stream.into()).is_ok() {
                    count(&counters.connections, 1);
                }
            }
        };
        Polled::start(node, listener, Interest::READABLE, serve).map(Self)
    }

    /// What it has done so far.
    pub fn counters(&self) -> &Counters {
        self.0.counters()
    }
}
