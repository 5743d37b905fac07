//! `lc`: the server with the least load gets the flow; among equals the newest one.

use super::{Algorithm, Flow, Scheduler};
use crate::dest::Dest;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "lc",
    summary: "least connection: the server with the fewest connections",
    new: || Box::new(LeastConnection),
};

#[derive(Debug)]
struct LeastConnection;

impl Scheduler for LeastConnection {
    fn pick(&mut self, dests: &[Dest], _flow: &Flow) -> Option<usize> {
        // `min_by_key` keeps the first of equals, which is the newest.
        let eligible = dests.iter().enumerate().filter(|(_, d)| d.eligible());
        eligible.min_by_key(|(_, d)| d.load()).map(|(i, _)| i)
    }
}
