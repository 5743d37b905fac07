//! What ulvs has set itself to reach, beside what was measured.

use serde_json::{Value, json};

use super::contender::{Contender, Method};
use super::results::Results;
use super::stats::{number, shown};
use super::workload::{Figure, Workload};

/// A ratio that is not to be under, or over, a bound.
struct Goal {
    workload: Workload,
    figure: Figure,
    method: Method,
    to: Contender,
    /// Of `packet` and of `tun`.
    bounds: [Option<f64>; 2],
}

const OURS: [Contender; 2] = [Contender::UlvsPacket, Contender::UlvsTun];

/// Every goal whose ratio can be measured here.
fn goals() -> Vec<Goal> {
    use Contender::{Haproxy2, Ipvs, Nft, Route};
    use Workload::{Bulk1, Bulk8, Connections, Half, Requests1, Requests64, Requests1000};
    let nat = |workload, to, packet: Option<f64>, tun: Option<f64>| Goal {
        workload,
        figure: Figure::Value,
        method: Method::Nat,
        to,
        bounds: [packet, tun],
    };
    let mut goals = Vec::new();
    for bulk in [Bulk1, Bulk8] {
        goals.push(nat(bulk, Nft, Some(1.0), Some(0.9)));
        goals.push(nat(bulk, Haproxy2, Some(2.2), Some(2.0)));
        goals.push(nat(bulk, Route, Some(0.95), None));
        goals.push(nat(bulk, Ipvs, Some(0.7), None));
    }
    for requests in [Requests1, Requests64, Requests1000] {
        goals.push(nat(requests, Nft, Some(1.2), Some(0.9)));
        goals.push(nat(requests, Haproxy2, Some(1.5), Some(1.1)));
        goals.push(nat(requests, Route, Some(0.85), None));
        goals.push(nat(requests, Ipvs, Some(1.0), None));
        goals.push(Goal { method: Method::Dr, ..nat(requests, Route, Some(0.95), Some(0.8)) });
    }
    goals.push(nat(Connections, Nft, Some(1.6), Some(0.95)));
    goals.push(nat(Connections, Haproxy2, Some(1.8), Some(1.1)));
    goals.push(nat(Connections, Route, Some(1.3), None));
    goals.push(nat(Connections, Ipvs, Some(0.9), None));
    goals.push(nat(Half, Nft, Some(1.1), Some(1.5)));
    for figure in [Figure::OwnCpu, Figure::MachineCpu] {
        goals.push(Goal { figure, ..nat(Connections, Haproxy2, Some(0.5), Some(0.6)) });
    }
    goals
}

impl Goal {
    /// Whether more is better.
    fn is_floor(&self) -> bool {
        self.figure == Figure::Value && self.workload.is_rate()
    }

    fn title(&self) -> String {
        let what = match self.figure {
            Figure::OwnCpu => "CPU of its processes for each of: ",
            Figure::MachineCpu => "CPU of the machine for each of: ",
            _ => "",
        };
        let method = match self.method {
            Method::Nat => String::new(),
            other => format!(", {}", other.name()),
        };
        format!("{what}{}{method}, to {}", self.workload.title(), self.to.name())
    }

    fn measured(&self, results: &Results, ours: Contender) -> Option<[f64; 3]> {
        let workload = results.workload(self.workload)?;
        let column = results.column(ours, Some(self.method))?;
        results.ratio(workload, self.figure, column, results.column(self.to, None)?)
    }

    /// `None` where there is nothing to reach.
    fn is_met(&self, measured: [f64; 3], bound: Option<f64>) -> Option<bool> {
        let bound = bound?;
        Some(if self.is_floor() { measured[0] >= bound } else { measured[0] <= bound })
    }

    fn bound(&self, bound: Option<f64>) -> String {
        let sign = if self.is_floor() { ">=" } else { "<=" };
        bound.map_or_else(|| "-".to_owned(), |bound| format!("{sign} {}", number(bound)))
    }
}

/// As a table; nothing where none of them was measured.
pub(super) fn markdown(results: &Results) -> String {
    let mut text = String::new();
    for goal in goals() {
        let measured = OURS.map(|ours| goal.measured(results, ours));
        if measured == [None, None] {
            continue;
        }
        text.push_str(&format!("| {} |", goal.title()));
        for (measured, bound) in measured.into_iter().zip(goal.bounds) {
            let verdict = match measured.and_then(|measured| goal.is_met(measured, bound)) {
                Some(true) => ", met",
                Some(false) => ", **missed**",
                None => "",
            };
            text.push_str(&format!(" {}{verdict} | {} |", shown(measured, true), goal.bound(bound)));
        }
        text.push('\n');
    }
    if text.is_empty() {
        return text;
    }
    format!("| ratio | ulvs-packet | goal | ulvs-tun | goal |\n|---|---:|---:|---:|---:|\n{text}")
}

/// The same for programs.
pub(super) fn json(results: &Results) -> Value {
    let of = |goal: &Goal| {
        OURS.into_iter()
            .zip(goal.bounds)
            .filter_map(|(ours, bound)| {
                let measured = goal.measured(results, ours)?;
                Some(json!({
                    "ratio": goal.title(),
                    "contender": ours.name(),
                    "measured": measured,
                    "goal": bound,
                    "met": goal.is_met(measured, bound),
                }))
            })
            .collect::<Vec<_>>()
    };
    goals().iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::super::results::invented;
    use super::*;

    #[test]
    fn goals_stand_beside_what_was_measured() {
        let text = markdown(&invented::results());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2 + 6, "{text}");
        assert_eq!(
            lines[5],
            "| keep-alive requests, 64 connections, to nft | - | >= 1.20 | 0.80 (0.50-0.90), **missed** | >= 0.90 |"
        );
        assert_eq!(
            lines[6],
            "| keep-alive requests, 64 connections, to haproxy2 | - | >= 1.50 | 1.60 (1.00-1.80), met | >= 1.10 |"
        );
        // Nothing to reach.
        assert_eq!(
            lines[7],
            "| keep-alive requests, 64 connections, to route | - | >= 0.85 | 0.40 (0.25-0.45) | - |"
        );
        let json = json(&invented::results());
        assert_eq!(json[3]["met"], false);
        assert_eq!(json[5]["met"], Value::Null);
    }

    #[test]
    fn a_latency_is_to_be_under_its_bound() {
        let goal = goals().into_iter().find(|goal| goal.workload == Workload::Half).unwrap();
        assert_eq!(
            (goal.is_met([1.05, 0.0, 9.0], Some(1.1)), goal.is_met([1.15, 0.0, 9.0], Some(1.1))),
            (Some(true), Some(false))
        );
        assert_eq!(goal.bound(Some(1.1)), "<= 1.10");
    }
}
