//! The table of schedulers in README.md is what the registry says. `UPDATE=1 cargo test -p sched --test readme`
//! writes it anew.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;

use sched::algo::{ALL, DEFAULT};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
const BEGIN: &str = "<!-- schedulers: written by sched/tests/readme.rs -->\n";
const END: &str = "<!-- end of schedulers -->\n";

#[test]
fn the_readme_lists_the_registry() {
    let readme = fs::read_to_string(README).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (listed, after) = rest.split_once(END).unwrap();
    let table = table();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(README, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(listed, table, "README.md is behind: UPDATE=1 cargo test -p sched --test readme");
    }
}

fn table() -> String {
    let mut table = "| `-s` | who gets the next flow | `-b` |\n|---|---|---|\n".to_owned();
    for algorithm in ALL {
        let default = if algorithm.name == DEFAULT { " (the default)" } else { "" };
        let flags: Vec<_> = algorithm.flags.iter().map(|(name, _)| format!("`{name}`")).collect();
        writeln!(table, "| `{}`{default} | {} | {} |", algorithm.name, algorithm.summary, flags.join(" "))
            .unwrap();
    }
    table
}
