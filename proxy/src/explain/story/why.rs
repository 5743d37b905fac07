//! Why servers are chosen or not, and reasons that the notes of a decision imply.

use engine::{Note, Verdict};
use sched::{Account, Out, Standing};

use super::Explained;

/// How a server stands in a comparison: out, or with its numbers.
pub(super) fn stands(standing: &Standing) -> String {
    match standing.out {
        Some(Out::NoWeight) => "out: weight 0".into(),
        Some(Out::Overloaded { connections, upper }) => {
            format!("out: {connections} connections, threshold {upper}")
        }
        None => standing.figure.clone(),
    }
}

/// Why nobody can be chosen of these servers, to be said behind that; nothing where it is the scheduler's own doing.
pub(super) fn nobody(account: &Account) -> String {
    let all = account.servers.len();
    let count =
        |out: fn(Out) -> bool| account.servers.iter().filter_map(|s| s.out).filter(|o| out(*o)).count();
    let idle = count(|out| out == Out::NoWeight);
    let full = count(|out| matches!(out, Out::Overloaded { .. }));
    match (idle, full) {
        _ if all == 0 => ": the service has no servers".to_owned(),
        (idle, 0) if idle == all => ": all weights are 0".to_owned(),
        (0, full) if full == all => ": all are overloaded".to_owned(),
        (idle, full) if idle + full == all => format!(": {idle} have weight 0, and {full} are overloaded"),
        _ => String::new(),
    }
}

/// Why a packet is answered or given back that no note tells of: of ICMP and other protocols without ports.
pub(super) fn by_address(told: &Explained) -> Option<&'static str> {
    let has = |which: fn(&Note) -> bool| told.notes.iter().any(which);
    match told.verdict {
        Verdict::Reply if told.notes.is_empty() => {
            Some("an echo request for a VIP or LIP that is nobody's address: the director answers it itself")
        }
        Verdict::Pass if told.notes.is_empty() => {
            Some("its destination is no VIP, or an address of the host as well: it is the host's")
        }
        Verdict::Pass
            if has(|note| matches!(note, Note::Quotes { .. }))
                && !has(|note| matches!(note, Note::Connection { found: Some(_), .. })) =>
        {
            Some("it is about no connection, and for no VIP: it is the host's")
        }
        _ => None,
    }
}
