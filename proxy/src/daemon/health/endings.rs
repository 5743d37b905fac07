//! Connections of servers that are used no longer: ended as their service wants it. One walk through all connections is
//! for all such servers, whatever dies at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use control::health::Turned;
use engine::Engine;
use sched::{DestLive, OnDown, Proto, ServiceKey};
use tokio::time::Instant;
use tracing::info;

use crate::daemon::walk::{BREATH, STEP};

/// Between two walks.
const PACE: Duration = Duration::from_millis(100);
/// Walks that find nothing until it is over: a worker may still have had the table in which the server was alive.
const WALKS: u8 = 2;

#[derive(Debug, Default)]
pub(super) struct Endings {
    /// By where the server is in memory, which it does not leave meanwhile.
    dead: HashMap<usize, Ending>,
    /// Where in the table the walk goes on.
    at: u32,
    next_look: Option<Instant>,
}

#[derive(Debug)]
struct Ending {
    service: ServiceKey,
    live: Arc<DestLive>,
    how: OnDown,
    ended: usize,
    /// Those of this walk.
    found: usize,
    walks: u8,
    /// It has been there since the walk began.
    whole: bool,
}

impl Endings {
    /// A server is used no longer, or again.
    pub(super) fn turn(&mut self, turned: &Turned) {
        let Turned { service, live, down } = turned;
        live.set_down(down.is_some());
        self.dead.remove(&place(live));
        if let Some(how) = *down {
            let (service, live) = (*service, Arc::clone(live));
            let ending = Ending { service, live, how, ended: 0, found: 0, walks: WALKS, whole: self.at == 0 };
            self.dead.insert(place(&ending.live), ending);
            if self.at == 0 {
                self.next_look = Some(Instant::now());
            }
        }
    }

    pub(super) const fn next_look(&self) -> Option<Instant> {
        self.next_look
    }

    /// Does a step; the workers, who end what it finds, have to be woken.
    pub(super) fn look(&mut self, engine: &Engine, now: Instant) {
        let dead = &mut self.dead;
        // The walk is spared where there is nothing to find.
        let next = if self.at > 0 || dead.values().any(Ending::has_any) {
            let (next, ended) = engine
                .end_connections_from(self.at, STEP, |live| dead.get(&place(live)).map(|ending| ending.how));
            for live in ended {
                dead.entry(place(&live)).and_modify(|ending| ending.found += 1);
            }
            next
        } else {
            None
        };
        self.at = next.unwrap_or(0);
        if next.is_none() {
            self.dead.retain(|_, ending| ending.walked());
        }
        let pause = if next.is_some() { BREATH } else { PACE };
        self.next_look = (next.is_some() || !self.dead.is_empty()).then(|| now + pause);
    }
}

impl Ending {
    fn has_any(&self) -> bool {
        let has_any = self.live.active.load(Relaxed) > 0 || self.live.inactive.load(Relaxed) > 0;
        has_any && (self.how != OnDown::Keep || self.service.proto() != Some(Proto::Tcp))
    }

    /// A walk is over. Whether there is to be another one for it.
    fn walked(&mut self) -> bool {
        let found = std::mem::take(&mut self.found);
        self.ended += found;
        let whole = std::mem::replace(&mut self.whole, true);
        self.walks = match found {
            0 if whole => self.walks - 1,
            0 => self.walks,
            _ => WALKS,
        };
        if self.walks == 0 && self.ended > 0 {
            let (service, server, connections) = (self.service, self.live.key, self.ended);
            info!(%service, %server, connections, "connections of a server that is used no longer were ended");
        }
        self.walks > 0
    }
}

fn place(live: &Arc<DestLive>) -> usize {
    Arc::as_ptr(live).addr()
}
