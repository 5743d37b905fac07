//! Samples, their medians and ratios, as a table for people and as JSON.

use std::fmt;

use serde_json::{Value, json};

use super::variant::Variant;
use super::{WORKLOADS, Workload};
use crate::load::Report;

/// Everything measured: for each variant a list of rounds, for each round a report of each workload.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(Variant, Vec<Vec<Report>>)>,
}

/// What others are compared with, where it was measured too.
const PEERS: [Variant; 2] = [Variant::Nft, Variant::Haproxy];

impl Table {
    pub(super) fn new(variants: &[Variant]) -> Self {
        Self { columns: variants.iter().map(|&variant| (variant, Vec::new())).collect() }
    }

    pub(super) fn add(&mut self, variant: Variant, samples: &[Report]) {
        if let Some((_, rounds)) = self.columns.iter_mut().find(|(column, _)| *column == variant) {
            rounds.push(samples.to_vec());
        }
    }

    /// Every sample with its errors and latencies, the medians and the ratios.
    pub(super) fn json(&self) -> Value {
        let rows: Vec<Value> = WORKLOADS
            .iter()
            .enumerate()
            .map(|(row, workload)| {
                let variants: Vec<Value> = self
                    .columns
                    .iter()
                    .map(|(variant, rounds)| {
                        let reports: Vec<&Report> = rounds.iter().map(|round| &round[row]).collect();
                        let ratios: serde_json::Map<_, _> = PEERS
                            .iter()
                            .filter_map(|&peer| {
                                Some((peer.name().to_owned(), json!(self.ratio(row, *variant, peer)?)))
                            })
                            .collect();
                        json!({
                            "variant": variant.name(),
                            "median": self.median(row, *variant),
                            "ratio_to": ratios,
                            "rounds": reports,
                        })
                    })
                    .collect();
                json!({ "workload": workload.name, "unit": workload.unit, "variants": variants })
            })
            .collect();
        json!({ "cores": std::thread::available_parallelism().map_or(0, usize::from), "results": rows })
    }

    fn values(&self, row: usize, variant: Variant) -> Option<Vec<f64>> {
        let (_, rounds) = self.columns.iter().find(|(column, _)| *column == variant)?;
        Some(rounds.iter().map(|round| (WORKLOADS[row].value)(&round[row])).collect())
    }

    fn median(&self, row: usize, variant: Variant) -> Option<f64> {
        median(self.values(row, variant)?)
    }

    /// The median over the rounds of the variant's value divided by its peer's in the same round.
    fn ratio(&self, row: usize, variant: Variant, peer: Variant) -> Option<f64> {
        let (ours, theirs) = (self.values(row, variant)?, self.values(row, peer)?);
        median(ours.iter().zip(&theirs).map(|(a, b)| a / b).collect())
    }

    fn errors(&self, row: usize, variant: Variant) -> u64 {
        let column = self.columns.iter().find(|(column, _)| *column == variant);
        column.map_or(0, |(_, rounds)| rounds.iter().map(|round| round[row].errors).sum())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ours: Vec<Variant> = self
            .columns
            .iter()
            .map(|(variant, _)| *variant)
            .filter(|variant| matches!(variant, Variant::Ulvs | Variant::UlvsPlain))
            .collect();
        let pairs: Vec<(Variant, Variant)> = ours
            .iter()
            .flat_map(|&ours| PEERS.map(|peer| (ours, peer)))
            .filter(|(_, peer)| self.columns.iter().any(|(column, _)| column == peer))
            .collect();
        write!(f, "{:<30}", "")?;
        for (variant, _) in &self.columns {
            write!(f, "{:>12}", variant.name())?;
        }
        for (ours, peer) in &pairs {
            write!(f, "{:>20}", format!("{}/{}", ours.name(), peer.name()))?;
        }
        for (row, Workload { name, unit, .. }) in WORKLOADS.iter().enumerate() {
            write!(f, "\n{:<30}", format!("{name}, {unit}"))?;
            for (variant, _) in &self.columns {
                write!(f, "{:>12}", shown(self.median(row, *variant)))?;
            }
            for &(ours, peer) in &pairs {
                write!(f, "{:>20}", shown(self.ratio(row, ours, peer)))?;
            }
        }
        for (row, workload) in WORKLOADS.iter().enumerate() {
            for (variant, _) in &self.columns {
                let errors = self.errors(row, *variant);
                if errors > 0 {
                    write!(f, "\n{errors} errors: {}, {}", workload.name, variant.name())?;
                }
            }
        }
        Ok(())
    }
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

/// The middle of them; between the two in the middle, where there is none.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(factor: f64) -> Vec<Report> {
        let report = |_| Report {
            seconds: 1.0,
            requests: (1000.0 * factor) as u64,
            connections: (1000.0 * factor) as u64,
            bytes: (1e9 * factor) as u64,
            ..Report::default()
        };
        (0..WORKLOADS.len()).map(report).collect()
    }

    #[test]
    fn medians_and_paired_ratios() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));

        let mut table = Table::new(&[Variant::Nft, Variant::Ulvs]);
        for (theirs, ours) in [(1.0, 0.5), (10.0, 8.0), (2.0, 1.8)] {
            table.add(Variant::Nft, &round(theirs));
            table.add(Variant::Ulvs, &round(ours));
        }
        // In the rounds: 0.5, 0.8, 0.9. The ratio of the medians would be 0.9.
        assert_eq!(table.ratio(2, Variant::Ulvs, Variant::Nft), Some(0.8));
        assert_eq!(table.ratio(2, Variant::Ulvs, Variant::Haproxy), None);
        let text = table.to_string();
        assert!(text.contains("ulvs/nft") && text.contains("0.80") && !text.contains("haproxy"), "{text}");
        assert_eq!(table.json()["results"][0]["variants"][1]["ratio_to"]["nft"], json!(0.8));
    }
}
