//! What follows from an answer.

use std::sync::Arc;

use sched::{DestKey, DestLive, OnDown, Op, ServiceKey};

use super::super::event::{Event, Told};

/// What is to be done now. What is so in the table already is not asked for.
#[derive(Debug, Default)]
pub struct Effects {
    /// Edits of the table.
    pub ops: Vec<Op>,
    /// Servers that have died, or come back.
    pub turned: Vec<Turned>,
    /// What has happened.
    pub events: Vec<Event>,
    /// Commands that are to be told.
    pub told: Vec<Told>,
    /// States that have changed, in words; none for a server that is looked after no longer.
    pub words: Vec<(ServiceKey, DestKey, Option<String>)>,
}

/// A server that is used no longer, or again.
#[derive(Debug)]
pub struct Turned {
    /// In which service.
    pub service: ServiceKey,
    /// Which.
    pub live: Arc<DestLive>,
    /// It is used no longer, and this becomes of its connections.
    pub down: Option<OnDown>,
}

impl Effects {
    /// Those, and then these.
    pub fn extend(&mut self, other: Self) {
        self.ops.extend(other.ops);
        self.turned.extend(other.turned);
        self.events.extend(other.events);
        self.told.extend(other.told);
        self.words.extend(other.words);
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        let Self { ops, turned, events, told, words } = self;
        ops.is_empty() && turned.is_empty() && events.is_empty() && told.is_empty() && words.is_empty()
    }
}
