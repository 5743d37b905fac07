//! Keeps the rates of `ipvsadm -L --rate` up. Everything is on the control plane's side: the workers' counters are
//! read and nothing else, so packets do not wait. 16,000 services with a server each take some 10 ms of a busy machine
//! every two seconds, in turns of under a millisecond. It goes on while nobody asks, or the first who does would be told
//! nothing; `run_estimation = 0` is for those who never will.

use std::sync::Arc;
use std::time::Duration;

use control::settings::Sysctl;
use engine::Engine;
use sched::Estimator;
use tokio::time::{MissedTickBehavior, interval};

use super::director::InForce;

/// Services that are sampled in one go, before whoever waits for the control plane has a turn.
const CHUNK: usize = 1024;

/// Samples all services and servers every two seconds, unless `run_estimation` is off: then rates stay as they are.
pub(super) async fn keep_up(engine: Arc<Engine>, settings: Arc<InForce>) {
    let mut tick = interval(Duration::from_secs(Estimator::PERIOD_SECS));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if !settings.load().is_on(Sysctl::RunEstimation) {
            continue;
        }
        for (i, service) in engine.services().services().enumerate() {
            service.live.stats.sample();
            service.everyone().for_each(|dest| dest.live.stats.sample());
            if i % CHUNK == CHUNK - 1 {
                tokio::task::yield_now().await;
            }
        }
    }
}
