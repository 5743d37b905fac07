//! `p2c-latency`: of two servers drawn at random, in proportion to the weights, the one that would answer sooner.
//!
//! Sooner is: time that a handshake takes on average × (connections + 1) / weight, where an active connection counts
//! as in `wlc` and the one to come as an active one. The time is that from a client's SYN to the server's SYN/ACK,
//! which NAT sees anyway; a refusal counts as a second. Where one of the two has not been measured (a new server; and
//! always for UDP, SCTP, DR and tunnels) both count as equally quick, and what is left is connections per weight.
//!
//! The same server may be drawn twice, so even the slowest of n servers of one weight gets one flow in n², and is
//! measured again.

use super::twos::{account_drawn, at, below, halves, total};
use super::{Algorithm, Flow, Scheduler, load_in_words, product};
use crate::account::Account;
use crate::dest::Dest;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "p2c-latency",
    summary: "power of two choices: the quicker and less loaded of two drawn by weight (not the kernel's)",
    flags: &[],
    max_dests: usize::MAX,
    new: |_| Box::new(TwoLatencies),
};

/// The load of one active connection, which is what the flow will be ([`Dest::load`]).
const ONE: u64 = 257;

#[derive(Clone, Debug)]
struct TwoLatencies;

impl Scheduler for TwoLatencies {
    fn pick(&mut self, dests: &[Dest], flow: &Flow) -> Option<usize> {
        let total = total(dests)?;
        // From 1 to the sum, so that everybody has exactly as many numbers as its weight.
        let [first, second] = halves(flow.random).map(|bits| at(dests, below(bits, total) + 1));
        let (first, second) = (first?, second?);
        Some(if sooner(&dests[second], &dests[first]) { second } else { first })
    }

    fn account(&self, dests: &[Dest], flow: &Flow) -> Account {
        let drawn =
            total(dests).map(|total| halves(flow.random).map(|bits| at(dests, below(bits, total) + 1)));
        let found = self.clone().pick(dests, flow);
        let rule = "of two drawn by weight, the one with the shorter handshake x load per weight";
        account_drawn(rule, dests, drawn, found, |dest| {
            let time =
                dest.live.handshake_us().map_or_else(|| "not measured".into(), |us| format!("{us} us"));
            format!("{time} x ({} + 257) / weight {}", load_in_words(dest), dest.effective.0)
        })
    }
}

/// Whether `a` would answer strictly sooner than `b`.
fn sooner(a: &Dest, b: &Dest) -> bool {
    let times = a.live.handshake_us().zip(b.live.handshake_us());
    let (time_a, time_b) = times.map_or((1, 1), |(a, b)| (a.get(), b.get()));
    // At most 2^41 × 2^31 × 2^32.
    let delay = |dest: &Dest, time: u32, other| product(dest.load() + ONE, other) * u128::from(time);
    delay(a, time_a, b) < delay(b, time_b, a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::testing::Bench;
    use crate::model::Weight;

    /// Bits that draw the first and the last of the list, and the other way round.
    const FIRST_LAST: u64 = u32::MAX as u64;
    const LAST_FIRST: u64 = FIRST_LAST << 32;

    fn both(bench: &mut Bench) -> [char; 2] {
        [FIRST_LAST, LAST_FIRST].map(|bits| bench.pick_with(bits))
    }

    #[test]
    fn everybody_has_as_many_numbers_as_its_weight() {
        let mut bench = Bench::new(&ALGORITHM, &[1, 2, 0, 3]);
        let bits = |n: u64| (n << 32) / 6 + 1;
        let picks: String = (0..6).map(|n| bench.pick_with(bits(n) << 32 | bits(n))).collect();
        assert_eq!(picks, "DDDBBA");
        bench.server('D').live.set_overloaded(true);
        assert_eq!(both(&mut bench), ['B', 'B'], "with nothing to do, the heavier");
        bench.edit('A', 0);
        bench.edit('B', 0);
        assert_eq!(bench.pick_with(0), '-');
    }

    #[test]
    fn the_quicker_until_it_has_too_much_to_do() {
        let mut bench = Bench::new(&ALGORITHM, &[1, 1]);
        assert_eq!(both(&mut bench), ['B', 'A'], "equals");
        bench.server('A').live.count_handshake(1000);
        assert_eq!(both(&mut bench), ['B', 'A'], "one is unknown");
        bench.server('B').live.count_handshake(3000);
        assert_eq!(both(&mut bench), ['A', 'A']);
        bench.set_load('A', 1, 0);
        assert_eq!(both(&mut bench), ['A', 'A'], "2 × 1 ms is sooner than 1 × 3 ms");
        bench.set_load('A', 2, 0);
        assert_eq!(both(&mut bench), ['B', 'A'], "equals again");
        bench.set_load('A', 3, 0);
        assert_eq!(both(&mut bench), ['B', 'B']);
        bench.edit('A', 2);
        assert_eq!(both(&mut bench), ['A', 'A'], "twice the weight, twice the connections");
    }

    #[test]
    fn unmeasured_servers_are_compared_by_load_per_weight() {
        let mut bench = Bench::new(&ALGORITHM, &[1, 3]);
        bench.set_load('A', 0, 300);
        bench.set_load('B', 0, 600);
        assert_eq!(both(&mut bench), ['B', 'B'], "as with UDP, whose flows are never active");
        bench.set_load('B', 0, 1800);
        assert_eq!(both(&mut bench), ['A', 'A']);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let mut bench = Bench::new(&ALGORITHM, &[Weight::MAX.0, Weight::MAX.0]);
        for name in ['A', 'B'] {
            bench.set_load(name, u32::MAX, u32::MAX);
            bench.server(name).live.count_handshake(u32::MAX);
        }
        assert_eq!(both(&mut bench), ['B', 'A']);
        bench.set_load('A', u32::MAX - 1, u32::MAX);
        assert_eq!(both(&mut bench), ['A', 'A']);
    }
}
