//! Everything measured, and the ratios within the rounds.

use super::contender::{Column, Contender, Method};
use super::stats::spread;
use super::workload::{Figure, Sample, Workload};

/// Of each workload, of each column, a sample for each round: none of whom cannot do it.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) workloads: Vec<Workload>,
    pub(super) columns: Vec<Column>,
    samples: Vec<Vec<Vec<Sample>>>,
}

/// Whom others are compared with, where they were measured too.
const PEERS: [Contender; 4] = [Contender::Route, Contender::Nft, Contender::Haproxy2, Contender::Ipvs];
/// Share of a core from which on the client may have been the limit.
const FULL: f64 = 0.95;

impl Results {
    pub(super) fn new(workloads: &[Workload], columns: &[Column]) -> Self {
        let samples = vec![vec![Vec::new(); columns.len()]; workloads.len()];
        Self { workloads: workloads.to_vec(), columns: columns.to_vec(), samples }
    }

    /// Adds a sample of the next round.
    pub(super) fn add(&mut self, workload: usize, column: usize, sample: Sample) {
        self.samples[workload][column].push(sample);
    }

    /// Those of the rounds.
    pub(super) fn samples(&self, workload: usize, column: usize) -> &[Sample] {
        &self.samples[workload][column]
    }

    /// Median, least and most.
    pub(super) fn spread(&self, workload: usize, column: usize, figure: Figure) -> Option<[f64; 3]> {
        spread(&self.values(workload, column, figure))
    }

    /// The same of a column's values divided by another's in the same round.
    pub(super) fn ratio(
        &self,
        workload: usize,
        figure: Figure,
        column: usize,
        to: usize,
    ) -> Option<[f64; 3]> {
        let (ours, theirs) = (self.values(workload, column, figure), self.values(workload, to, figure));
        let pairs = ours.iter().zip(&theirs).filter(|(_, theirs)| **theirs > 0.0);
        spread(&pairs.map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
    }

    /// The columns that others are compared with.
    pub(super) fn peers(&self) -> Vec<usize> {
        PEERS.iter().filter_map(|peer| self.column(*peer, None)).collect()
    }

    /// Where a contender is.
    pub(super) fn column(&self, contender: Contender, method: Option<Method>) -> Option<usize> {
        self.columns.iter().position(|column| *column == Column { contender, method })
    }

    /// Where a workload is.
    pub(super) fn workload(&self, workload: Workload) -> Option<usize> {
        self.workloads.iter().position(|other| *other == workload)
    }

    /// What a reader has to know of a workload's numbers.
    pub(super) fn remarks(&self, workload: usize) -> Vec<String> {
        let mut remarks = Vec::new();
        for (index, column) in self.columns.iter().enumerate() {
            let (samples, name) = (self.samples(workload, index), column.name());
            let errors: u64 = samples.iter().map(|sample| sample.report.errors).sum();
            if errors > 0 {
                remarks.push(format!("{name}: {errors} errors (connections, requests or datagrams lost)"));
            }
            let full =
                samples.iter().filter(|sample| sample.report.cpu >= FULL * sample.report.seconds).count();
            if full > 0 {
                remarks.push(format!(
                    "{name}: the client had a core to itself in {full} of {} rounds and may have been the limit",
                    samples.len()
                ));
            }
            let idle = samples.iter().map(|sample| sample.idle).min().unwrap_or(0);
            if self.workloads[workload] == Workload::Crowd
                && idle < super::workload::IDLE - super::workload::IDLE / 100
            {
                remarks.push(format!("{name}: {idle} idle connections, for want of open files or of room"));
            }
            let told: Vec<&str> = samples.iter().filter_map(|sample| sample.remark.as_deref()).collect();
            if let Some(first) = told.first() {
                remarks.push(format!("{name}: {first}, in {} of {} rounds", told.len(), samples.len()));
            }
        }
        remarks
    }

    fn values(&self, workload: usize, column: usize, figure: Figure) -> Vec<f64> {
        let kind = self.workloads[workload];
        self.samples(workload, column).iter().map(|sample| kind.figure(sample, figure)).collect()
    }
}

/// Invented ones.
#[cfg(test)]
pub(super) mod invented {
    use super::*;
    use crate::load::{Latency, Report};

    /// A sample with so many thousands of requests in a second.
    pub(in crate::bench) fn sample(rate: f64, cpu: f64) -> Sample {
        let latency = Latency { p50: 100, p90: 200, p99: 300, max: 400 };
        let requests = (rate * 1000.0) as u64;
        let bytes = (rate * 125_000_000.0) as u64;
        let report = Report { seconds: 1.0, cpu: 0.5, requests, bytes, latency, ..Report::default() };
        Sample { report, own_cpu: cpu, machine_cpu: 2.0 * cpu, idle: 0, remark: None }
    }

    /// Three rounds of four columns and three workloads. Of [`Workload::Requests64`], ulvs has 0.5, 0.8 and 0.9 of nft.
    pub(in crate::bench) fn results() -> Results {
        let columns = Column::all(
            &[Contender::Route, Contender::Nft, Contender::Haproxy2, Contender::UlvsTun],
            &[Method::Nat],
        );
        let workloads = [Workload::Bulk1, Workload::Requests64, Workload::Udp];
        let mut results = Results::new(&workloads, &columns);
        for (theirs, ours) in [(10.0, 5.0), (100.0, 80.0), (20.0, 18.0)] {
            for workload in 0..2 {
                for (column, rate) in [2.0 * theirs, theirs, theirs / 2.0, ours].into_iter().enumerate() {
                    results.add(workload, column, sample(rate, 0.01 * rate));
                }
            }
            results.add(2, 0, sample(theirs, 0.1));
            results.add(2, 3, sample(theirs, 0.1));
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_those_within_the_rounds() {
        let results = invented::results();
        // The ratio of the medians would be 0.9.
        assert_eq!(results.ratio(1, Figure::Value, 3, 1), Some([0.8, 0.5, 0.9]));
        // Nobody is compared with whom it was not measured.
        assert_eq!(results.ratio(2, Figure::Value, 3, 1), None);
        assert_eq!(results.ratio(1, Figure::MachineCpu, 3, 1), Some([1.0, 1.0, 1.0]));
        assert_eq!(results.peers(), [0, 1, 2]);
    }

    #[test]
    fn what_makes_numbers_worth_less_is_said() {
        let mut results = Results::new(
            &[Workload::Crowd],
            &Column::all(&[Contender::Nft, Contender::UlvsTun], &[Method::Dr]),
        );
        let mut bad = invented::sample(1.0, 0.1);
        (bad.report.errors, bad.report.cpu, bad.idle) = (3, 0.97, 8000);
        bad.remark = Some("its connection table was full (9 of 9)".to_owned());
        results.add(0, 0, bad);
        results.add(0, 1, Sample { idle: super::super::workload::IDLE, ..invented::sample(1.0, 0.1) });
        let remarks = results.remarks(0);
        assert_eq!(remarks.len(), 4, "{remarks:?}");
        for (remark, word) in
            remarks.iter().zip(["3 errors", "client", "8000 idle", "full (9 of 9), in 1 of 1"])
        {
            assert!(remark.starts_with("nft: ") && remark.contains(word), "{remark}");
        }
    }
}
