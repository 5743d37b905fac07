//! `ulvs real` on the first server of a laboratory, and what it leaves there.

use std::path::PathBuf;
use std::process::Output;

use lab::snapshot::Snapshot;
use lab::topo::DirectLab;
use serde_json::Value;

use crate::support::{printed, ulvs};

/// The server's state directory.
pub fn state_dir(lab: &DirectLab) -> PathBuf {
    lab.state_dir().join("server1")
}

/// `ulvs real` on the server; the words are separated by single spaces.
pub fn real(lab: &DirectLab, line: &str) -> Output {
    let line = format!("real {line} --state-dir {}", state_dir(lab).display());
    ulvs(&lab.servers[0], &line.split(' ').collect::<Vec<_>>())
}

/// The same, and it succeeds. The lines that it prints.
pub fn done(lab: &DirectLab, line: &str) -> Vec<String> {
    let output = real(lab, line);
    assert!(output.status.success(), "{line}: {}", printed(&output));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// `ulvs real status --json` and its exit code.
pub fn status(lab: &DirectLab) -> (Option<i32>, Value) {
    let output = real(lab, "status --json");
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

pub fn assert_untouched(lab: &DirectLab, before: &Snapshot) {
    let changed = before.diff(&Snapshot::take(&lab.servers[0]).unwrap());
    assert!(changed.is_empty(), "the server is another:\n{}", changed.join("\n"));
    // Nothing has ever been noted if there is no such directory.
    let left = std::fs::read_dir(state_dir(lab)).into_iter().flatten();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "a note is left: {left:?}");
}
