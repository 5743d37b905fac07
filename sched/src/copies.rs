//! Copies of what all snapshots share, for whoever wants to see what would happen without making it happen.
//!
//! A copy has the state that choices depend on, and counts traffic from 0. The same original has one copy, so that what
//! is told apart by identity is told apart among copies too.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::dest::{Dest, DestLive};
use crate::service::{Service, SvcLive};

/// Copies, and what they are of.
#[derive(Debug, Default)]
pub struct Copies {
    services: Pairs<SvcLive>,
    dests: Pairs<DestLive>,
}

/// By the address of the original, which is kept so that the address stays its own.
type Pairs<T> = HashMap<*const T, (Arc<T>, Arc<T>), FixedState>;

impl Copies {
    /// The copy of a server's live part.
    pub fn dest(&mut self, live: &Arc<DestLive>) -> Arc<DestLive> {
        copy(&mut self.dests, live, DestLive::copied)
    }

    /// The copy of a service's live part.
    pub fn service(&mut self, live: &Arc<SvcLive>) -> Arc<SvcLive> {
        copy(&mut self.services, live, SvcLive::copied)
    }

    pub(crate) fn of(&mut self, service: &Service) -> Service {
        let mut copied = |dests: &[Dest]| -> Arc<[Dest]> {
            dests.iter().map(|dest| Dest { live: self.dest(&dest.live), ..dest.clone() }).collect()
        };
        let (dests, all) = (copied(&service.dests), copied(&service.all));
        let sorry =
            service.sorry.as_ref().and_then(|sorry| copied(std::slice::from_ref(sorry)).first().cloned());
        Service { dests, all, sorry, live: self.service(&service.live), ..service.clone() }
    }
}

fn copy<T>(pairs: &mut Pairs<T>, original: &Arc<T>, copied: impl FnOnce(&T) -> T) -> Arc<T> {
    let pair = || (Arc::clone(original), Arc::new(copied(original)));
    Arc::clone(&pairs.entry(Arc::as_ptr(original)).or_insert_with(pair).1)
}
