//! Words behind those that a keyword takes. keepalived passes over them in silence, so that whoever wrote them believes that
//! they count.

use super::check::is_checker;
use super::tree::Item;
use crate::foreign::note::{Notes, Severity};

/// Says so of words too many behind a keyword that is known, but for `weight` of a file and for groups: see [`at_most`].
pub(super) fn look(item: &Item, notes: &mut Notes) {
    at_most(item, most(item), notes);
}

/// How many words a keyword takes.
fn most(item: &Item) -> usize {
    match item.name() {
        // They look at each of theirs.
        "lvs_sched" | "lb_algo" | "payload" | "require_reply" | "status_code" | "regex_options"
        | "lvs_timeouts" => usize::MAX,
        "lvs_method" | "lb_kind" | "sorry_server_lvs_method" if item.arg(0) == Some("TUN") => usize::MAX,
        "virtual_server" if item.arg(0) == Some("fwmark") => 1 + of_mark(item.arg(2)),
        "virtual_server" | "real_server" | "sorry_server" | "script_user" | "user" | "regex_stack" => 2,
        // A command, a user, a group.
        "notify_up" | "notify_down" | "quorum_up" | "quorum_down" => 3,
        "global_defs" | "omega" | "ops" | "sorry_server_inhibit" | "regex_no_match" | "url" | "host" => 0,
        name if is_checker(name) || super::method::flag(name).is_some() => 0,
        _ => 1,
    }
}

/// A mark, and perhaps its family.
pub(super) fn of_mark(family: Option<&str>) -> usize {
    if matches!(family, Some("inet" | "inet6")) { 2 } else { 1 }
}

/// Says so of words too many.
pub(super) fn at_most(item: &Item, most: usize, notes: &mut Notes) {
    let Some(rest) = item.args.get(most..).filter(|rest| !rest.is_empty()) else { return };
    let rest = rest.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    let takes = match most {
        0 => "no value".to_owned(),
        1 => "one value".to_owned(),
        n => format!("{n} values at most"),
    };
    let text = format!("`{}` takes {takes}: `{rest}` is passed over", item.name());
    let help = "delete it, or begin a line with it; words that belong together stand in quotes";
    notes.add(Severity::NotUnderstood, item.place_of(most), text, help);
}
