//! Servers that are being drained: which weight each had, when its patience ends, and what was reset then.
//!
//! A drain lasts until it is undone, or the server is removed or given a weight by somebody: the operator's word is
//! newer than ours. Whoever asked for it may go away meanwhile.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use control::api::DrainView;
use engine::Engine;
use sched::{DestKey, DestLive, OnDown, ServiceKey, ServiceTable, Weight};
use tokio::time::Instant;
use tracing::info;

use super::walk::{BREATH, STEP};

/// Between two walks for servers whose connections are being reset.
const PACE: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(super) struct Drains {
    all: Vec<Drain>,
    /// Where in the table of connections the walk goes on, and when: it is for all servers whose patience has ended.
    at: u32,
    next_step: Option<Instant>,
}

#[derive(Debug)]
struct Drain {
    service: ServiceKey,
    live: Arc<DestLive>,
    weight: Weight,
    deadline: Option<Instant>,
    reset: u64,
    /// When to look at it again: at the deadline, and from then on until it is empty.
    next_look: Option<Instant>,
}

impl Drains {
    /// Begins a drain, or gives one that is there another deadline. `weight` is what the server had.
    pub(super) fn begin(
        &mut self,
        service: ServiceKey,
        live: &Arc<DestLive>,
        weight: Weight,
        deadline: Option<Instant>,
    ) -> DrainView {
        live.set_draining(true);
        let i = self.position(service, live.key).unwrap_or_else(|| {
            let live = Arc::clone(live);
            self.all.push(Drain { service, live, weight, deadline, reset: 0, next_look: None });
            self.all.len() - 1
        });
        let drain = &mut self.all[i];
        (drain.deadline, drain.next_look, drain.reset) = (deadline, deadline, 0);
        drain.view()
    }

    /// Ends a drain; the weight is the caller's business.
    pub(super) fn end(&mut self, service: ServiceKey, server: DestKey) -> Option<DrainView> {
        let drain = self.all.remove(self.position(service, server)?);
        drain.live.set_draining(false);
        Some(drain.view())
    }

    /// Ends those whose server has been removed, or given a weight.
    pub(super) fn heed(&mut self, table: &ServiceTable) {
        self.all.retain(|drain| {
            let service = table.get(&drain.service);
            let dest = service.and_then(|s| s.all.iter().find(|d| Arc::ptr_eq(&d.live, &drain.live)));
            let lasts = dest.is_some_and(|d| d.configured == Weight(0));
            if !lasts {
                drain.live.set_draining(false);
            }
            lasts
        });
    }

    /// When to call [`Drains::look`].
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.next_step.or_else(|| self.all.iter().filter_map(|d| d.next_look).min())
    }

    /// Does a step of having reset what is left where patience has ended; the workers, who do it, have to be woken.
    pub(super) fn look(&mut self, engine: &Engine, now: Instant) {
        let mut over = HashSet::new();
        for drain in self.all.iter_mut().filter(|d| d.next_look.is_some_and(|at| at <= now)) {
            let left = drain.view();
            if left.is_empty() {
                drain.next_look = None;
                continue;
            }
            if drain.reset == 0 {
                drain.reset = left.active + left.inactive;
                let (service, server) = (drain.service, drain.live.key);
                info!(%service, %server, connections = drain.reset, "drain: resetting what is left");
            }
            over.insert(Arc::as_ptr(&drain.live));
        }
        let next = if over.is_empty() {
            None
        } else {
            let reset = |live: &Arc<DestLive>| over.contains(&Arc::as_ptr(live)).then_some(OnDown::Reset);
            engine.end_connections_from(self.at, STEP, reset).0
        };
        (self.at, self.next_step) = (next.unwrap_or(0), next.map(|_| now + BREATH));
        if next.is_none() {
            for drain in self.all.iter_mut().filter(|d| over.contains(&Arc::as_ptr(&d.live))) {
                drain.next_look = Some(now + PACE);
            }
        }
    }

    pub(super) fn views(&self) -> Vec<DrainView> {
        self.all.iter().map(Drain::view).collect()
    }

    fn position(&self, service: ServiceKey, server: DestKey) -> Option<usize> {
        self.all.iter().position(|d| (d.service, d.live.key) == (service, server))
    }
}

impl Drain {
    fn view(&self) -> DrainView {
        let left = self.deadline.and_then(|at| at.checked_duration_since(Instant::now()));
        DrainView {
            service: self.service,
            server: self.live.key,
            weight: self.weight,
            active: self.live.active.load(Relaxed).into(),
            inactive: self.live.inactive.load(Relaxed).into(),
            seconds_left: left.map(|left| left.as_secs_f64().ceil() as u32),
            reset: self.reset,
        }
    }
}

#[cfg(test)]
mod tests {
    use sched::{DestSpec, Op, Proto, ServiceSpec, Trash};

    use super::*;

    fn table(weight: u32) -> (ServiceTable, Op) {
        let key = key();
        let dest = DestSpec { weight: Weight(weight), ..DestSpec::new("192.168.1.1:80".parse().unwrap()) };
        let edit = Op::EditDest { key, dest: dest.clone() };
        let service = ServiceSpec { dests: vec![dest], ..ServiceSpec::new(key, "rr") };
        let add = Op::AddService { service };
        (ServiceTable::default().apply(&mut Trash::default(), &[add]).unwrap(), edit)
    }

    fn key() -> ServiceKey {
        ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap())
    }

    #[test]
    fn a_second_order_moves_the_deadline_and_keeps_the_weight() {
        let (table, _) = table(0);
        let live = &table.get(&key()).unwrap().dests[0].live;
        let mut drains = Drains::default();
        let now = Instant::now();
        assert_eq!(drains.begin(key(), live, Weight(7), None).seconds_left, None);
        assert_eq!(drains.next_look(), None);
        let deadline = now + Duration::from_secs(60);
        let view = drains.begin(key(), live, Weight(0), Some(deadline));
        assert_eq!((view.weight, view.seconds_left), (Weight(7), Some(60)));
        assert_eq!((drains.next_look(), drains.views().len()), (Some(deadline), 1));
        assert!(live.is_draining());
        assert!(drains.end(key(), live.key).is_some() && !live.is_draining());
        assert_eq!(drains.end(key(), live.key), None);
    }

    #[test]
    fn who_edits_or_removes_the_server_ends_the_drain() {
        let (_, edit) = table(5);
        for (op, lasts) in [
            (Op::Zero { key: None }, true),
            (edit, false),
            (Op::DelDest { key: key(), addr: "192.168.1.1:80".parse().unwrap() }, false),
            (Op::Flush, false),
        ] {
            let (table, _) = table(0);
            let live = Arc::clone(&table.get(&key()).unwrap().dests[0].live);
            let mut drains = Drains::default();
            drains.begin(key(), &live, Weight(7), None);
            drains.heed(&table.apply(&mut Trash::default(), std::slice::from_ref(&op)).unwrap());
            assert_eq!((drains.views().len(), live.is_draining()), (usize::from(lasts), lasts), "{op}");
        }
    }
}
