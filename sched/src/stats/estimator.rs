//! Rates out of counters, as IPVS estimates them: every two seconds `rate += (sample - rate) / 4`, in fixed point.

use super::{Counts, Rates};

/// The estimate for one set of counters, with the numbers and the rounding of the kernel: flows and packets per second
/// are kept times 2^10, bytes per second times 2^5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimator {
    last: Counts,
    cps: i64,
    in_pps: i64,
    out_pps: i64,
    in_bps: i64,
    out_bps: i64,
}

impl Estimator {
    /// Seconds from one sample to the next. A sample that comes late counts as if it had come in time.
    pub const PERIOD_SECS: u64 = 2;

    /// Takes a sample of the running counters.
    pub fn sample(&mut self, now: Counts) {
        let new = now.since(self.last);
        // Half of the scale: a sample is what two seconds brought.
        approach(&mut self.cps, new.conns << 9);
        approach(&mut self.in_pps, new.in_packets << 9);
        approach(&mut self.out_pps, new.out_packets << 9);
        approach(&mut self.in_bps, new.in_bytes << 4);
        approach(&mut self.out_bps, new.out_bytes << 4);
        self.last = now;
    }

    /// Starts again from nothing (`ipvsadm -Z`).
    pub fn zero(&mut self, now: Counts) {
        *self = Self { last: now, ..Self::default() };
    }

    /// The rates by the latest sample.
    pub const fn rates(&self) -> Rates {
        Rates {
            cps: units(self.cps, 10),
            in_pps: units(self.in_pps, 10),
            out_pps: units(self.out_pps, 10),
            in_bps: units(self.in_bps, 5),
            out_bps: units(self.out_bps, 5),
        }
    }
}

const fn approach(rate: &mut i64, sample: u64) {
    *rate += (sample.cast_signed() - *rate) >> 2;
}

/// Rounded; exactly half goes down.
const fn units(rate: i64, shift: u32) -> u64 {
    ((rate + (1 << (shift - 1)) - 1) >> shift).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `ipvsadm -L --rate --exact` of kernel 6.1 said every two seconds after a burst of 100 flows of one packet,
    /// 100 bytes each, answered by 6 packets of 128 bytes.
    #[test]
    fn a_burst_fades_as_in_the_kernel() {
        const KERNEL: [[u64; 5]; 16] = [
            [12, 12, 1, 1250, 96],
            [9, 9, 1, 937, 72],
            [7, 7, 0, 703, 54],
            [5, 5, 0, 527, 40],
            [4, 4, 0, 395, 30],
            [3, 3, 0, 297, 23],
            [2, 2, 0, 222, 17],
            [2, 2, 0, 167, 13],
            [1, 1, 0, 125, 10],
            [1, 1, 0, 94, 7],
            [1, 1, 0, 70, 5],
            [1, 1, 0, 53, 4],
            [0, 0, 0, 40, 3],
            [0, 0, 0, 30, 2],
            [0, 0, 0, 22, 2],
            [0, 0, 0, 17, 1],
        ];
        let before = Counts { conns: 7, in_packets: 9, out_packets: 1, in_bytes: 5000, out_bytes: 40 };
        let after = Counts { conns: 107, in_packets: 109, out_packets: 7, in_bytes: 15_000, out_bytes: 808 };
        let mut estimator = Estimator::default();
        estimator.zero(before);
        for (i, expected) in KERNEL.into_iter().enumerate() {
            estimator.sample(after);
            let Rates { cps, in_pps, out_pps, in_bps, out_bps } = estimator.rates();
            assert_eq!([cps, in_pps, out_pps, in_bps, out_bps], expected, "after {} samples", i + 1);
        }
    }

    #[test]
    fn a_steady_flow_is_told_as_it_is_and_zeroing_forgets_it() {
        let mut estimator = Estimator::default();
        let mut counts = Counts::default();
        for _ in 0..100 {
            counts.in_packets += 2000;
            counts.in_bytes += 2_000_000_000;
            estimator.sample(counts);
        }
        assert_eq!((estimator.rates().in_pps, estimator.rates().in_bps), (1000, 1_000_000_000));
        estimator.zero(counts);
        assert_eq!(estimator.rates(), Rates::default());
        estimator.sample(counts);
        assert_eq!(estimator.rates(), Rates::default());
    }
}
