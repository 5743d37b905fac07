//! A service's servers: who comes, who changes, who goes.

use std::sync::Arc;

use super::{Draft, Effect, valid};
use crate::dest::{Dest, DestLive};
use crate::force;
use crate::model::{DestKey, DestSpec, Fitness, Initially, ServiceKey, Share};
use crate::op::OpError;
use crate::ramp::Ramp;
use crate::service::Service;
use crate::trash::Returned;

impl Draft {
    pub(super) fn add_dest(&mut self, key: &ServiceKey, spec: &DestSpec) -> Result<(), OpError> {
        let service = self.services.get(key).ok_or(OpError::ServiceNotDefined)?;
        valid::dest(key, spec)?;
        let sorry = service.sorry.as_ref().is_some_and(|sorry| sorry.live.key == spec.addr);
        if sorry || service.position(&spec.addr).is_some() {
            return Err(OpError::DestExists);
        }
        let mut service = Service::clone(service);
        self.put_dest(&mut service, spec, Ramp::joins(spec));
        self.services.insert(*key, Arc::new(service));
        Ok(())
    }

    pub(super) fn edit_dest(&mut self, key: &ServiceKey, spec: &DestSpec) -> Result<(), OpError> {
        let service = self.services.get_mut(key).ok_or(OpError::ServiceNotDefined)?;
        valid::settings(key, spec)?;
        let i = service.position(&spec.addr).ok_or(OpError::NoSuchDest)?;
        let mut all = service.all.to_vec();
        all[i] = all[i].edited(spec);
        self.effects.push(thresholds(&all[i]));
        self.ramping |= !all[i].ramp.is_done();
        self.effects.extend(change_dests(Arc::make_mut(service), all, Some(spec.addr)));
        Ok(())
    }

    pub(super) fn del_dest(&mut self, key: &ServiceKey, addr: &DestKey) -> Result<(), OpError> {
        let service = self.services.get_mut(key).ok_or(OpError::ServiceNotDefined)?;
        let i = service.position(addr).ok_or(OpError::NoSuchDest)?;
        let mut all = service.all.to_vec();
        let gone = all.remove(i);
        self.effects.extend(change_dests(Arc::make_mut(service), all, None));
        let service = Arc::clone(service);
        self.retire(&service, &gone);
        Ok(())
    }

    /// Puts a server at the head of the list: a new one, or one that was removed from here before.
    pub(super) fn put_dest(&mut self, service: &mut Service, spec: &DestSpec, ramp: Ramp) {
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

    /// A server of a service, with its connections and counters if it was there before.
    pub(super) fn dest(&mut self, service: &Service, spec: &DestSpec, ramp: Ramp) -> Dest {
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

    pub(super) fn retire(&mut self, service: &Service, dest: &Dest) {
        self.effects.push(Effect::Available(Arc::clone(&dest.live), false));
        self.trash.put(service.key, &service.live, dest);
    }
}

pub(super) fn change_dests(service: &mut Service, all: Vec<Dest>, edited: Option<DestKey>) -> Option<Effect> {
    let changes = force::put(service, all, edited);
    if changes.is_empty() {
        return None;
    }
    Some(Effect::DestsChanged(Arc::clone(&service.live), Arc::clone(&service.dests), changes))
}

pub(super) fn thresholds(dest: &Dest) -> Effect {
    Effect::Thresholds { live: Arc::clone(&dest.live), upper: dest.upper, lower: dest.lower }
}
