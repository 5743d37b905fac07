//! The results as Markdown for people and as JSON for programs.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::goals;
use super::results::Results;
use super::stats::shown;
use super::workload::{Figure, Workload};

/// What a reader has to know of all numbers.
const EXPLANATION: &str = "\
Values are medians over the rounds; a ratio is the median of the ratios within the rounds, with the least and the most of
them. The client is one thread of `lab::load`. It, the servers and the contender share the cores. What the kernel does for a
packet at once, up to the next queue, is done by whoever sends it: a client with a core to itself may spend it on routing.

One stall of the machine, or of the client, is enough for the p99 at half load: where that of `route` is in milliseconds too,
it says nothing about the others.

CPU is counted in two ways, because neither is the whole truth. That of *its processes* leaves out what the kernel does for
the contender while it happens to run somebody else: all of what `route`, `nft` and `ipvs` do, and the interrupts' part for
the others. That of the *machine* is everything that was not idle, client and servers included, which are the same for
everybody: the difference to `route` is what balancing costs.
";

/// As Markdown, `facts` first.
pub(super) fn markdown(results: &Results, facts: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, fact) in facts {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "- {name}: {fact}");
    }
    let _ = writeln!(text, "\n{EXPLANATION}");
    for (index, workload) in results.workloads.iter().enumerate() {
        let _ = writeln!(text, "## {}\n\n{}", sentence(workload.title()), table(results, index));
        for remark in results.remarks(index) {
            let _ = writeln!(text, "- {remark}");
        }
        if !results.remarks(index).is_empty() {
            text.push('\n');
        }
    }
    let goals = goals::markdown(results);
    if !goals.is_empty() {
        let _ = writeln!(text, "## Goals\n\n{goals}");
    }
    text
}

/// A workload's: a row for each contender.
fn table(results: &Results, index: usize) -> String {
    let workload = results.workloads[index];
    // Whoever cannot do it has no row, and nobody is compared with it.
    let able = |column: &usize| !results.samples(index, *column).is_empty();
    let peers: Vec<usize> = results.peers().into_iter().filter(able).collect();
    let mut head = vec![String::new(), workload.unit().to_owned()];
    head.extend(peers.iter().map(|peer| format!("to {}", results.columns[*peer].name())));
    let latencies = latencies(workload);
    head.extend(latencies.iter().map(|(name, _)| format!("{name}, us")));
    head.push(format!("CPU, {}: its processes", workload.cpu_unit()));
    head.push("the machine".to_owned());
    let mut text = format!("| {} |\n|---|{}\n", head.join(" | "), "---:|".repeat(head.len() - 1));
    for column in (0..results.columns.len()).filter(able) {
        let median = |figure| shown(results.spread(index, column, figure), false);
        let ratio = |peer: &usize| shown(results.ratio(index, Figure::Value, column, *peer), true);
        let mut row = vec![results.columns[column].name(), median(Figure::Value)];
        row.extend(peers.iter().map(|peer| if *peer == column { "1".to_owned() } else { ratio(peer) }));
        row.extend(latencies.iter().map(|(_, figure)| median(*figure)));
        row.extend([median(Figure::OwnCpu), median(Figure::MachineCpu)]);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

/// The columns of latencies; that of the p99 is there already where it is what counts.
fn latencies(workload: Workload) -> Vec<(&'static str, Figure)> {
    let mut latencies = vec![("p50", Figure::P50), ("p99", Figure::P99)];
    latencies.retain(|(_, figure)| workload.has_latency() && (workload.is_rate() || *figure == Figure::P50));
    latencies
}

/// Every sample, and the ratios.
pub(super) fn json(results: &Results, facts: &[(String, String)]) -> Value {
    let workloads = results.workloads.iter().enumerate().map(|(index, workload)| {
        let columns = results.columns.iter().enumerate().map(|(column, what)| {
            let samples = results.samples(index, column).iter().map(|sample| {
                json!({
                    "value": workload.figure(sample, Figure::Value),
                    "report": sample.report,
                    "cpu_own": sample.own_cpu,
                    "cpu_machine": sample.machine_cpu,
                    "idle": sample.idle,
                })
            });
            let ratios: Map<String, Value> = results
                .peers()
                .into_iter()
                .filter_map(|peer| {
                    let ratio = results.ratio(index, Figure::Value, column, peer)?;
                    Some((results.columns[peer].name(), json!(ratio)))
                })
                .collect();
            json!({
                "contender": what.contender.name(),
                "method": what.method.map(|method| method.name()),
                "value": results.spread(index, column, Figure::Value),
                "cpu_own_each": results.spread(index, column, Figure::OwnCpu),
                "cpu_machine_each": results.spread(index, column, Figure::MachineCpu),
                "ratio_to": ratios,
                "rounds": samples.collect::<Vec<_>>(),
            })
        });
        json!({
            "workload": workload.name(),
            "unit": workload.unit(),
            "cpu_unit": workload.cpu_unit(),
            "contenders": columns.collect::<Vec<_>>(),
            "remarks": results.remarks(index),
        })
    });
    let facts: Map<String, Value> = facts.iter().map(|(name, fact)| (name.clone(), json!(fact))).collect();
    json!({ "facts": facts, "results": workloads.collect::<Vec<_>>(), "goals": goals::json(results) })
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::super::results::invented;
    use super::*;

    #[test]
    fn a_workload_has_a_table_with_a_row_for_each_contender() {
        let text = markdown(&invented::results(), &[("kernel".to_owned(), "6.1".to_owned())]);
        assert!(text.starts_with("- kernel: 6.1\n"), "{text}");
        let lines: Vec<&str> =
            text.lines().skip_while(|line| !line.starts_with("## Keep-alive")).skip(2).collect();
        assert_eq!(
            lines[0],
            "|  | k/s | to route | to nft | to haproxy2 | p50, us | p99, us | CPU, us for each: its processes | the machine |"
        );
        assert_eq!(lines[1], "|---|---:|---:|---:|---:|---:|---:|---:|---:|");
        assert_eq!(lines[3], "| nft | 20.0 | 0.50 | 1 | 2.00 | 100 | 300 | 10.0 | 20.0 |");
        assert_eq!(
            lines[5],
            "| ulvs-tun nat | 18.0 | 0.40 (0.25-0.45) | 0.80 (0.50-0.90) | 1.60 (1.00-1.80) | 100 | 300 | 10.0 | 20.0 |"
        );
        // Of those who cannot do it there is nothing.
        let udp: Vec<&str> =
            text.lines().skip_while(|line| !line.starts_with("## 64-byte")).skip(2).collect();
        assert_eq!(udp[0], "|  | k/s | to route | CPU, us for each: its processes | the machine |");
        assert_eq!(udp[3], "| ulvs-tun nat | 20.0 | 1.00 | 5.00 | 10.0 |");
        assert_eq!(udp.get(4), Some(&""));
    }

    #[test]
    fn programs_get_every_sample() {
        let json = json(&invented::results(), &[("kernel".to_owned(), "6.1".to_owned())]);
        assert_eq!(json["facts"]["kernel"], "6.1");
        let ours = &json["results"][1]["contenders"][3];
        assert_eq!(ours["contender"], "ulvs-tun");
        assert_eq!(ours["method"], "nat");
        assert_eq!(ours["ratio_to"]["nft"], json!([0.8, 0.5, 0.9]));
        assert_eq!(ours["rounds"][1]["report"]["requests"], 80_000);
    }
}
