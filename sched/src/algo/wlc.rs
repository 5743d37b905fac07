//! `wlc`: the server with the least load per weight gets the flow; among equals the newest one.

use super::{Algorithm, Flow, Scheduler};
use crate::dest::Dest;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "wlc",
    summary: "weighted least connection: the fewest connections per weight",
    new: || Box::new(WeightedLeastConnection),
};

#[derive(Debug)]
struct WeightedLeastConnection;

impl Scheduler for WeightedLeastConnection {
    fn pick(&mut self, dests: &[Dest], _flow: &Flow) -> Option<usize> {
        let eligible = dests.iter().enumerate().filter(|(_, d)| d.eligible());
        eligible.reduce(|best, other| if less_loaded(other.1, best.1) { other } else { best }).map(|(i, _)| i)
    }
}

/// Whether `a` has strictly less load per weight than `b`, by cross product: no division, no rounding.
fn less_loaded(a: &Dest, b: &Dest) -> bool {
    product(a.load(), b) < product(b.load(), a)
}

fn product(load: u64, dest: &Dest) -> u128 {
    u128::from(load) * u128::from(dest.weight.0)
}
