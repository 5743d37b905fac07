//! How frames leave a worker.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use engine::Egress;
use netio::tun::Queue;
use wire::frame::Frame;

use super::PortErrors;

/// Sends a worker's frames, each the way that the engine has said.
pub(super) struct Sender {
    pub(super) errors: Arc<PortErrors>,
}

impl Sender {
    pub(super) fn send(&self, queue: &Queue, frame: &mut Frame, egress: Egress) {
        let sent = match egress {
            Egress::Route => queue.send(frame).is_ok(),
            // No method goes this way yet.
            Egress::Neighbour { .. } => false,
        };
        if !sent {
            self.errors.unsent.fetch_add(1, Relaxed);
        }
    }
}
