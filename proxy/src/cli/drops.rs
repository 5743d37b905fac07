//! `ulvs drops`.

use std::fmt::Write;
use std::process::ExitCode;

use control::api::{Blocking, DropList, DropView};
use sched::counted;

use super::{fail, say};

pub(super) fn main(json: bool, all: bool) -> ExitCode {
    let list = match Blocking::connect().and_then(|mut client| client.drops()) {
        Ok(list) => list,
        Err(error) => return fail(&error.to_string()),
    };
    if json {
        match serde_json::to_string_pretty(&list) {
            Ok(text) => say(&text),
            Err(error) => return fail(&error.to_string()),
        }
    } else {
        say(render(&list, all).trim_end());
    }
    ExitCode::SUCCESS
}

/// Those that there were, the most first, with what is usually behind them; then the others by name, or all of them.
fn render(list: &DropList, all: bool) -> String {
    let mut out = String::new();
    let mut drops: Vec<&DropView> = list.drops.iter().filter(|drop| all || drop.count > 0).collect();
    drops.sort_by_key(|drop| std::cmp::Reverse(drop.count));
    // Writing to a string does not fail.
    for drop in &drops {
        let _ = writeln!(out, "{:<22}{:>12}  {}", drop.reason, drop.count, drop.meaning);
        if let Some(last) = &drop.last {
            let _ = writeln!(out, "{:<36}last {} ago: {}", "", ago(last.ago_ms), last.packet);
        }
        let _ = writeln!(out, "{:<36}usually: {}", "", drop.cause);
    }
    if drops.is_empty() {
        out.push_str("no packet has been dropped\n");
    }
    let others = list.drops.len() - drops.len();
    if others > 0 {
        let other = if drops.is_empty() { "" } else { "other " };
        let have = if others == 1 { "has" } else { "have" };
        let others = counted(others, &format!("{other}reason"));
        let _ = writeln!(out, "{others} {have} dropped nothing: `ulvs drops --all` lists them");
    }
    out
}

fn ago(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{} s", ms / 1000, ms / 100 % 10),
        10_000..600_000 => format!("{} s", ms / 1000),
        _ => format!("{} min", ms / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use control::api::LastDrop;

    use super::*;

    #[test]
    fn the_most_come_first_with_an_example_and_what_is_usually_behind_them() {
        let drop = |reason: &str, count, last| DropView {
            reason: reason.into(),
            count,
            meaning: format!("{reason} means."),
            cause: format!("{reason} causes."),
            last,
        };
        let last = LastDrop { ago_ms: 2_345, packet: "IP a > b".into() };
        let drops = vec![drop("few", 3, None), drop("none", 0, None), drop("many", 40, Some(last))];
        let text = render(&DropList { drops }, false);
        let expected = "\
many                            40  many means.
                                    last 2.3 s ago: IP a > b
                                    usually: many causes.
few                              3  few means.
                                    usually: few causes.
1 other reason has dropped nothing: `ulvs drops --all` lists them
";
        assert_eq!(text, expected);
        let drops = vec![drop("none", 0, None), drop("never", 0, None)];
        assert_eq!(
            render(&DropList { drops }, false),
            "no packet has been dropped\n2 reasons have dropped nothing: `ulvs drops --all` lists them\n"
        );
    }
}
