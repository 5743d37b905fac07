//! What is not TOML, and what was meant.

use std::ops::Range;

use super::super::problem::Problem;

/// The one thing to say about a file that was written for another program.
pub(super) fn of_another_program(text: &str) -> Option<Problem> {
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        let words: Vec<_> = line.split_whitespace().collect();
        let program = match words[..] {
            [
                "virtual_server"
                | "virtual_server_group"
                | "vrrp_instance"
                | "vrrp_sync_group"
                | "vrrp_script"
                | "global_defs",
                ..,
            ] if !line.contains('=') => Some("keepalived"),
            [first, ..] if ["virtual", "virtual6"].contains(&first.split('=').next().unwrap_or_default()) => {
                Some("ldirectord")
            }
            _ => None,
        };
        if let Some(program) = program {
            let start = begin + (line.len() - line.trim_start().len());
            return Some(Problem {
                message: format!("this is a file of {program}"),
                span: start..begin + line.trim_end().len(),
                help: format!(
                    "it is read by --{program} FILE: `ulvs check --{program} FILE`; `ulvs import {program} FILE` prints ulvs.toml"
                ),
            });
        }
        begin += line.len();
    }
    None
}

/// What to do about a place that cannot be read.
pub(super) fn way_out(text: &str, span: &Range<usize>) -> &'static str {
    let before = text.get(..span.start).unwrap_or_default();
    let behind_equals = before.trim_end_matches([' ', '\t']).ends_with('=');
    let word = text.get(span.start..).unwrap_or_default();
    if behind_equals && word.starts_with(|c: char| c.is_alphabetic() || c == '/') {
        "a string is written in quotes: \"like this\""
    } else if behind_equals && word.starts_with(['\n', '\r']) {
        "write a value behind the =: a string in quotes, a number, true or false"
    } else {
        "see https://toml.io for how TOML is written"
    }
}
