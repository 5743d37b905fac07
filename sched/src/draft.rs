//! A table in the making. Ops change copies; what snapshots share (scheduler state, counters, availability) is
//! written down as effects, and happens in one go when the result is certain.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use crate::algo::{self, Algorithm, Change};
use crate::dest::{Dest, DestLive};
use crate::force;
use crate::lips::{self, Lips};
use crate::marks::{MarkCounts, MarkLive, Marks};
use crate::model::{
    DestKey, DestSpec, Family, Fitness, ForwardMethod, Health, Initially, Mss, Persistence, SchedFlags,
    ServiceKey, ServiceSpec, Share, TlsFront, Weight, is_host,
};
use crate::op::{Op, OpError};
use crate::ramp::Ramp;
use crate::service::{Service, SvcLive};
use crate::shards::Shards;
use crate::trash::{Returned, Trash};

type Services = Shards<ServiceKey, Arc<Service>>;

pub(crate) struct Draft {
    services: Services,
    marks: Arc<Marks>,
    marks_changed: bool,
    lips: Lips,
    trash: Trash,
    /// Somebody begins a slow start, or was in one when it was edited.
    ramping: bool,
    /// What has yet to be made of the last ops, if those were about fitness.
    fitting: Option<Fitting>,
    effects: Vec<Effect>,
}

/// The servers of one service, of which one after the other is given another fitness. A mass failure takes out thousands at
/// once: the service changes once for all of them, and its scheduler is told once.
struct Fitting {
    key: ServiceKey,
    all: Vec<Dest>,
    places: HashMap<DestKey, usize>,
}

enum Effect {
    DestsChanged(Arc<SvcLive>, Arc<[Dest]>, Vec<Change>),
    ReplaceScheduler(Arc<SvcLive>, Arc<[Dest]>, &'static Algorithm, SchedFlags),
    Available(Arc<DestLive>, bool),
    Thresholds { live: Arc<DestLive>, upper: u32, lower: u32 },
    ZeroService(Arc<SvcLive>),
    ZeroDest(Arc<DestLive>),
    ZeroMark(Arc<MarkLive>),
}

impl Draft {
    pub(crate) fn new(services: &Services, marks: &Arc<Marks>, lips: &Lips, trash: &Trash) -> Self {
        Self {
            services: services.clone(),
            marks: Arc::clone(marks),
            marks_changed: false,
            lips: lips.clone(),
            trash: trash.clone(),
            ramping: false,
            fitting: None,
            effects: Vec::new(),
        }
    }

    /// Applies one op, or refuses it and leaves the draft as it was.
    pub(crate) fn apply(&mut self, op: &Op) -> Result<(), OpError> {
        if !matches!(op, Op::SetFitness { .. }) {
            self.settle_fitness();
        }
        match op {
            Op::AddService { service } => self.add_service(service),
            Op::EditService { service } => self.edit_service(service),
            Op::DelService { key } => self.del_service(key),
            Op::AddDest { key, dest } => self.add_dest(key, dest),
            Op::EditDest { key, dest } => self.edit_dest(key, dest),
            Op::DelDest { key, addr } => self.del_dest(key, addr),
            Op::AddLip { key, lip } => self.add_lip(key.as_ref(), *lip),
            Op::DelLip { key, lip } => self.del_lip(key.as_ref(), *lip),
            Op::SetTls { key, tls } => self.set_tls(key, tls.as_ref()),
            Op::SetHealth { key, health } => self.set_health(key, health.as_ref()),
            Op::SetFitness { key, addr, fitness } => self.set_fitness(key, addr, *fitness),
            Op::SetSorry { key, on } => self.set_sorry(key, *on),
            Op::Flush => self.flush(),
            Op::Zero { key } => self.zero(key.as_ref()),
            Op::AddMark { rule, at, counts } => self.marks().add(rule, *at, *counts),
            Op::DelMark { rule } => self.marks().remove(rule),
            Op::DelMarkAt { family, at } => self.marks().remove_at(*family, *at),
            Op::FlushMarks { family } => {
                self.marks().clear(*family);
                Ok(())
            }
            Op::ZeroMarks { family, at } => self.zero_marks(*family, *at),
        }
    }

    /// Whether some server's weight will have to grow.
    pub(crate) fn is_ramping(&self) -> bool {
        self.ramping
    }

    /// Lets the effects happen and hands the new services, rules and local addresses over.
    pub(crate) fn commit(mut self, trash: &mut Trash) -> (Services, Arc<Marks>, Lips) {
        self.settle_fitness();
        if self.marks_changed {
            self.marks().settle();
        }
        for effect in self.effects {
            match effect {
                Effect::DestsChanged(live, dests, changes) => live.dests_changed(&dests, &changes),
                Effect::ReplaceScheduler(live, dests, algorithm, flags) => {
                    live.replace_scheduler(algorithm, flags, &dests);
                }
                Effect::Available(live, yes) => live.set_available(yes),
                Effect::Thresholds { live, upper, lower } => live.set_thresholds(upper, lower),
                Effect::ZeroService(live) => live.stats.zero(),
                Effect::ZeroDest(live) => live.stats.zero(),
                Effect::ZeroMark(live) => live.set(MarkCounts::default()),
            }
        }
        *trash = self.trash;
        (self.services, self.marks, self.lips)
    }

    /// The rules, to be changed.
    fn marks(&mut self) -> &mut Marks {
        self.marks_changed = true;
        Arc::make_mut(&mut self.marks)
    }

    fn zero_marks(&mut self, family: Family, at: Option<usize>) -> Result<(), OpError> {
        let entries = self.marks.entries(family);
        match at {
            Some(at) => {
                let entry = entries.get(at).ok_or(OpError::NoSuchMarkPlace)?;
                self.effects.push(Effect::ZeroMark(Arc::clone(&entry.live)));
            }
            None => {
                self.effects.extend(entries.iter().map(|entry| Effect::ZeroMark(Arc::clone(&entry.live))));
                self.effects.push(Effect::ZeroMark(Arc::clone(self.marks.passed(family))));
            }
        }
        Ok(())
    }

    fn add_service(&mut self, spec: &ServiceSpec) -> Result<(), OpError> {
        if self.services.contains(&spec.key) {
            return Err(OpError::ServiceExists);
        }
        let algorithm = algo::find(&spec.scheduler).ok_or(OpError::NoSuchScheduler)?;
        check_service(spec)?;
        for (i, dest) in spec.dests.iter().enumerate() {
            check_dest(&spec.key, dest)?;
            if spec.dests[..i].iter().any(|d| d.addr == dest.addr) {
                return Err(OpError::DestExists);
            }
        }
        let mut lips = Arc::default();
        for lip in &spec.lips {
            check_lip(Some(&spec.key), *lip)?;
            lips::add(&mut lips, *lip)?;
        }
        let mut service = Service {
            key: spec.key,
            algorithm,
            flags: spec.flags,
            one_packet: spec.one_packet,
            persistence: spec.persistence,
            pe: spec.pe,
            tcp: spec.tcp,
            tls: spec.tls.clone(),
            health: spec.health.clone(),
            lips,
            dests: Arc::new([]),
            all: Arc::new([]),
            sorry: None,
            on_sorry: false,
            live: Arc::new(SvcLive::new(algorithm, spec.flags)),
        };
        check_health(&service, spec.health.as_deref(), &spec.dests)?;
        for dest in &spec.dests {
            self.put_dest(&mut service, dest, Ramp::DONE);
        }
        self.put_sorry(&mut service);
        self.services.insert(spec.key, Arc::new(service));
        Ok(())
    }

    fn edit_service(&mut self, spec: &ServiceSpec) -> Result<(), OpError> {
        let service = self.services.get_mut(&spec.key).ok_or(OpError::NoSuchService)?;
        let algorithm = algo::find(&spec.scheduler).ok_or(OpError::NoSuchScheduler)?;
        check_service(spec)?;
        let service = Arc::make_mut(service);
        // A scheduler without switches keeps its state when somebody sets some, as in the kernel.
        let switched = spec.flags != service.flags && !algorithm.flags.is_empty();
        if algorithm.name != service.algorithm.name || switched {
            if service.all.len() > algorithm.max_dests {
                return Err(OpError::Invalid);
            }
            let (live, dests) = (Arc::clone(&service.live), Arc::clone(&service.dests));
            self.effects.push(Effect::ReplaceScheduler(live, dests, algorithm, spec.flags));
        }
        service.algorithm = algorithm;
        service.flags = spec.flags;
        service.one_packet = spec.one_packet;
        service.persistence = spec.persistence;
        service.pe = spec.pe;
        service.tcp = spec.tcp;
        Ok(())
    }

    fn del_service(&mut self, key: &ServiceKey) -> Result<(), OpError> {
        let service = self.services.remove(key).ok_or(OpError::NoSuchService)?;
        for dest in service.everybody() {
            self.retire(&service, dest);
        }
        Ok(())
    }

    fn add_dest(&mut self, key: &ServiceKey, spec: &DestSpec) -> Result<(), OpError> {
        let service = self.services.get(key).ok_or(OpError::ServiceNotDefined)?;
        check_dest(key, spec)?;
        let sorry = service.sorry.as_ref().is_some_and(|sorry| sorry.live.key == spec.addr);
        if sorry || service.position(&spec.addr).is_some() {
            return Err(OpError::DestExists);
        }
        let mut service = Service::clone(service);
        self.put_dest(&mut service, spec, Ramp::joins(spec));
        self.services.insert(*key, Arc::new(service));
        Ok(())
    }

    fn edit_dest(&mut self, key: &ServiceKey, spec: &DestSpec) -> Result<(), OpError> {
        let service = self.services.get_mut(key).ok_or(OpError::ServiceNotDefined)?;
        check_settings(key, spec)?;
        let i = service.position(&spec.addr).ok_or(OpError::NoSuchDest)?;
        let mut all = service.all.to_vec();
        all[i] = all[i].edited(spec);
        self.effects.push(thresholds(&all[i]));
        self.ramping |= !all[i].ramp.is_done();
        self.effects.extend(change_dests(Arc::make_mut(service), all, Some(spec.addr)));
        Ok(())
    }

    fn del_dest(&mut self, key: &ServiceKey, addr: &DestKey) -> Result<(), OpError> {
        let service = self.services.get_mut(key).ok_or(OpError::ServiceNotDefined)?;
        let i = service.position(addr).ok_or(OpError::NoSuchDest)?;
        let mut all = service.all.to_vec();
        let gone = all.remove(i);
        self.effects.extend(change_dests(Arc::make_mut(service), all, None));
        let service = Arc::clone(service);
        self.retire(&service, &gone);
        Ok(())
    }

    fn add_lip(&mut self, key: Option<&ServiceKey>, lip: IpAddr) -> Result<(), OpError> {
        check_lip(key, lip)?;
        match key {
            None => self.lips.add(lip),
            Some(key) => self.change_lips(key, |lips| lips::add(lips, lip)),
        }
    }

    fn del_lip(&mut self, key: Option<&ServiceKey>, lip: IpAddr) -> Result<(), OpError> {
        match key {
            None => self.lips.remove(lip),
            Some(key) => self.change_lips(key, |lips| lips::remove(lips, lip)),
        }
    }

    fn change_lips(
        &mut self,
        key: &ServiceKey,
        change: impl FnOnce(&mut Arc<[IpAddr]>) -> Result<(), OpError>,
    ) -> Result<(), OpError> {
        let service = self.services.get_mut(key).ok_or(OpError::ServiceNotDefined)?;
        let mut lips = Arc::clone(&service.lips);
        change(&mut lips)?;
        Arc::make_mut(service).lips = lips;
        Ok(())
    }

    fn set_tls(&mut self, key: &ServiceKey, tls: Option<&Arc<TlsFront>>) -> Result<(), OpError> {
        let service = self.services.get_mut(key).ok_or(OpError::ServiceNotDefined)?;
        check_tls(key, tls)?;
        if tls.is_none() && service.tls.is_none() {
            return Err(OpError::NoTls);
        }
        let service = Arc::make_mut(service);
        service.tls = tls.cloned();
        if let Some(tls) = tls {
            let mut all = service.all.to_vec();
            all.iter_mut().chain(&mut service.sorry).for_each(|dest| dest.front(tls));
            self.effects.extend(change_dests(service, all, None));
        }
        Ok(())
    }

    fn set_health(&mut self, key: &ServiceKey, health: Option<&Arc<Health>>) -> Result<(), OpError> {
        let service = self.services.get(key).ok_or(OpError::ServiceNotDefined)?;
        check_health(service, health.map(Arc::as_ref), &service.spec().dests)?;
        let mut service = Service::clone(service);
        service.health = health.cloned();
        self.put_sorry(&mut service);
        self.services.insert(*key, Arc::new(service));
        Ok(())
    }

    fn set_fitness(&mut self, key: &ServiceKey, addr: &DestKey, fitness: Fitness) -> Result<(), OpError> {
        if self.fitting.as_ref().is_none_or(|fitting| fitting.key != *key) {
            self.settle_fitness();
            let service = self.services.get(key).ok_or(OpError::ServiceNotDefined)?;
            let places = service.all.iter().enumerate().map(|(i, dest)| (dest.live.key, i)).collect();
            self.fitting = Some(Fitting { key: *key, all: service.all.to_vec(), places });
        }
        let Some(Fitting { all, places, .. }) = &mut self.fitting else { return Ok(()) };
        let dest = &mut all[*places.get(addr).ok_or(OpError::NoSuchDest)?];
        if fitness.weight.is_some_and(|weight| weight > Weight::MAX) {
            return Err(OpError::OutOfRange);
        }
        *dest = dest.fit(fitness);
        self.ramping |= !dest.ramp.is_done();
        Ok(())
    }

    /// Makes of the service what the ops about its servers' fitness come to.
    fn settle_fitness(&mut self) {
        let Some(Fitting { key, all, .. }) = self.fitting.take() else { return };
        if let Some(service) = self.services.get_mut(&key) {
            self.effects.extend(change_dests(Arc::make_mut(service), all, None));
        }
    }

    fn set_sorry(&mut self, key: &ServiceKey, on: bool) -> Result<(), OpError> {
        let service = self.services.get_mut(key).ok_or(OpError::ServiceNotDefined)?;
        if on && service.sorry.is_none() {
            return Err(OpError::NoSuchDest);
        }
        let service = Arc::make_mut(service);
        service.on_sorry = on;
        let all = service.all.to_vec();
        self.effects.extend(change_dests(service, all, None));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), OpError> {
        self.lips = Lips::default();
        for service in std::mem::take(&mut self.services).values() {
            for dest in service.everybody() {
                self.retire(service, dest);
            }
        }
        Ok(())
    }

    fn zero(&mut self, key: Option<&ServiceKey>) -> Result<(), OpError> {
        let which: Vec<_> = match key {
            Some(key) => vec![self.services.get(key).ok_or(OpError::NoSuchService)?],
            None => self.services.values().collect(),
        };
        for service in which {
            self.effects.push(Effect::ZeroService(Arc::clone(&service.live)));
            let dests = service.everybody();
            self.effects.extend(dests.into_iter().map(|d| Effect::ZeroDest(Arc::clone(&d.live))));
        }
        Ok(())
    }

    /// Puts a server at the head of the list: a new one, or one that was removed from here before.
    fn put_dest(&mut self, service: &mut Service, spec: &DestSpec, ramp: Ramp) {
        let mut dest = self.dest(service, spec, ramp);
        if let Some(health) = service.health.as_ref().filter(|health| health.initially == Initially::Down)
            && !health.checks_of(&spec.addr).is_empty()
        {
            let share = if health.inhibit { Share::Inhibited } else { Share::Out };
            dest = dest.fit(Fitness { share, weight: None });
        }
        self.ramping |= !dest.ramp.is_done();
        let mut all = vec![dest];
        all.extend_from_slice(&service.all);
        self.effects.extend(change_dests(service, all, None));
    }

    /// Has the service the sorry server that its health names.
    fn put_sorry(&mut self, service: &mut Service) {
        let wanted = service.health.as_ref().and_then(|health| health.sorry.clone());
        let before = service.sorry.take();
        service.sorry = match (&before, &wanted) {
            (Some(before), Some(wanted)) if before.live.key == wanted.addr => {
                let edited = before.edited(wanted);
                self.effects.push(thresholds(&edited));
                Some(edited)
            }
            (_, Some(wanted)) => Some(self.dest(service, wanted, Ramp::DONE)),
            (_, None) => None,
        };
        service.on_sorry &= service.sorry.is_some();
        let left = before.filter(|b| wanted.is_none_or(|wanted| wanted.addr != b.live.key));
        let all = service.all.to_vec();
        self.effects.extend(change_dests(service, all, None));
        left.iter().for_each(|dest| self.retire(service, dest));
    }

    /// A server of a service, with its connections and counters if it was there before.
    fn dest(&mut self, service: &Service, spec: &DestSpec, ramp: Ramp) -> Dest {
        let (live, replies, fronted) = match self.trash.take(service.key, &service.live, spec.addr) {
            Some(Returned { live, replies, fronted, foreign }) => {
                if foreign {
                    self.effects.push(Effect::ZeroDest(Arc::clone(&live)));
                }
                self.effects.push(Effect::Available(Arc::clone(&live), true));
                (live, replies, fronted)
            }
            None => (Arc::new(DestLive::new(spec.addr)), false, [].into()),
        };
        let mut dest = Dest::new(spec, live, ramp);
        dest.replies |= replies;
        dest.fronted = fronted;
        service.tls.iter().for_each(|tls| dest.front(tls));
        self.effects.push(thresholds(&dest));
        dest
    }

    fn retire(&mut self, service: &Service, dest: &Dest) {
        self.effects.push(Effect::Available(Arc::clone(&dest.live), false));
        self.trash.put(service.key, &service.live, dest);
    }
}

fn change_dests(service: &mut Service, all: Vec<Dest>, edited: Option<DestKey>) -> Option<Effect> {
    let changes = force::put(service, all, edited);
    if changes.is_empty() {
        return None;
    }
    Some(Effect::DestsChanged(Arc::clone(&service.live), Arc::clone(&service.dests), changes))
}

fn thresholds(dest: &Dest) -> Effect {
    Effect::Thresholds { live: Arc::clone(&dest.live), upper: dest.upper, lower: dest.lower }
}

/// A front that makes sense ([`TlsFront::flaws`]).
fn check_tls(key: &ServiceKey, tls: Option<&Arc<TlsFront>>) -> Result<(), OpError> {
    if tls.is_some_and(|tls| !tls.flaws(key).is_empty()) { Err(OpError::InvalidTls) } else { Ok(()) }
}

/// Health that makes sense ([`Health::is_sound`]). A sorry server is one that might be a server, and is none.
fn check_health(service: &Service, health: Option<&Health>, dests: &[DestSpec]) -> Result<(), OpError> {
    if health.is_some_and(|health| !health.is_sound()) {
        return Err(OpError::InvalidHealth);
    }
    let Some(sorry) = health.and_then(|health| health.sorry.as_ref()) else { return Ok(()) };
    check_dest(&service.key, sorry)?;
    if dests.iter().any(|dest| dest.addr == sorry.addr) { Err(OpError::DestExists) } else { Ok(()) }
}

fn check_service(spec: &ServiceSpec) -> Result<(), OpError> {
    if spec.key.vip().is_some_and(|vip| !is_host(vip)) {
        return Err(OpError::Invalid);
    }
    // The kernel takes it and serves nobody; only ipvsadm refuses.
    if spec.key.l4_port() == Some(0) && spec.persistence.is_none() {
        return Err(OpError::PortZero);
    }
    check_tls(&spec.key, spec.tls.as_ref())?;
    if matches!(spec.tcp.mss, Some(Mss::Bytes(bytes)) if !(Mss::MIN..=Mss::MAX).contains(&bytes)) {
        return Err(OpError::Invalid);
    }
    match spec.persistence {
        Some(Persistence { timeout, mask })
            if mask.family() != spec.key.family() || !(1..=Persistence::MAX_TIMEOUT).contains(&timeout) =>
        {
            Err(OpError::Invalid)
        }
        _ => Ok(()),
    }
}

/// What a new server has to fulfil.
fn check_dest(key: &ServiceKey, spec: &DestSpec) -> Result<(), OpError> {
    check_settings(key, spec)?;
    let unreachable = |addr: Ipv6Addr| addr.is_unicast_link_local() || addr.to_ipv4_mapped().is_some();
    let unreachable = matches!(spec.addr.ip(), IpAddr::V6(addr) if unreachable(addr));
    if !is_host(spec.addr.ip()) || unreachable {
        return Err(OpError::Invalid);
    }
    Ok(())
}

/// What an edited one has to fulfil too: the kernel looks at these first.
fn check_settings(key: &ServiceKey, spec: &DestSpec) -> Result<(), OpError> {
    // A tunnel's outer header has a family of its own.
    let tunnel = matches!(spec.method, ForwardMethod::Tunnel(_));
    if Family::from(spec.addr.ip()) != key.family() && !tunnel {
        return Err(OpError::FamilyMismatch);
    }
    if spec.weight > Weight::MAX || spec.lower > spec.upper {
        return Err(OpError::OutOfRange);
    }
    if spec.upper > i32::MAX as u32 {
        return Err(OpError::Invalid);
    }
    Ok(())
}

fn check_lip(key: Option<&ServiceKey>, lip: IpAddr) -> Result<(), OpError> {
    // Nobody else could answer to these.
    let unreachable = lip.is_loopback() || matches!(lip, IpAddr::V6(lip) if lip.is_unicast_link_local());
    if !is_host(lip) || unreachable {
        return Err(OpError::Invalid);
    }
    match key {
        Some(key) if key.family() != lip.into() => Err(OpError::LipFamilyMismatch),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
