//! From one snapshot to the next. What is counted over all services changes by what the edits touch.

use std::collections::{BTreeSet, HashSet};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::{Kinds, OnePacket, ServiceTable};
use crate::copies::Copies;
use crate::draft::Draft;
use crate::marks::{MarkRule, Marks, Prefix};
use crate::model::{Mark, Proto, ServiceKey};
use crate::op::{Op, OpError};
use crate::service::Service;
use crate::shards::Shards;
use crate::trash::Trash;

impl ServiceTable {
    /// Applies all `ops` or none.
    ///
    /// # Errors
    /// The first op that was refused and why. Then nothing has changed, neither `trash` nor any scheduler's state.
    pub fn apply(&self, trash: &mut Trash, ops: &[Op]) -> Result<Self, (usize, OpError)> {
        let mut draft = self.draft(trash);
        for (i, op) in ops.iter().enumerate() {
            draft.apply(op).map_err(|error| (i, error))?;
        }
        Ok(self.next(draft, trash))
    }

    /// Applies those `ops` that can be applied, as a restore does, and reports the others with their index.
    pub fn apply_each(&self, trash: &mut Trash, ops: &[Op]) -> (Self, Vec<(usize, OpError)>) {
        let mut draft = self.draft(trash);
        let refuse = |(i, op)| draft.apply(op).err().map(|error| (i, error));
        let refused = ops.iter().enumerate().filter_map(refuse).collect();
        (self.next(draft, trash), refused)
    }

    /// The same table, in which those services that are `wanted`, and the counters of the rules, are copies.
    pub fn copied(&self, copies: &mut Copies, wanted: impl Fn(&Service) -> bool) -> Self {
        let mut next = Self { marks: Arc::new(self.marks.copied()), ..self.clone() };
        for service in self.services.values().filter(|service| wanted(service)) {
            next.services.insert(service.key, Arc::new(copies.of(service)));
        }
        if !self.one_packet.is_empty() {
            let same = |service: &Arc<Service>| next.services.get(&service.key).map(Arc::clone);
            let one_packet = self.one_packet.iter();
            let copied = one_packet.filter_map(|(key, (service, at))| Some((*key, (same(service)?, *at))));
            next.one_packet = Arc::new(copied.collect());
        }
        next
    }

    /// Whether some server is in its slow start. Then [`ServiceTable::ramp`] is to be called, once a second, say.
    pub fn is_ramping(&self) -> bool {
        self.ramping
    }

    /// Lets servers that are in their slow start come nearer to their weight. `now` is the time since any fixed
    /// moment. `None` if nothing changes.
    pub fn ramp(&self, now: Duration) -> Option<Self> {
        if !self.ramping {
            return None;
        }
        let ramped = self.services.values().filter_map(|service| service.ramp(now));
        let ramped: Vec<_> = ramped.map(Arc::new).collect();
        if ramped.is_empty() && self.services.values().any(|s| s.is_ramping()) {
            return None;
        }
        let mut next = Self { generation: self.generation + 1, ..self.clone() };
        for service in ramped {
            next.services.insert(service.key, service);
        }
        next.ramping = next.services.values().any(|s| s.is_ramping());
        Some(next)
    }

    pub(crate) fn draft(&self, trash: &Trash) -> Draft {
        Draft::new(&self.services, &self.marks, &self.lips, &self.redirects, trash)
    }

    fn next(&self, draft: Draft, trash: &mut Trash) -> Self {
        let ramping = self.ramping || draft.is_ramping();
        let (services, marks, lips, redirects) = draft.commit(trash);
        let mut next = Self { generation: self.generation + 1, ramping, ..self.clone() };
        let mut marks_changed = !Arc::ptr_eq(&self.marks, &marks);
        let mut one_packet_changed = false;
        for (old, new) in changes(&self.services, &services) {
            marks_changed |= old.xor(new).is_some_and(|service| service.key.vip().is_none());
            if let Some(service) = old {
                next.forget(service);
            }
            if let Some(service) = new {
                next.note(service);
            }
            one_packet_changed |= old.into_iter().chain(new).any(|service| service.one_packet);
        }
        if one_packet_changed {
            next.one_packet = Arc::new(one_packet(&services));
        }
        if marks_changed {
            next.marked = Arc::new(marked(&services, &marks));
        }
        if !lips.is_same_as(&self.lips) {
            self.lips.iter().for_each(|lip| next.pooled.discount(&lip));
            lips.iter().for_each(|lip| next.pooled.count(lip));
        }
        Self { services, marks, lips, redirects, ..next }
    }

    fn note(&mut self, service: &Service) {
        self.kinds.add(Kinds::of(&service.key));
        service.key.vip().into_iter().for_each(|vip| self.vips.count(vip));
        service.lips.iter().for_each(|lip| self.pooled.count(*lip));
        service.reply_sources().for_each(|source| self.servers.count(source));
        service.one_way_servers().for_each(|addr| self.one_way.count(addr));
    }

    fn forget(&mut self, service: &Service) {
        self.kinds.subtract(Kinds::of(&service.key));
        service.key.vip().into_iter().for_each(|vip| self.vips.discount(&vip));
        service.lips.iter().for_each(|lip| self.pooled.discount(lip));
        service.reply_sources().for_each(|source| self.servers.discount(&source));
        service.one_way_servers().for_each(|addr| self.one_way.discount(&addr));
    }
}

pub(super) fn changes<'a>(
    old: &'a Shards<ServiceKey, Arc<Service>>,
    new: &'a Shards<ServiceKey, Arc<Service>>,
) -> impl Iterator<Item = (Option<&'a Arc<Service>>, Option<&'a Arc<Service>>)> {
    old.differences(new).filter(|(old, new)| match (old, new) {
        (Some(old), Some(new)) => !Arc::ptr_eq(old, new),
        _ => true,
    })
}

/// The destinations of the rules that mark packets for services.
fn marked(services: &Shards<ServiceKey, Arc<Service>>, marks: &Marks) -> BTreeSet<Prefix> {
    if marks.is_empty() {
        return BTreeSet::new();
    }
    let served: HashSet<_> = services
        .values()
        .filter_map(|service| match service.key {
            ServiceKey::Mark { mark, family } => Some((mark, family)),
            ServiceKey::Addr { .. } => None,
        })
        .collect();
    let for_service = |rule: &MarkRule| match (rule.set.mask, NonZeroU32::new(rule.set.value)) {
        (u32::MAX, mark) => mark.is_some_and(|mark| served.contains(&(Mark(mark), rule.family))),
        _ => served.iter().any(|(mark, family)| *family == rule.family && rule.set.can_make(*mark)),
    };
    marks.rules().filter(|rule| for_service(rule)).filter_map(MarkRule::only_dest).collect()
}

fn one_packet(services: &Shards<ServiceKey, Arc<Service>>) -> OnePacket {
    let mut all = OnePacket::default();
    let mut services: Vec<_> = services.values().filter(|service| service.one_packet).collect();
    services.sort_unstable_by_key(|service| service.key);
    for service in services {
        // Of a mark the VIP cannot be told from an answer.
        let ServiceKey::Addr { proto: Proto::Udp, l4_port, .. } = service.key else { continue };
        // Who has been taken out may still answer what it was asked before.
        for (at, dest) in service.everyone().enumerate().filter(|(_, dest)| dest.method.sees_replies()) {
            let server = dest.live.key;
            let port = if l4_port == 0 || server.port() == 0 { l4_port } else { server.port() };
            all.entry(SocketAddr::new(server.ip(), port)).or_insert_with(|| (Arc::clone(service), at));
        }
    }
    all
}
