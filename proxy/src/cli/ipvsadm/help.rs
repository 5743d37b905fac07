//! `-h` and `-v`.

use std::fmt::Write;

use super::opts::{ENTRIES, Entry, Meaning, Value};

/// What scripts look for when they ask for the version: the one that this personality follows.
pub(super) const VERSION: &str = "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)";

const USAGE: &str = "\
This is ulvs in the role of ipvsadm.

Usage:
  ipvsadm -A|-E SERVICE [-s scheduler]
  ipvsadm -D SERVICE
  ipvsadm -a|-e SERVICE -r host[:port] -m [-w weight]
  ipvsadm -d SERVICE -r host[:port]
  ipvsadm [-L|-l] [SERVICE] [-n] [--stats [--exact]]
  ipvsadm -L -c|--timeout [-n]
  ipvsadm -Z [SERVICE]
  ipvsadm -C
  ipvsadm -S [-n]
  ipvsadm -R
where SERVICE is -t or -u with host:port. The command comes first.
";

/// The help text.
pub(super) fn text() -> String {
    let schedulers: Vec<&str> = sched::algo::ALL.iter().map(|a| a.name).collect();
    let mut text = format!("{VERSION}\n{USAGE}\nCommands:\n");
    for entry in ENTRIES.iter().filter(|e| matches!(e.meaning, Meaning::Command(_))) {
        line(&mut text, entry);
    }
    text += "\nOptions:\n";
    for entry in ENTRIES.iter().filter(|e| matches!(e.meaning, Meaning::Sets(..) | Meaning::Nothing)) {
        line(&mut text, entry);
    }
    let _ = writeln!(text, "\nSchedulers: {} (default {}).", schedulers.join(", "), sched::algo::DEFAULT);
    text
}

fn line(text: &mut String, entry: &Entry) {
    let short = entry.short.map(|c| format!("-{c},")).unwrap_or_default();
    let value = match entry.value {
        Value::Flag => String::new(),
        Value::Needs(name) => format!(" {name}"),
        Value::May(name) => format!(" [{name}]"),
    };
    let option = format!("--{}{value}", entry.long);
    let _ = writeln!(text, "  {short:<3} {option:<28} {}", entry.help);
}
