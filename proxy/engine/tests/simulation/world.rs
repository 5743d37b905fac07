//! The engine and its shadow in one world, with one clock.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{DropReason, Engine, HostView, Knobs, Limits, Part, Verdict, Worker};
use sched::marks::{MarkCounts, Match, Prefix, SetMark};
use sched::{MarkRule, OnDown, Op, Path, Proto, Trash};
use wire::frame::{Frame, GsoKind};
use wire::packet::Family;

use crate::cast::{host, own_address};
use crate::check::{self, Chosen, Done};
use crate::end_all::end_all;
use crate::foreseen::foresee;
use crate::model::{Flow, FlowKey, MARK, Model, Reset};
use crate::persist::{self, TemplateKey};
use crate::rng::Rng;

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) model: Model,
    engine: Engine,
    workers: Vec<Worker>,
    trash: Trash,
    /// Resets that nothing has asked for.
    left: Vec<Reset>,
    born: Instant,
    /// Of everything that came out.
    pub(crate) digest: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let max_connections = *rng.pick(&[6, 40, 1000]);
        let workers = 1 + rng.below(3) as usize;
        let born = Instant::now();
        let (engine, workers) = Engine::new(rng.next(), Limits { max_connections }, workers, born);
        let last = *rng.pick(&[7000, 7000, 7001, 8000]);
        let local_ports: Vec<u16> = (7000..=last).collect();
        engine.set_local_ports(&local_ports, &local_ports);
        let (trash, digest) = (Trash::default(), 0xcbf2_9ce4_8422_2325);
        Self {
            rng,
            model: Model::new(max_connections, local_ports, workers.len()),
            engine,
            workers,
            trash,
            left: Vec::new(),
            born,
            digest,
        }
    }

    /// Rules that mark all that goes to the second VIP.
    pub(crate) fn mark(&mut self) {
        let rule = |family| {
            let vip = host(family == sched::Family::Ipv4, 2, 2);
            let all = Prefix::new(vip, if vip.is_ipv4() { 32 } else { 128 }).expect("a host");
            let rule = MarkRule::new(family, SetMark::to(MARK));
            let rule = MarkRule { dest: Some(Match::is(all)), ..rule };
            Op::AddMark { rule, at: None, counts: MarkCounts::default() }
        };
        let ops = [sched::Family::Ipv4, sched::Family::Ipv6].map(rule);
        let table = self.engine.services().apply(&mut self.trash, &ops).expect("legal edits");
        self.engine.set_services(Arc::new(table));
    }

    /// Sends a frame through some worker and has `check` look at what became of it.
    pub(crate) fn process(&mut self, frame: Frame, check: impl FnOnce(&mut Model, &Done<'_>)) {
        let index = self.rng.below(self.workers.len() as u64) as usize;
        self.process_by(index, frame, check);
    }

    /// The same with one worker.
    pub(crate) fn process_by(
        &mut self,
        index: usize,
        mut frame: Frame,
        check: impl FnOnce(&mut Model, &Done<'_>),
    ) {
        let now = self.instant(self.model.now);
        self.model.worker = index;
        let super_packet = frame.offload.gso != GsoKind::None;
        let foreseen = foresee(&self.engine, &self.workers[index], &frame, now, 8);
        let verdict = self.workers[index].process(&mut frame, now);
        self.digest(verdict, &frame);
        let own = self.collect(index);
        foreseen.comes_true(verdict, &frame, &own);

        self.model.counters.super_packets += u64::from(super_packet);
        self.model.verdict(verdict);
        check::checksums(verdict, &frame);
        let engine = &self.engine;
        let chosen = |key| chosen(engine, now, key);
        let template_of = |key| template_of(engine, now, key);
        let done = Done { verdict, frame: &frame, chosen: &chosen, template_of: &template_of };
        check(&mut self.model, &done);
        self.let_go();
        self.compare_resets();
    }

    pub(crate) fn set_knobs(&mut self, knobs: Knobs) {
        self.model.knobs = knobs;
        self.engine.set_knobs(knobs);
    }

    /// The control plane has flows ended whose servers are gone, or all flows of one server.
    pub(crate) fn end_flows(&mut self, of: Option<(usize, OnDown)>) {
        let model = &self.model;
        let knobs = model.knobs;
        let ends = |key: &FlowKey, flow: &Flow| match of {
            Some((dest, how)) => flow.way.dest == dest && (how != OnDown::Keep || key.0 == Proto::Udp),
            None => {
                let wanted = knobs.expire_nodest_conn || (knobs.reset_on_end && key.0 == Proto::Tcp);
                wanted && !model.dests[flow.way.dest].available
            }
        };
        let doomed: Vec<_> =
            model.flows.iter().filter(|(key, flow)| ends(key, flow)).map(|(key, _)| *key).collect();
        let told = of.map_or(knobs.reset_on_end, |(_, how)| how == OnDown::Reset);
        let n = match of {
            Some((dest, how)) => {
                let live = model.dests[dest].live.as_ref().expect("known");
                end_all(&self.engine, live, how)
            }
            None => self.engine.end_orphans_from(0, (u32::MAX, usize::MAX)).1,
        };
        assert_eq!(n, doomed.len(), "flows to be ended");
        // Timers that are due end theirs first, or later: both in the same moment.
        for key in doomed {
            self.model.happened("ended by the control plane");
            if told { self.model.reset(key, true) } else { self.model.end(key) }
        }
        self.advance(0);
    }

    /// Takes the frames that a worker has for nobody's frame.
    fn collect(&mut self, index: usize) -> Vec<Frame> {
        let (mut frame, mut own) = (Frame::new(), Vec::new());
        while let Some(egress) = self.workers[index].next_own(&mut frame) {
            self.digest(Verdict::Reply, &frame);
            check::checksums(Verdict::Reply, &frame);
            self.left.push(check::as_reset(&frame, egress));
            own.push(frame.clone());
        }
        own
    }

    /// The resets that have left are those that should have.
    fn compare_resets(&mut self) {
        self.left.sort_unstable();
        self.model.resets.sort_unstable();
        assert_eq!(self.left, self.model.resets, "resets");
        self.left.clear();
        self.model.resets.clear();
    }

    pub(crate) fn edit(&mut self, ops: &[Op]) {
        let table = self.engine.services().apply(&mut self.trash, ops).expect("legal edits");
        ops.iter().for_each(|op| self.model.apply(op));
        for (key, service) in &self.model.services {
            let real = table.get(key).expect("the same services");
            let weights = service.everyone().filter_map(|index| {
                let weight = service.weight_in(&self.model.dests, index)?;
                Some((self.model.dests[index].addr, weight))
            });
            let mut weights: Vec<_> = weights.collect();
            weights.sort_unstable();
            let real_weights: Vec<_> = real.listed().iter().map(|d| (d.live.key, d.weight.0)).collect();
            assert_eq!(real_weights, weights, "servers in force");
            for index in service.everyone() {
                let dest = &mut self.model.dests[index];
                let real = real.everyone().find(|d| d.live.key == dest.addr).expect("the same servers");
                let path = dest.path;
                let live = dest.live.get_or_insert_with(|| {
                    real.live.set_path(path);
                    Arc::clone(&real.live)
                });
                assert!(Arc::ptr_eq(live, &real.live), "{} came back as another", dest.addr);
            }
        }
        self.engine.set_services(Arc::new(table));
    }

    /// The host has these addresses, and that from which it speaks to servers.
    pub(crate) fn set_host(&mut self, local: impl IntoIterator<Item = IpAddr>, closed: [bool; 2]) {
        self.model.local = local.into_iter().chain([true, false].map(own_address)).collect();
        self.model.closed = closed;
        let mut view = HostView::new(self.model.local.iter().copied());
        for (family, _) in [Family::V4, Family::V6].into_iter().zip(closed).filter(|(_, closed)| *closed) {
            view = view.closed(family);
        }
        self.engine.set_host(view);
    }

    pub(crate) fn set_mtu(&mut self, dest: usize, mtu: u32) {
        let dest = &mut self.model.dests[dest];
        dest.mtu = mtu;
        dest.live.as_ref().expect("known").mtu.store(mtu, std::sync::atomic::Ordering::Relaxed);
    }

    /// The control plane says that a server is dead, or is not.
    pub(crate) fn set_down(&mut self, dest: usize, yes: bool) {
        let dest = &mut self.model.dests[dest];
        dest.down = yes;
        dest.live.as_ref().expect("known").set_down(yes);
    }

    pub(crate) fn set_path(&mut self, dest: usize, path: Option<Path>) {
        let dest = &mut self.model.dests[dest];
        dest.path = path;
        dest.live.as_ref().expect("known").set_path(path);
    }

    /// Time passes while nobody looks at the timers.
    pub(crate) fn sleep(&mut self, millis: u64) {
        self.model.now += millis;
    }

    /// Time passes, and each worker handles its timeouts when it asked to.
    pub(crate) fn advance(&mut self, millis: u64) {
        let target = self.model.now + millis;
        let end = self.instant(target);
        let mut now = self.instant(self.model.now);
        loop {
            let due = |worker: &Worker| worker.poll_timeout().filter(|due| *due <= end);
            let Some((at, next)) =
                (0..self.workers.len()).filter_map(|i| Some((due(&self.workers[i])?, i))).min()
            else {
                break;
            };
            now = now.max(at);
            self.workers[next].handle_timeout(now);
            self.collect(next);
        }
        self.model.now = target;
        self.let_go();
        self.expire();
        self.compare_resets();
    }

    /// What the engine has let go it was right to let go, and what it still holds is as it should be.
    fn expire(&mut self) {
        let (mut held, mut templates) = (std::collections::BTreeMap::new(), Vec::new());
        self.engine.for_each_connection(self.instant(self.model.now), Part::ALL, |conn| {
            if conn.template {
                return templates.push(conn);
            }
            let key = (conn.proto.expect("flows have one"), conn.client, conn.vip);
            let twin = held.insert(key, conn);
            assert!(twin.is_none(), "listed twice: {key:?}");
        });
        let now = self.model.now;
        for (key, conn) in &held {
            let flow = self.model.flows.get(key).unwrap_or_else(|| panic!("{conn:?} should not be there"));
            let left = Duration::from_millis(flow.deadline.saturating_sub(now));
            assert_eq!((conn.dest, conn.state, conn.expires_in), (flow.way.server, flow.state, left));
            assert_eq!(conn.local.unwrap_or(conn.client), flow.way.peer, "{conn:?}");
            assert!(flow.deadline + 1000 > now, "{conn:?} should be gone since {}", flow.deadline);
        }
        let gone = self.model.flows.keys().filter(|key| !held.contains_key(key));
        let mut gone: Vec<_> = gone.copied().collect();
        gone.sort_by_key(|key| self.model.may_be_let_go(*key));
        for key in gone {
            let overdue = self.model.flows[&key].deadline <= now;
            let told = self.model.knobs.reset_on_end && overdue;
            let silent = self.model.resets_of(key).iter().any(|reset| !self.left.contains(reset));
            if self.model.may_be_let_go(key) && (!overdue || (told && silent)) {
                self.model.happened("let go");
                self.model.end(key);
                continue;
            }
            assert!(overdue, "{key:?} went early");
            self.model.happened("expired");
            self.model.given_up(key, self.model.may_be_let_go(key));
            if told {
                self.model.reset(key, true);
            } else {
                self.model.end(key);
            }
        }
        persist::expire(&mut self.model, &templates);
        assert!(self.model.waiting.front().is_none_or(|until| *until > now), "waits for too long");
        if held.is_empty()
            && templates.is_empty()
            && self.workers.iter().all(|worker| worker.poll_timeout().is_none())
        {
            self.model.happened("idle");
        }
    }

    /// Fragments that have waited in vain were let go with the next one, or by a timer.
    fn let_go(&mut self) {
        let model = &mut self.model;
        let lost = model.counters.waiting - self.engine.counters().waiting;
        for _ in 0..lost {
            let until = model.waiting.pop_front().expect("one that waits");
            assert!(until <= model.now, "went early");
            model.counters.dropped[DropReason::FragmentUnclaimed as usize] += 1;
            model.happened(DropReason::FragmentUnclaimed.name());
        }
        model.counters.waiting -= lost;
    }

    /// Everything that can be read is what it should be.
    pub(crate) fn compare(&self) {
        let counters = self.engine.counters();
        assert_eq!(counters, self.model.counters, "counters");
        let drops: u64 = counters.dropped.iter().sum();
        let others =
            counters.transmitted + counters.replied + counters.diverted + counters.passed + counters.waiting;
        assert_eq!(counters.received, others + drops);
        assert_eq!(self.engine.connections_held(), self.model.held(), "connections held");
        assert_eq!(counters.created - counters.expired, self.model.held() as u64);
        self.model.compare_dests();
        self.model.compare_met();
    }

    fn instant(&self, millis: u64) -> Instant {
        self.born + Duration::from_millis(millis)
    }

    fn digest(&mut self, verdict: Verdict, frame: &Frame) {
        let text = format!("{verdict:?} {:?}", frame.offload);
        for byte in text.as_bytes().iter().chain(frame.packet()) {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

fn chosen(engine: &Engine, now: Instant, key: FlowKey) -> Option<Chosen> {
    let mut chosen = None;
    engine.for_each_connection(now, Part::ALL, |conn| {
        if !conn.template && (conn.proto, conn.client, conn.vip) == (Some(key.0), key.1, key.2) {
            chosen = Some((conn.dest, conn.local));
        }
    });
    chosen
}

fn template_of(engine: &Engine, now: Instant, key: TemplateKey) -> Option<SocketAddr> {
    let mut server = None;
    engine.for_each_connection(now, Part::ALL, |conn| {
        if conn.template && (conn.proto, conn.client.ip(), conn.vip) == key {
            server = Some(conn.dest);
        }
    });
    server
}
