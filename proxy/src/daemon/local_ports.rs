//! Says so before the ports of a local address run out (FullNAT), and where there are none from the beginning.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, PortsInUse};
use sched::{ClientIdentity, ForwardMethod, Proto, Service, ServiceTable, TlsFront, TlsStack};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

/// How often they are counted.
const PERIOD: Duration = Duration::from_secs(5);
/// Per cent taken from which on it is told, and below which it is over.
const HIGH: usize = 90;
const LOW: usize = 80;

/// One line if a service has servers behind FullNAT and no port to speak with them from: all its local addresses are the
/// host's own, which has left none of the range to us.
pub(super) fn notices(
    table: &ServiceTable,
    none_of_the_hosts: bool,
    is_local: impl Fn(IpAddr) -> bool,
) -> Vec<String> {
    let without = |service: &&Arc<Service>| {
        let fullnat = service.everyone().any(|dest| dest.method == ForwardMethod::FullNat);
        let ours = |front: &Arc<TlsFront>| {
            front.stack == TlsStack::Userspace && front.identity != ClientIdentity::Transparent
        };
        (fullnat || service.tls.as_ref().is_some_and(ours))
            && table.lips_of(service).iter().all(|lip| is_local(*lip))
    };
    let service = table.services().filter(|_| none_of_the_hosts).find(without);
    let line = |service: &Arc<Service>| {
        format!(
            "{} has servers behind FullNAT, or a front in user space, and no port to speak from: all from ulvs.lip_port_first to \
             ulvs.lip_port_last are the host's own (net.ipv4.ip_local_port_range, ip_local_reserved_ports); change one of \
             the two, or give it addresses that are nobody's (ipvsadm -P)",
            service.key
        )
    };
    service.map(line).into_iter().collect()
}

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
    let PortsInUse { proto, lip, server, all, .. } = pool;
    let (name, busy) = (proto.name(), busy(pool));
    format!(
        "{busy} of the {all} {name} ports of {lip} towards {server} are taken; with all of them new connections to it \
         are dropped as ports-exhausted, unless there are other local addresses: add some (`ipvsadm -P`), or servers"
    )
}

/// Ports that nobody else can have.
const fn busy(pool: &PortsInUse) -> usize {
    pool.taken - pool.resting
}

/// The pools that are nearly exhausted.
#[derive(Debug, Default)]
struct Alarm(HashSet<(Proto, IpAddr, SocketAddr)>);

impl Alarm {
    /// Whether a pool has just become nearly exhausted, or has just ceased to be.
    fn hears(&mut self, pool: &PortsInUse) -> Option<bool> {
        let key = (pool.proto, pool.lip, pool.server);
        let busy = busy(pool);
        if busy * 100 >= pool.all * HIGH {
            return self.0.insert(key).then_some(true);
        }
        (busy * 100 < pool.all * LOW && self.0.remove(&key)).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use sched::{DestSpec, Op, ServiceKey, ServiceSpec, Trash};

    use super::*;

    #[test]
    fn a_service_that_has_no_port_at_all_is_named() {
        let key = ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap());
        let dest =
            DestSpec { method: ForwardMethod::FullNat, ..DestSpec::new("10.0.0.2:80".parse().unwrap()) };
        let service = ServiceSpec { dests: vec![dest], ..ServiceSpec::new(key, "rr") };
        let mut trash = Trash::default();
        let table = ServiceTable::default().apply(&mut trash, &[Op::AddService { service }]).unwrap();
        assert_eq!(notices(&table, false, |_| true), Vec::<String>::new());
        assert!(
            notices(&table, true, |_| false)[0].starts_with("TCP 10.0.0.1:80 has servers behind FullNAT")
        );
        let lip = [10, 0, 0, 9].into();
        let table = table.apply(&mut trash, &[Op::AddLip { key: None, lip }]).unwrap();
        assert_eq!(notices(&table, true, |_| false), Vec::<String>::new(), "nobody's");
        assert_eq!(notices(&table, true, |addr| addr == lip).len(), 1, "the host's own");
    }

    #[test]
    fn it_is_told_once_and_again_after_it_was_over() {
        let mut alarm = Alarm::default();
        let mut hears = |taken: usize, port| {
            let server = SocketAddr::new([10, 0, 0, 2].into(), port);
            alarm.hears(&PortsInUse {
                proto: Proto::Tcp,
                lip: [10, 0, 0, 1].into(),
                server,
                taken: taken + 50,
                resting: 50,
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
