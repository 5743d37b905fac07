//! What health checks make of a service's servers, and the sorry server that stands in for them.

use std::collections::HashMap;
use std::sync::Arc;

use super::dests::{change_dests, thresholds};
use super::{Draft, valid};
use crate::dest::Dest;
use crate::model::{DestKey, Fitness, Health, ServiceKey, Weight};
use crate::op::OpError;
use crate::ramp::Ramp;
use crate::service::Service;

/// The servers of one service, of which one after the other is given another fitness. A mass failure takes out thousands at
/// once: the service changes once for all of them, and its scheduler is told once.
pub(super) struct Fitting {
    key: ServiceKey,
    all: Vec<Dest>,
    places: HashMap<DestKey, usize>,
}

impl Draft {
    pub(super) fn set_health(
        &mut self,
        key: &ServiceKey,
        health: Option<&Arc<Health>>,
    ) -> Result<(), OpError> {
        let service = self.services.get(key).ok_or(OpError::ServiceNotDefined)?;
        valid::health(key, health.map(Arc::as_ref), &service.spec().dests)?;
        let mut service = Service::clone(service);
        service.health = health.cloned();
        self.put_sorry(&mut service);
        self.services.insert(*key, Arc::new(service));
        Ok(())
    }

    pub(super) fn set_fitness(
        &mut self,
        key: &ServiceKey,
        addr: &DestKey,
        fitness: Fitness,
    ) -> Result<(), OpError> {
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
    pub(super) fn settle_fitness(&mut self) {
        let Some(Fitting { key, all, .. }) = self.fitting.take() else { return };
        if let Some(service) = self.services.get_mut(&key) {
            self.effects.extend(change_dests(Arc::make_mut(service), all, None));
        }
    }

    pub(super) fn set_sorry(&mut self, key: &ServiceKey, on: bool) -> Result<(), OpError> {
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

    /// Has the service the sorry server that its health names.
    pub(super) fn put_sorry(&mut self, service: &mut Service) {
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
}
