//! Those that look for the least.

use std::cmp::Ordering;

use sched::{DestKey, Flow};

use super::{Model, Server};

pub(super) struct Lc;

impl Model for Lc {
    fn pick(&mut self, list: &[Server], _flow: &Flow) -> Option<DestKey> {
        first_least(list, |server| (server.load(), 1))
    }
}

pub(super) struct Wlc;

impl Model for Wlc {
    fn pick(&mut self, list: &[Server], _flow: &Flow) -> Option<DestKey> {
        first_least(list, |server| (server.load(), server.weight))
    }
}

pub(super) struct Sed;

impl Model for Sed {
    fn pick(&mut self, list: &[Server], _flow: &Flow) -> Option<DestKey> {
        first_least(list, |server| (server.active + 1, server.weight))
    }
}

pub(super) struct Nq;

impl Model for Nq {
    fn pick(&mut self, list: &[Server], flow: &Flow) -> Option<DestKey> {
        let idle = list.iter().find(|server| server.can_be_chosen() && server.active == 0);
        idle.map(|server| server.addr).or_else(|| Sed.pick(list, flow))
    }
}

/// The first of those whose quotient is the least; quotients are (dividend, divisor).
pub(super) fn first_least(list: &[Server], quotient: impl Fn(&Server) -> (i128, i128)) -> Option<DestKey> {
    let mut there: Vec<_> = list.iter().filter(|server| server.can_be_chosen()).collect();
    // Sorting is stable.
    there.sort_by(|a, b| compare(quotient(a), quotient(b)));
    there.first().map(|server| server.addr)
}

pub(super) fn compare((a, by_a): (i128, i128), (b, by_b): (i128, i128)) -> Ordering {
    (a * by_b).cmp(&(b * by_a))
}
