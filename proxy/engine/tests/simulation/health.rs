//! Servers that die and come back, a sorry server that stands in for them, and what clients meet at each, as the shadow
//! has it.

use std::net::SocketAddr;
use std::sync::Arc;

use engine::State;
use sched::{DestSpec, Direction, Fitness, Health, Met, OnDown, Op, Proto, ServiceKey, Share, Weight};
use wire::packet::TcpFlags;

use crate::around::some_service;
use crate::cast::{host, method, server_of, some_flow};
use crate::model::{Dest, Flow, FlowKey, Model, Service};
use crate::traffic::{segment, send};
use crate::world::World;

/// What clients have met at a server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Encounters {
    met: Met,
    /// Packets that it had sent when a datagram was refused last.
    heard: u64,
    /// Those that it sent before its counters were zeroed last.
    before: u64,
}

impl Encounters {
    fn answered(&mut self) {
        self.met.answered += 1;
        self.met.in_a_row = 0;
    }

    fn refused(&mut self, certain: bool) {
        self.met.refused += 1;
        self.met.in_a_row += u32::from(certain);
    }

    fn unanswered(&mut self, certain: bool) {
        self.met.unanswered += 1;
        self.met.in_a_row += u32::from(certain);
    }
}

pub(crate) const fn is_opening(state: State) -> bool {
    matches!(state, State::None | State::SynRecv | State::SynAck | State::Init1 | State::Init)
}

/// A segment has moved a flow on from a state: has somebody asked, or answered?
pub(crate) fn shake(
    flow: &mut Flow,
    at: &mut Encounters,
    direction: Direction,
    flags: TcpFlags,
    from: State,
    now: u64,
) {
    let past_us = !flow.way.method.sees_replies();
    if past_us && is_opening(from) && flow.state == State::Established && flow.asked.take().is_some() {
        at.answered();
    }
    let syn = flags.syn() && !flags.rst();
    match direction {
        Direction::In if syn && is_opening(flow.state) => {
            let answered = flow.server_end.has_answered(&flow.client_end);
            match &mut flow.asked {
                _ if answered => {}
                asked @ None => *asked = Some((now, false)),
                Some((since, told)) if !*told && now - *since >= 200 => {
                    *told = true;
                    at.unanswered(!past_us);
                }
                Some(_) => {}
            }
        }
        Direction::Out if syn || flags.rst() => match flow.asked.take() {
            Some(_) if syn => at.answered(),
            Some(_) => at.refused(true),
            None => {}
        },
        Direction::In | Direction::Out => {}
    }
}

impl Service {
    /// All its servers, in force or not.
    pub(crate) fn everyone(&self) -> impl Iterator<Item = usize> {
        self.dests.iter().copied().chain(self.sorry)
    }

    /// The weight that a server has here, if it is in force.
    pub(crate) fn weight_in(&self, dests: &[Dest], dest: usize) -> Option<u32> {
        if Some(dest) == self.sorry {
            let idle = self.sorry_inhibit.then_some(0);
            return if self.on_sorry { Some(dests[dest].weight) } else { idle };
        }
        let serves = !(self.on_sorry && self.sorry.is_some()) && dests[dest].share != Share::Out;
        (serves && self.dests.contains(&dest)).then(|| dests[dest].weight)
    }
}

impl Dest {
    /// Its counters begin anew; what it has done stays done.
    pub(crate) fn zero(&mut self) {
        self.encounters.before += std::mem::take(&mut self.counts).out_packets;
    }

    pub(crate) fn edit(&mut self, spec: &DestSpec) {
        (self.configured, self.method) = (spec.weight.0, spec.method);
        self.replies |= spec.method.sees_replies();
        self.weigh();
    }

    pub(crate) fn weigh(&mut self) {
        let inhibited = self.share == Share::Inhibited;
        self.weight = if inhibited { 0 } else { self.other_weight.unwrap_or(self.configured) };
    }
}

impl Model {
    pub(crate) fn set_health(&mut self, key: ServiceKey, health: Option<&Health>) {
        let before = self.services[&key].sorry;
        let wanted = health.and_then(|health| health.sorry.as_ref());
        let after = wanted.map(|spec| match before.filter(|dest| self.dests[*dest].addr == spec.addr) {
            Some(same) => {
                self.dests[same].edit(spec);
                same
            }
            None => self.join(key, spec),
        });
        let service = self.services.get_mut(&key).expect("a legal edit");
        service.sorry = after;
        service.sorry_inhibit = health.is_some_and(|health| health.sorry_inhibit);
        service.on_sorry &= after.is_some();
        if let Some(before) = before.filter(|before| Some(*before) != after) {
            self.retire(key, before);
        }
    }

    /// Somebody says that what a client has sent finds nobody.
    pub(crate) fn finds_nobody(&mut self, key: FlowKey) {
        let flow = self.flows.get_mut(&key).expect("the flow");
        let dest = &mut self.dests[flow.way.dest];
        let hearsay = !flow.way.method.sees_replies();
        let refused = match key.0 {
            Proto::Udp if hearsay => true,
            Proto::Tcp => flow.asked.take().is_some(),
            Proto::Udp => {
                let heard = dest.encounters.before + dest.counts.out_packets;
                if heard > std::mem::replace(&mut dest.encounters.heard, heard) + 1 {
                    dest.encounters.met.in_a_row = 0;
                }
                true
            }
            Proto::Sctp => false,
        };
        if refused {
            dest.encounters.refused(!hearsay);
            self.happened("found nobody");
        }
    }

    /// A flow's time is over. Where it may have been let go instead, the engine knows.
    pub(crate) fn given_up(&mut self, key: FlowKey, let_go: bool) {
        let flow = &self.flows[&key];
        let waits =
            matches!(flow.state, State::SynRecv | State::SynAck) && flow.asked.is_some_and(|(_, told)| !told);
        let dest = &mut self.dests[flow.way.dest];
        let real = dest.live.as_ref().expect("known").met();
        if !waits || let_go && real.unanswered == dest.encounters.met.unanswered {
            return;
        }
        dest.encounters.unanswered(flow.way.method.sees_replies());
        if let_go {
            dest.encounters.met.in_a_row = real.in_a_row;
        }
        self.happened("given up with no answer");
    }

    pub(crate) fn compare_met(&self) {
        for dest in &self.dests {
            let live = dest.live.as_ref().expect("known since the last edit");
            assert_eq!(live.met(), dest.encounters.met, "what clients have met at {}", dest.addr);
            assert_eq!(live.is_down(), dest.down, "{} is down", dest.addr);
        }
    }
}

/// One of the servers that a service is configured with, often one that is busy.
fn some_dest(world: &mut World) -> Option<(ServiceKey, usize)> {
    let flow = some_flow(world).filter(|_| world.rng.one_in(2));
    if let Some(dest) = flow.map(|key| world.model.flows[&key].way.dest) {
        let mut services = world.model.services.iter();
        return services.find(|(_, service)| service.dests.contains(&dest)).map(|(key, _)| (*key, dest));
    }
    let key = some_service(world)?;
    let dests = &world.model.services[&key].dests;
    let n = dests.len() as u64;
    (n > 0).then(|| (key, dests[world.rng.below(n) as usize]))
}

/// A server is found dead, or alive again, and its flows go.
pub(crate) fn a_server_dies_or_returns(world: &mut World) {
    let Some((key, dest)) = some_dest(world) else { return };
    let share = *world.rng.pick(&[Share::In, Share::In, Share::Inhibited, Share::Out, Share::Out]);
    let weight = world.rng.one_in(4).then(|| Weight(*world.rng.pick(&[0, 1, 5])));
    let addr = world.model.dests[dest].addr;
    world.edit(&[Op::SetFitness { key, addr, fitness: Fitness { share, weight } }]);
    let dead = share != Share::In;
    let known = dead && !world.rng.one_in(4);
    world.set_down(dest, known);
    if dead && world.rng.one_in(3) {
        let how = *world.rng.pick(&[OnDown::Reset, OnDown::Move, OnDown::Keep]);
        return world.end_flows(Some((dest, how)));
    }
    // A client that waits for it asks again.
    let waits = |(key, flow): &(&FlowKey, &Flow)| {
        key.0 == Proto::Tcp && flow.way.dest == dest && is_opening(flow.state)
    };
    if let Some((proto, client, vip)) = world.model.flows.iter().find(waits).map(|(key, _)| *key) {
        let again = segment(world, proto, client, vip, TcpFlags::SYN);
        send(world, &again);
    }
}

/// The service gets a sorry server, which begins to serve and ends, or is gone.
pub(crate) fn the_sorry_server_is_needed_or_not(world: &mut World) {
    let Some(key) = some_service(world) else { return };
    let service = &world.model.services[&key];
    if service.sorry.is_some() && !world.rng.one_in(6) {
        let on = !service.on_sorry;
        return world.edit(&[Op::SetSorry { key, on }]);
    }
    let sorry = world.rng.one_in(2).then(|| {
        let server = server_of(world, key);
        let n = 3 + world.rng.below(2);
        let addr = SocketAddr::new(host(server.is_ipv4(), 3, n), server.port());
        DestSpec { method: method(world, key, addr), ..DestSpec::new(addr) }
    });
    let health = Health { sorry, sorry_inhibit: world.rng.one_in(2), ..Health::default() };
    world.edit(&[Op::SetHealth { key, health: Some(Arc::new(health)) }]);
}
