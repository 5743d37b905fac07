//! A flood of packets that belong to nothing is not answered by a flood.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{DropReason, Engine, Limits, Verdict};
use sched::{Op, Proto, ServiceKey, ServiceSpec, Trash};
use wire::build;

#[test]
fn refusals_have_a_limit_that_time_lifts() {
    let now = Instant::now();
    let (engine, mut workers) = Engine::new(1, Limits::default(), 1, now);
    let vip = "192.0.2.1:80".parse().expect("an address");
    let service = ServiceSpec::new(ServiceKey::addr(Proto::Tcp, vip), "rr");
    let table = engine.services().apply(&mut Trash::default(), &[Op::AddService { service }]);
    engine.set_services(Arc::new(table.expect("a legal edit")));

    let stray = build::tcp("198.51.100.7:40000", "192.0.2.1:80").ack(1).frame();
    let mut flood = |now, packets: usize| {
        let verdicts = (0..packets).map(|_| workers[0].process(&mut stray.clone(), now));
        verdicts.filter(|verdict| *verdict == Verdict::Reply).count()
    };
    let at_once = flood(now, 3000);
    assert!((100..3000).contains(&at_once), "{at_once} of 3000 were answered");
    assert_eq!(flood(now, 10), 0);
    assert_eq!(engine.counters().dropped(DropReason::RefusalsLimited), 3010 - at_once as u64);
    assert_eq!(flood(now + Duration::from_secs(1), 100), 100, "a second later there is room again");
}
