//! What `ulvs events` hears.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
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
    heard: RefCell<Heard>,
}

/// What has been read of it: each line once, there may be thousands.
struct Heard {
    file: File,
    /// The last line, which is not whole yet.
    rest: Vec<u8>,
    events: Vec<Event>,
}

impl Events {
    /// Hears everything from now on. What it has heard first is that somebody takes `server` of `service` for alive, and
    /// gives it back.
    pub fn listen(director: &Node, dir: &Path, engine: &Engine<'_>, service: &str, server: &str) -> Self {
        let path = dir.join("events");
        let mut command = director.command(binary());
        let out = File::create(&path).unwrap();
        command.args(["events", "--json"]).stdin(Stdio::null()).stdout(out);
        let heard = Heard { file: File::open(&path).unwrap(), rest: Vec::new(), events: Vec::new() };
        let events = Self { _listener: director.spawn(&mut command).unwrap(), heard: RefCell::new(heard) };
        let heard = || {
            engine.ulvs(&format!("server up --force {service} {server}"));
            engine.ulvs(&format!("server up {service} {server}"));
            (events.all().len() >= 2).then_some(())
        };
        wait_for("somebody who listens", PATIENCE, heard).unwrap();
        events
    }

    pub fn all(&self) -> Vec<Event> {
        self.read(<[Event]>::to_vec)
    }

    /// Those of a kind.
    pub fn of(&self, kind: &str) -> Vec<Event> {
        self.read(|events| events.iter().filter(|event| event.kind == kind).cloned().collect())
    }

    /// How many of a kind are about a server.
    pub fn of_servers(&self, kind: &str) -> usize {
        let is = |event: &&Event| event.kind == kind && event.server.is_some();
        self.read(|events| events.iter().filter(is).count())
    }

    /// Reads on, and looks at all.
    fn read<T>(&self, look: impl FnOnce(&[Event]) -> T) -> T {
        let Heard { file, rest, events } = &mut *self.heard.borrow_mut();
        file.read_to_end(rest).unwrap();
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let event = |line: &[u8]| {
            serde_json::from_slice(line).unwrap_or_else(|e| panic!("{e}: {}", line.escape_ascii()))
        };
        events.extend(rest[..whole].split_inclusive(|byte| *byte == b'\n').map(event));
        rest.drain(..whole);
        look(events)
    }
}
