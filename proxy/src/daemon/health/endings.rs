//! Connections of servers that have died: ended as their service wants it, so many at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use control::health::Turned;
use engine::Engine;
use sched::{DestLive, OnDown, Proto, ServiceKey};
use tokio::time::Instant;
use tracing::info;

/// Between two looks at a server.
const PACE: Duration = Duration::from_millis(100);
/// Connections that are ended at a look.
const BATCH: usize = 100_000;
/// Looks that find nothing until it is over: a worker may still have had the table in which the server was alive.
const LOOKS: u8 = 2;

#[derive(Debug, Default)]
pub(super) struct Endings(Vec<Ending>);

#[derive(Debug)]
struct Ending {
    service: ServiceKey,
    live: Arc<DestLive>,
    how: OnDown,
    ended: usize,
    looks: u8,
    next_look: Instant,
}

impl Endings {
    /// A server has died, or has come back.
    pub(super) fn turn(&mut self, turned: &Turned) {
        let Turned { service, live, down } = turned;
        live.set_down(down.is_some());
        self.0.retain(|ending| !Arc::ptr_eq(&ending.live, live));
        if let Some(how) = *down {
            let (live, next_look) = (Arc::clone(live), Instant::now());
            self.0.push(Ending { service: *service, live, how, ended: 0, looks: LOOKS, next_look });
        }
    }

    pub(super) fn next_look(&self) -> Option<Instant> {
        self.0.iter().map(|ending| ending.next_look).min()
    }

    /// Ends what is due; the workers, who do it, have to be woken.
    pub(super) fn look(&mut self, engine: &Engine, now: Instant) {
        for ending in self.0.iter_mut().filter(|ending| ending.next_look <= now) {
            let ended = ending.end(engine);
            ending.ended += ended;
            ending.looks = if ended == 0 { ending.looks - 1 } else { LOOKS };
            ending.next_look = now + PACE;
            if ending.looks == 0 && ending.ended > 0 {
                let (service, server, connections) = (ending.service, ending.live.key, ending.ended);
                info!(%service, %server, connections, "connections of a dead server were ended");
            }
        }
        self.0.retain(|ending| ending.looks > 0);
    }
}

impl Ending {
    /// How many there were. To look for them takes a walk through all connections, which is spared where there are none.
    fn end(&self, engine: &Engine) -> usize {
        let has_any = self.live.active.load(Relaxed) > 0 || self.live.inactive.load(Relaxed) > 0;
        let ends_any = self.how != OnDown::Keep || self.service.proto() != Some(Proto::Tcp);
        if has_any && ends_any { engine.end_connections_of(&self.live, self.how, BATCH) } else { 0 }
    }
}
