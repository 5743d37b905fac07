//! Says so before the ports of a local address run out (FullNAT).

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, PortsInUse};
use sched::Proto;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

/// How often they are counted.
const PERIOD: Duration = Duration::from_secs(5);
/// Per cent taken from which on it is told, and below which it is over.
const HIGH: usize = 90;
const LOW: usize = 80;

/// Counts now and then, for as long as the engine runs.
pub(super) async fn watch(engine: Arc<Engine>) {
    let mut tick = interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut alarm = Alarm::default();
    loop {
        tick.tick().await;
        engine.local_ports_in_use(|pool| match alarm.hears(&pool) {
            Some(true) => warn!("{}", describe(&pool)),
            Some(false) => info!("{}", describe(&pool)),
            None => {}
        });
    }
}

fn describe(pool: &PortsInUse) -> String {
    let PortsInUse { proto, lip, server, taken, all, refused: _ } = pool;
    let name = proto.name();
    format!(
        "{taken} of the {all} {name} ports of {lip} towards {server} are taken; with all of them new connections to it \
         are dropped as ports-exhausted, unless there are other local addresses: add some (`ipvsadm -P`), or servers"
    )
}

/// The pools that are nearly exhausted.
#[derive(Debug, Default)]
struct Alarm(HashSet<(Proto, IpAddr, SocketAddr)>);

impl Alarm {
    /// Whether a pool has just become nearly exhausted, or has just ceased to be.
    fn hears(&mut self, pool: &PortsInUse) -> Option<bool> {
        let key = (pool.proto, pool.lip, pool.server);
        if pool.taken * 100 >= pool.all * HIGH {
            return self.0.insert(key).then_some(true);
        }
        (pool.taken * 100 < pool.all * LOW && self.0.remove(&key)).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_and_again_after_it_was_over() {
        let mut alarm = Alarm::default();
        let mut hears = |taken, port| {
            let server = SocketAddr::new([10, 0, 0, 2].into(), port);
            alarm.hears(&PortsInUse {
                proto: Proto::Tcp,
                lip: [10, 0, 0, 1].into(),
                server,
                taken,
                all: 1000,
                refused: 0,
            })
        };
        assert_eq!(hears(899, 80), None);
        assert_eq!(hears(900, 80), Some(true));
        assert_eq!(hears(1000, 80), None, "known");
        assert_eq!(hears(950, 81), Some(true), "another server");
        assert_eq!(hears(800, 80), None, "not yet");
        assert_eq!(hears(799, 80), Some(false));
        assert_eq!(hears(10, 80), None);
        assert_eq!(hears(900, 80), Some(true));
    }
}
