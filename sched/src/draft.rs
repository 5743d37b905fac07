//! A table in the making. Ops change copies; what snapshots share (scheduler state, counters, availability) is
//! written down as effects, and happens in one go when the result is certain.

mod dests;
mod health;
mod valid;

use std::net::IpAddr;
use std::sync::Arc;

use self::dests::change_dests;
use self::health::Fitting;
use crate::algo::{self, Algorithm, Change};
use crate::dest::{Dest, DestLive};
use crate::lips::{self, Lips};
use crate::marks::{MarkCounts, MarkLive, Marks};
use crate::model::{Family, Proto, SchedFlags, ServiceKey, ServiceSpec, TlsFront};
use crate::op::{Op, OpError};
use crate::ramp::Ramp;
use crate::redirects::{self, Redirects};
use crate::service::{Service, SvcLive};
use crate::shards::Shards;
use crate::trash::Trash;

type Services = Shards<ServiceKey, Arc<Service>>;

pub(crate) struct Draft {
    services: Services,
    marks: Arc<Marks>,
    marks_changed: bool,
    lips: Lips,
    redirects: Redirects,
    trash: Trash,
    /// Somebody begins a slow start, or was in one when it was edited.
    ramping: bool,
    /// What has yet to be made of the last ops, if those were about fitness.
    fitting: Option<Fitting>,
    effects: Vec<Effect>,
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
    pub(crate) fn new(
        services: &Services,
        marks: &Arc<Marks>,
        lips: &Lips,
        redirects: &Redirects,
        trash: &Trash,
    ) -> Self {
        Self {
            services: services.clone(),
            marks: Arc::clone(marks),
            marks_changed: false,
            lips: lips.clone(),
            redirects: redirects.clone(),
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

    /// Lets the effects happen and hands the new services, rules, local addresses and redirects over.
    pub(crate) fn commit(mut self, trash: &mut Trash) -> (Services, Arc<Marks>, Lips, Redirects) {
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
        (self.services, self.marks, self.lips, self.redirects)
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
        valid::service(spec)?;
        if let Some(front) = self.redirects.at(&spec.key) {
            return Err(OpError::RedirectAtService { service: spec.key, front });
        }
        self.check_redirect(&spec.key, spec.tls.as_deref())?;
        for (i, dest) in spec.dests.iter().enumerate() {
            valid::dest(&spec.key, dest)?;
            if spec.dests[..i].iter().any(|d| d.addr == dest.addr) {
                return Err(OpError::DestExists);
            }
        }
        let mut lips = Arc::default();
        for lip in &spec.lips {
            valid::lip(Some(&spec.key), *lip)?;
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
        valid::health(&spec.key, spec.health.as_deref(), &spec.dests)?;
        for dest in &spec.dests {
            self.put_dest(&mut service, dest, Ramp::DONE);
        }
        self.put_sorry(&mut service);
        self.redirects.add(&spec.key, spec.tls.as_deref());
        self.services.insert(spec.key, Arc::new(service));
        Ok(())
    }

    fn edit_service(&mut self, spec: &ServiceSpec) -> Result<(), OpError> {
        let service = self.services.get_mut(&spec.key).ok_or(OpError::NoSuchService)?;
        let algorithm = algo::find(&spec.scheduler).ok_or(OpError::NoSuchScheduler)?;
        valid::service(spec)?;
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
        self.redirects.remove(key, service.tls.as_deref());
        for dest in service.everybody() {
            self.retire(&service, dest);
        }
        Ok(())
    }

    fn add_lip(&mut self, key: Option<&ServiceKey>, lip: IpAddr) -> Result<(), OpError> {
        valid::lip(key, lip)?;
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
        let before = self.services.get(key).ok_or(OpError::ServiceNotDefined)?.tls.clone();
        valid::tls(key, tls)?;
        if tls.is_none() && before.is_none() {
            return Err(OpError::NoTls);
        }
        self.check_redirect(key, tls.map(Arc::as_ref))?;
        self.redirects.remove(key, before.as_deref());
        self.redirects.add(key, tls.map(Arc::as_ref));
        let service = Arc::make_mut(self.services.get_mut(key).ok_or(OpError::ServiceNotDefined)?);
        service.tls = tls.cloned();
        if let Some(tls) = tls {
            let mut all = service.all.to_vec();
            all.iter_mut().chain(&mut service.sorry).for_each(|dest| dest.front(tls));
            self.effects.extend(change_dests(service, all, None));
        }
        Ok(())
    }

    /// What comes to the port of a service is for its servers, and not for a front to redirect.
    fn check_redirect(&self, key: &ServiceKey, tls: Option<&TlsFront>) -> Result<(), OpError> {
        let services = redirects::places(key, tls).into_iter().map(|at| ServiceKey::addr(Proto::Tcp, at));
        match services.into_iter().find(|service| self.services.contains(service)) {
            Some(service) => Err(OpError::RedirectAtService { service, front: *key }),
            None => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), OpError> {
        self.lips = Lips::default();
        self.redirects = Redirects::default();
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
}

#[cfg(test)]
mod tests;
