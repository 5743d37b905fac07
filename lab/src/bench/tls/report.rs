//! Medians and ratios with their spread, as Markdown and as JSON.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::bench::stats::{median, shown, spread};

/// Everything measured: a column for each contender, a row for each number, a sample for each round.
#[derive(Debug, Default)]
pub(super) struct Table {
    columns: Vec<String>,
    rows: Vec<Row>,
    /// Whether the columns are compared with those of [`PEERS`].
    ratios: bool,
}

#[derive(Debug)]
struct Row {
    name: String,
    /// Of each column, those of the rounds.
    samples: Vec<Vec<f64>>,
}

/// What others are compared with.
const PEERS: [&str; 2] = ["haproxy", "nginx"];

impl Table {
    pub(super) fn new(columns: Vec<String>, ratios: bool) -> Self {
        Self { columns, rows: Vec::new(), ratios }
    }

    /// Adds what was measured of a column in a round: the rows that belong together, in order, the first of which has a
    /// name of its own.
    pub(super) fn add(&mut self, column: usize, figures: &[(String, f64)]) {
        let Some((first, _)) = figures.first() else { return };
        let start = self.rows.iter().position(|row| row.name == *first).unwrap_or_else(|| {
            let rows = figures
                .iter()
                .map(|(name, _)| Row { name: name.clone(), samples: vec![Vec::new(); self.columns.len()] });
            let start = self.rows.len();
            self.rows.extend(rows);
            start
        });
        for (row, (_, value)) in self.rows[start..].iter_mut().zip(figures) {
            row.samples[column].push(*value);
        }
    }

    /// Every sample, the medians and the ratios; `facts` beside them.
    pub(super) fn json(&self, facts: &[(String, String)]) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let columns: Map<String, Value> = self
                    .columns
                    .iter()
                    .zip(&row.samples)
                    .map(|(name, samples)| {
                        (name.clone(), json!({ "median": median(samples.clone()), "rounds": samples }))
                    })
                    .collect();
                let ratios: Map<String, Value> = self
                    .pairs()
                    .iter()
                    .filter_map(|pair| Some((self.pair_name(*pair), json!(row.ratio(*pair)?))))
                    .collect();
                json!({ "name": row.name, "columns": columns, "ratios": ratios })
            })
            .collect();
        let facts: Map<String, Value> =
            facts.iter().map(|(name, fact)| (name.clone(), json!(fact))).collect();
        json!({ "facts": facts, "rows": rows })
    }

    /// Who is divided by whom: everybody by every peer, but of two peers the later one by the earlier.
    fn pairs(&self) -> Vec<(usize, usize)> {
        let index = |peer: &&str| self.columns.iter().position(|column| column == peer);
        let peers: Vec<usize> = PEERS.iter().filter_map(index).filter(|_| self.ratios).collect();
        let of = |column: usize| {
            let later = peers.iter().position(|peer| *peer == column).unwrap_or(peers.len());
            peers[..later].iter().map(move |&peer| (column, peer))
        };
        (0..self.columns.len()).flat_map(of).collect()
    }

    fn pair_name(&self, (ours, theirs): (usize, usize)) -> String {
        format!("{}/{}", self.columns[ours], self.columns[theirs])
    }
}

impl Row {
    /// Nobody wants to read of no errors.
    fn says_something(&self) -> bool {
        self.samples.iter().flatten().any(|sample| *sample != 0.0)
    }

    /// Median, least and most of the ratios within the rounds.
    fn ratio(&self, (ours, theirs): (usize, usize)) -> Option<[f64; 3]> {
        let ratios = self.samples[ours].iter().zip(&self.samples[theirs]).filter(|(_, b)| **b > 0.0);
        spread(&ratios.map(|(a, b)| a / b).collect::<Vec<_>>())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.pairs();
        let names = self.columns.iter().cloned().chain(pairs.iter().map(|pair| self.pair_name(*pair)));
        let names: Vec<String> = names.collect();
        writeln!(f, "| | {} |", names.join(" | "))?;
        write!(f, "|---|{}", "---:|".repeat(names.len()))?;
        for row in self.rows.iter().filter(|row| row.says_something()) {
            write!(f, "\n| {} |", row.name)?;
            for samples in &row.samples {
                write!(f, " {} |", shown(spread(samples), !self.ratios))?;
            }
            for pair in &pairs {
                write!(f, " {} |", shown(row.ratio(*pair), true))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(table: &mut Table, column: usize, figures: &[(&str, f64)]) {
        let figures: Vec<_> = figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        table.add(column, &figures);
    }

    fn table() -> Table {
        let names = ["haproxy", "nginx", "ulvs-kernel"].map(str::to_owned).to_vec();
        let mut table = Table::new(names, true);
        for (round, theirs) in [100.0, 200.0, 400.0].into_iter().enumerate() {
            let ours = theirs * [0.5, 1.5, 1.0][round];
            add(&mut table, 0, &[("requests", theirs), ("- CPU", 10.0), ("- errors", 0.0)]);
            add(&mut table, 1, &[("requests", theirs * 2.0), ("- CPU", 0.0), ("- errors", 0.0)]);
            add(&mut table, 2, &[("requests", ours), ("- CPU", 5.0), ("- errors", 0.0)]);
            add(&mut table, 0, &[("handshakes", theirs), ("- CPU", 30.0), ("- errors", 1.0)]);
        }
        table
    }

    #[test]
    fn ratios_are_of_the_same_round_with_their_spread() {
        let text = table().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "| | haproxy | nginx | ulvs-kernel | nginx/haproxy | ulvs-kernel/haproxy | ulvs-kernel/nginx |"
        );
        assert_eq!(lines[1], "|---|---:|---:|---:|---:|---:|---:|");
        assert_eq!(lines[2], "| requests | 200 | 400 | 300 | 2.00 | 1.00 (0.50-1.50) | 0.50 (0.25-0.75) |");
        // Nobody is compared with nothing.
        assert_eq!(lines[3], "| - CPU | 10.0 | 0.00 | 5.00 | 0.00 | 0.50 | - |");
    }

    #[test]
    fn rows_of_the_same_name_belong_to_the_row_above_them() {
        let text = table().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[4], "| handshakes | 200 | - | - | - | - | - |");
        assert_eq!(lines[5], "| - CPU | 30.0 | - | - | - | - | - |");
        // Errors only where there are some.
        assert_eq!(lines[6], "| - errors | 1.00 | - | - | - | - | - |");
        assert_eq!(lines.len(), 7);
    }

    #[test]
    fn without_ratios_the_values_have_the_spread() {
        let mut table = Table::new(vec!["haproxy".to_owned(), "nginx".to_owned()], false);
        for value in [0.9, 0.004, 0.05] {
            add(&mut table, 0, &[("10 ms", value)]);
        }
        assert_eq!(table.to_string().lines().last(), Some("| 10 ms | 0.0500 (0.0040-0.90) | - |"));
    }

    #[test]
    fn programs_get_every_sample() {
        let json = table().json(&[("kernel".to_owned(), "6.1".to_owned())]);
        assert_eq!(json["facts"]["kernel"], "6.1");
        assert_eq!(json["rows"][0]["columns"]["nginx"]["rounds"], json!([200.0, 400.0, 800.0]));
        assert_eq!(json["rows"][0]["ratios"]["ulvs-kernel/haproxy"], json!([1.0, 0.5, 1.5]));
        assert_eq!(json["rows"][1]["ratios"].get("ulvs-kernel/nginx"), None);
    }
}
