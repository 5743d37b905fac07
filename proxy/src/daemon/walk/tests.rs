use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, HostView, Knobs, Limits, Verdict, Worker};
use sched::{DestLive, DestSpec, Op, Path, Proto, ServiceKey, ServiceSpec, Trash, Weight};
use tokio::time::Instant;
use wire::build::tcp;

use super::super::drains::Drains;
use super::super::orphans::Orphans;
use super::STEP;

const VIP: &str = "203.0.113.1:80";
/// Connections of each server.
const EACH: u16 = 100;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn key() -> ServiceKey {
    ServiceKey::addr(Proto::Tcp, at(VIP))
}

/// An engine that has connections of three servers.
struct Busy {
    engine: Engine,
    worker: Worker,
    trash: Trash,
    lives: Vec<Arc<DestLive>>,
    now: Instant,
}

impl Busy {
    fn new() -> Self {
        let now = Instant::now();
        let (engine, mut workers) = Engine::new(3, Limits::default(), 1, now.into());
        engine.set_host(HostView::new([at("10.0.0.1:0").ip()]));
        let dests = ["10.0.0.11:80", "10.0.0.12:80", "10.0.0.13:80"].map(|s| DestSpec::new(at(s))).to_vec();
        let service = ServiceSpec { dests, ..ServiceSpec::new(key(), "rr") };
        let worker = workers.remove(0);
        let mut busy = Self { engine, worker, trash: Trash::default(), lives: Vec::new(), now };
        busy.edit(Op::AddService { service });
        let table = busy.engine.services();
        busy.lives =
            table.get(&key()).unwrap().dests.iter().map(|dest| Arc::clone(&dest.live)).collect::<Vec<_>>();
        for live in &busy.lives {
            let (next_hop, source) = (live.key.ip(), Some(at("10.0.0.1:0").ip()));
            live.set_path(Some(Path { device: 2, next_hop, source }));
        }
        for port in 1001..=1000 + 3 * EACH {
            let mut frame = tcp(("198.51.100.9", port), VIP).syn().frame();
            let verdict = busy.worker.process(&mut frame, now.into());
            assert!(matches!(verdict, Verdict::Transmit(_)), "{verdict:?}");
        }
        assert_eq!(busy.engine.connections_held(), 3 * usize::from(EACH));
        busy
    }

    fn edit(&mut self, op: Op) {
        let table = self.engine.services().apply(&mut self.trash, &[op]).unwrap();
        self.engine.set_services(Arc::new(table));
    }

    fn remove(&mut self, index: usize) {
        self.edit(Op::DelDest { key: key(), addr: self.lives[index].key });
    }

    /// The worker ends what it is told to, no more than a step's.
    fn end(&mut self) {
        let before = self.engine.connections_held();
        self.worker.handle_timeout(self.now.into());
        let ended = before - self.engine.connections_held();
        assert!(ended <= STEP.1, "{ended} in a step");
    }
}

#[test]
fn servers_whose_patience_has_ended_are_emptied_step_by_step_in_one_walk() {
    let mut busy = Busy::new();
    let mut drains = Drains::default();
    for live in &busy.lives[..2] {
        drains.begin(key(), live, Weight(1), Some(busy.now));
    }
    let (mut looks, mut pauses) = (0, 0);
    while let Some(at) = drains.next_look() {
        pauses += usize::from(at.saturating_duration_since(busy.now) > Duration::from_millis(50));
        busy.now = at.max(busy.now);
        drains.look(&busy.engine, busy.now);
        busy.end();
        looks += 1;
        assert!(looks < 1000, "it does not end: {:?}", drains.views());
    }
    assert_eq!(busy.engine.connections_held(), usize::from(EACH));
    assert!(drains.views().iter().all(|view| view.is_empty() && view.reset == u64::from(EACH)));
    assert!(looks > 2 * usize::from(EACH) / STEP.1 && pauses <= 1, "{looks} looks, {pauses} pauses");
}

#[test]
fn connections_of_servers_that_are_removed_meanwhile_are_ended_by_another_walk() {
    let mut busy = Busy::new();
    busy.engine.set_knobs(Knobs { expire_nodest_conn: true, ..Knobs::default() });
    let mut orphans = Orphans::default();
    assert_eq!(orphans.next_look(), None);
    busy.remove(0);
    orphans.expect(busy.now);
    let (mut looks, mut graces) = (0, 0);
    while let Some(at) = orphans.next_look() {
        graces += usize::from(at.saturating_duration_since(busy.now) > Duration::from_millis(500));
        busy.now = at;
        orphans.look(&busy.engine, busy.now);
        busy.end();
        looks += 1;
        if looks == 8 {
            // More than half of the table has been looked at.
            assert!(busy.engine.connections_held() < 3 * usize::from(EACH) - 50);
            busy.remove(1);
            orphans.expect(busy.now);
        }
        assert!(looks < 1000, "it does not end");
    }
    assert_eq!(busy.engine.connections_held(), usize::from(EACH));
    assert!(looks > 2 * usize::from(EACH) / STEP.1 && graces == 2, "{looks} looks, {graces} walks");
}
