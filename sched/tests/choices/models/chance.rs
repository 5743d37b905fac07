//! Those that draw lots.

use std::cmp::Ordering;

use sched::{DestKey, Flow};

use super::least::compare;
use super::{Model, Server};

/// Draws from 0 to the sum of the weights.
pub(super) struct Twos;

impl Model for Twos {
    fn pick(&mut self, list: &[Server], flow: &Flow) -> Option<DestKey> {
        let there: Vec<_> = list.iter().filter(|server| server.can_be_chosen()).collect();
        let numbers = there.iter().map(|server| server.weight).sum::<i128>() + 1;
        let [first, second] = lots(flow, numbers).map(|lot| owner(&there, lot));
        better(first?, second?, |server| (server.load(), server.weight))
    }
}

/// Draws from 1 to the sum of the weights.
pub(super) struct P2cLatency;

impl Model for P2cLatency {
    fn pick(&mut self, list: &[Server], flow: &Flow) -> Option<DestKey> {
        let there: Vec<_> = list.iter().filter(|server| server.can_be_chosen()).collect();
        let numbers = there.iter().map(|server| server.weight).sum();
        let [first, second] = lots(flow, numbers).map(|lot| owner(&there, lot + 1));
        let (first, second) = (first?, second?);
        let known = first.handshake.is_some() && second.handshake.is_some();
        let time = |server: &Server| server.handshake.filter(|_| known).unwrap_or(1);
        better(first, second, |server| ((server.load() + 257) * time(server), server.weight))
    }
}

/// The two halves of the flow's random bits, as fractions of so many numbers.
fn lots(flow: &Flow, numbers: i128) -> [i128; 2] {
    let fraction = |half: u64| i128::from(half) * numbers / (1 << 32);
    [fraction(flow.random / (1 << 32)), fraction(flow.random % (1 << 32))]
}

/// Who owns this number, when everybody in turn owns as many as its weight, and the first 0 besides.
fn owner<'a>(there: &[&'a Server], lot: i128) -> Option<&'a Server> {
    let up_to = |i: usize| there[..=i].iter().map(|server| server.weight).sum::<i128>();
    (0..there.len()).find(|i| lot <= up_to(*i)).map(|i| there[i])
}

/// The second only if its quotient is less.
fn better(first: &Server, second: &Server, quotient: impl Fn(&Server) -> (i128, i128)) -> Option<DestKey> {
    let second_wins = compare(quotient(second), quotient(first)) == Ordering::Less;
    Some(if second_wins { second.addr } else { first.addr })
}
