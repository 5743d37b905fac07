//! Those that prefer the heaviest.

use std::cmp::Reverse;

use sched::{DestKey, Flow};

use super::{Model, Server};

pub(super) struct Fo;

impl Model for Fo {
    fn pick(&mut self, list: &[Server], _flow: &Flow) -> Option<DestKey> {
        first_heaviest(list, |_| true)
    }
}

pub(super) struct Ovf;

impl Model for Ovf {
    fn pick(&mut self, list: &[Server], _flow: &Flow) -> Option<DestKey> {
        first_heaviest(list, |server| server.active <= server.weight)
    }
}

fn first_heaviest(list: &[Server], may: impl Fn(&Server) -> bool) -> Option<DestKey> {
    let mut there: Vec<_> = list.iter().filter(|server| server.can_be_chosen() && may(server)).collect();
    // Sorting is stable.
    there.sort_by_key(|server| Reverse(server.weight));
    there.first().map(|server| server.addr)
}
