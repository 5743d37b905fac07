//! Latencies in buckets whose width grows with the value: constant memory, constant time, bounded error.

use std::time::Duration;

use super::Latency;

/// Buckets in each power of two, as bits.
const FINE: u32 = 6;

/// A histogram of microseconds, exact to 1/64.
#[derive(Debug)]
pub(super) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; (64 << FINE) as usize], count: 0, max: 0 }
    }
}

impl Histogram {
    pub(super) fn record(&mut self, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)] += 1;
        self.count += 1;
        self.max = self.max.max(micros);
    }

    pub(super) fn summary(&self) -> Latency {
        Latency {
            p50: self.percentile(0.5),
            p90: self.percentile(0.9),
            p99: self.percentile(0.99),
            max: self.max,
        }
    }

    /// The upper edge of the bucket in which this share of the values is reached.
    fn percentile(&self, share: f64) -> u64 {
        let rank = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, &count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank && count > 0 {
                return upper_edge(index).min(self.max);
            }
        }
        0
    }
}

/// Values below 64 have a bucket each; above, the six bits after the leading one choose within the power of two.
fn bucket(micros: u64) -> usize {
    if micros < 1 << FINE {
        return micros as usize;
    }
    let shift = micros.ilog2() - FINE;
    (((shift + 1) << FINE) as usize) + (micros >> shift) as usize - (1 << FINE)
}

fn upper_edge(index: usize) -> u64 {
    let (power, fine) = (index as u64 >> FINE, index as u64 & ((1 << FINE) - 1));
    match power.checked_sub(1) {
        None => fine,
        Some(shift) => ((1 << FINE) + fine + 1).checked_shl(shift as u32).map_or(u64::MAX, |edge| edge - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_under_the_edge_of_its_bucket_and_not_far() {
        for value in (0..5000).chain((10..63).map(|bit| (1 << bit) + 12_345)) {
            let edge = upper_edge(bucket(value));
            assert!(edge >= value, "{value} above {edge}");
            assert!(edge - value <= value / 64, "{value} far below {edge}");
        }
        assert_eq!(bucket(u64::MAX), (59 << FINE) - 1);
    }

    #[test]
    fn percentiles_of_a_hundred() {
        let mut histogram = Histogram::default();
        for value in 1..=100 {
            histogram.record(Duration::from_micros(value));
        }
        let Latency { p50, p90, p99, max } = histogram.summary();
        assert_eq!((p50, max), (50, 100));
        assert!((90..=91).contains(&p90) && (99..=100).contains(&p99), "{p90} {p99}");
        assert_eq!(Histogram::default().summary(), Latency::default());
    }
}
