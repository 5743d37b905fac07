//! What travels over the control socket about single packets. This crate sees none: frames and what is said of them pass
//! through here as text.

use sched::marks::Interface;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// Asks what would become of a packet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainOrder {
    /// The packet from its IP header on, in hexadecimal digits.
    pub packet: String,
    /// It comes straight from a link, so that nobody has taken a hop from it yet.
    #[serde(default)]
    pub by_link: bool,
    /// The device that it is supposed to come in on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Interface>,
    /// The mark that it is supposed to come with; 0 for none.
    #[serde(default)]
    pub mark: u32,
}

/// Asks for the packets to come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceOrder {
    /// Which ones, in the words of `ulvs trace`; empty for all.
    #[serde(default)]
    pub filter: String,
    /// The most in a second; 0 for as many as are usual.
    #[serde(default)]
    pub rate: u32,
    /// Bytes of each packet, before and after; 0 for none.
    #[serde(default)]
    pub snaplen: u32,
}

/// Lines that come as things happen. Who drops it wants no more of them.
pub struct Lines {
    lines: mpsc::Receiver<String>,
    end: Option<Box<dyn FnOnce() + Send>>,
}

impl Lines {
    /// `end` is called when nobody wants any more.
    pub fn new(lines: mpsc::Receiver<String>, end: impl FnOnce() + Send + 'static) -> Self {
        Self { lines, end: Some(Box::new(end)) }
    }

    /// The next one; `None` when there will be none any more.
    pub async fn next(&mut self) -> Option<String> {
        self.lines.recv().await
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }
}

/// All reasons for which packets are dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropList {
    /// In the order of the reasons.
    pub drops: Vec<DropView>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropView {
    /// Its name.
    pub reason: String,
    /// Packets dropped for it since the engine began.
    pub count: u64,
    /// What it means.
    pub meaning: String,
    /// What is usually behind it.
    pub cause: String,
    /// One of the last packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastDrop>,
}

/// A packet that was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDrop {
    /// How long ago, in milliseconds.
    pub ago_ms: u64,
    /// The packet in a line.
    pub packet: String,
}
