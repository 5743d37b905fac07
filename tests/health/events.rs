//! What `ulvs events` hears.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use lab::node::{Child, Node};
use lab::wait::wait_for;
use serde::Deserialize;

use crate::support::{Engine, PATIENCE, binary};

/// A line.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    pub at_ms: u64,
    pub kind: String,
    /// None, where it is about the whole service.
    pub server: Option<String>,
    pub reason: String,
}

/// All that has been heard so far.
pub struct Events {
    _listener: Child,
    path: PathBuf,
}

impl Events {
    /// Hears everything from now on. What it has heard first is that somebody takes `server` of `service` for alive, and
    /// gives it back.
    pub fn listen(director: &Node, dir: &Path, engine: &Engine<'_>, service: &str, server: &str) -> Self {
        let path = dir.join("events");
        let mut command = director.command(binary());
        let out = std::fs::File::create(&path).unwrap();
        command.args(["events", "--json"]).stdin(Stdio::null()).stdout(out);
        let events = Self { _listener: director.spawn(&mut command).unwrap(), path };
        let heard = || {
            engine.ulvs(&format!("server up --force {service} {server}"));
            engine.ulvs(&format!("server up {service} {server}"));
            (events.all().len() >= 2).then_some(())
        };
        wait_for("somebody who listens", PATIENCE, heard).unwrap();
        events
    }

    pub fn all(&self) -> Vec<Event> {
        let text = std::fs::read_to_string(&self.path).unwrap();
        // The last line may not be whole yet.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    /// Those of a kind.
    pub fn of(&self, kind: &str) -> Vec<Event> {
        self.all().into_iter().filter(|event| event.kind == kind).collect()
    }
}
