//! Who of a service's servers is in force: those that schedulers may choose from and `ipvsadm -L` lists. The configured
//! settings stay what they are, whatever the control plane makes of a server ([`Fitness`]).

use std::collections::HashMap;
use std::sync::Arc;

use crate::algo::Change;
use crate::dest::Dest;
use crate::model::{DestKey, Fitness, Share};
use crate::ramp::weigh;
use crate::service::Service;

/// Gives a service these servers, and says what that is to its scheduler, change by change. `edited` has other settings
/// than before, or is farther in its slow start.
pub(crate) fn put(service: &mut Service, mut all: Vec<Dest>, edited: Option<DestKey>) -> Vec<Change> {
    let before = Arc::clone(&service.dests);
    let serves_sorry = service.serves_sorry();
    let idle = service.sorry.as_ref().filter(|_| !serves_sorry && inhibits_sorry(service));
    if !serves_sorry && idle.is_none() && all.iter().all(|d| d.fitness.share != Share::Out) {
        weigh(&mut all);
        service.all = all.into();
        service.dests = Arc::clone(&service.all);
    } else {
        let inhibited = Fitness { share: Share::Inhibited, weight: None };
        let mut dests: Vec<_> = match &service.sorry {
            Some(sorry) if serves_sorry => vec![sorry.clone()],
            _ => all.iter().filter(|d| d.fitness.share != Share::Out).cloned().collect(),
        };
        dests.extend(idle.map(|sorry| sorry.fit(inhibited)));
        weigh(&mut dests);
        service.all = all.into();
        service.dests = dests.into();
    }
    changes(&before, &service.dests, edited)
}

fn inhibits_sorry(service: &Service) -> bool {
    service.health.as_ref().is_some_and(|health| health.sorry_inhibit)
}

/// Both lists have the servers that they share in the same order; mostly all but one. Costs what the lists have, however
/// much has changed.
fn changes(before: &[Dest], after: &[Dest], edited: Option<DestKey>) -> Vec<Change> {
    let same = |pair: &(&Dest, &Dest)| Arc::ptr_eq(&pair.0.live, &pair.1.live);
    let head = before.iter().zip(after).take_while(same).count();
    let tails = || before[head..].iter().rev().zip(after[head..].iter().rev());
    let tail = tails().take_while(same).count();
    let gone = &before[head..before.len() - tail];
    let come = &after[head..after.len() - tail];
    let is = |dest: &Dest| Arc::as_ptr(&dest.live);
    let places = |list: &[Dest]| list.iter().enumerate().map(|(i, d)| (is(d), i)).collect::<HashMap<_, _>>();
    let (were, are) = (places(gone), places(come));
    let mut changes = Vec::new();
    let mut previous = before[..head].last();
    for dest in gone {
        if are.contains_key(&is(dest)) {
            previous = Some(dest);
        } else {
            changes.push(Change::Removed { gone: dest.live.key, previous: previous.map(|d| d.live.key) });
        }
    }
    let fresh = come.iter().rev().filter(|dest| !were.contains_key(&is(dest)));
    changes.extend(fresh.map(|dest| Change::Added(dest.live.key)));
    let moved = come.iter().filter_map(|dest| Some((&gone[*were.get(&is(dest))?], dest)));
    let stayed = before.iter().zip(after).take(head).chain(tails().take(tail)).chain(moved);
    let changed = stayed.filter(|(was, is)| edited == Some(is.live.key) || was.weight != is.weight);
    changes.extend(changed.map(|(_, dest)| Change::Edited(dest.live.key)));
    changes
}
