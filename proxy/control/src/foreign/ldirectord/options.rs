//! What can be said for all virtual services, and for one of them.

use super::Line;
use crate::foreign::note::Notes;

/// What a virtual service says overrides what is said for all.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    checktimeout: Option<u32>,
    negotiatetimeout: Option<u32>,
    checkinterval: Option<u32>,
    failurecount: Option<u32>,
    /// Of IPv4, and of IPv6.
    fallback: [Option<Line>; 2],
    fallbackcommand: Option<String>,
    quiescent: Option<bool>,
    fork: bool,
}

const KEYS: &[&str] = &[
    "checktimeout",
    "negotiatetimeout",
    "checkinterval",
    "failurecount",
    "checkcount",
    "fallback",
    "fallback6",
    "fallbackcommand",
    "quiescent",
    "fork",
];

/// What is understood, and has no meaning here.
const NOTHING_HERE: &[(&str, &str, &[&str])] = &[
    (
        "no mail is sent",
        "let a command send it: `notify` in ulvs.toml",
        &[
            "emailalert",
            "emailalertfrom",
            "emailalertfreq",
            "emailalertstatus",
            "smtp",
            "servicename",
            "comment",
        ],
    ),
    (
        "the file is not watched",
        "`ulvs reload` reads it again; a systemd.path unit can call that",
        &["autoreload", "callback"],
    ),
    (
        "maintenance is not told by files",
        "`ulvs server down SERVER` takes one out, `ulvs server up SERVER` lets its checks decide again",
        &["maintenancedir"],
    ),
    ("services end with ulvs", "`ulvs run --rules FILE --save-on-stop` keeps what was there", &["cleanstop"]),
    (
        "this is about ldirectord's own process",
        "nothing has to be done",
        &["logfile", "monitorfile", "supervised", "execute", "readdquiescent"],
    ),
];

/// The keys for all virtual services.
pub(super) fn known() -> Vec<&'static str> {
    let nothing = NOTHING_HERE.iter().flat_map(|(_, _, keys)| keys.iter().copied());
    KEYS.iter().copied().chain(nothing).chain(["virtual", "virtual6"]).collect()
}

/// Seconds, or a count.
pub(super) fn number(line: &Line, notes: &mut Notes) -> Option<u32> {
    let number = line.text().parse::<u32>().ok().filter(|n| (1..=1_000_000).contains(n));
    if number.is_none() {
        let text = format!("`{}` is not a number for `{}`", line.value, line.key);
        notes.error(&line.at(), text, format!("write a whole number, 1 or more: {} = 10", line.key));
    }
    number
}

pub(super) fn yes(line: &Line, notes: &mut Notes) -> Option<bool> {
    match line.text() {
        "yes" => Some(true),
        "no" => Some(false),
        other => {
            let text = format!("`{other}` is neither yes nor no");
            notes.error(&line.at(), text, format!("write {} = yes or {} = no", line.key, line.key));
            None
        }
    }
}

impl Options {
    /// Whether the key is one of those that a virtual service has, too; then it is taken.
    pub(super) fn take(&mut self, line: &Line, notes: &mut Notes) -> bool {
        match line.key.as_str() {
            "checktimeout" => self.checktimeout = number(line, notes),
            "negotiatetimeout" => self.negotiatetimeout = number(line, notes),
            "checkinterval" => self.checkinterval = number(line, notes),
            "failurecount" => self.failurecount = number(line, notes),
            "checkcount" => {
                if number(line, notes).is_some_and(|n| n > 1) {
                    let text = "one question is a check, whatever `checkcount` says";
                    notes.unhandled(&line.place, text, "say how many have to fail: failurecount = 3");
                }
            }
            "fallback" => self.fallback[0] = Some(line.clone()),
            "fallback6" => self.fallback[1] = Some(line.clone()),
            "fallbackcommand" => self.fallbackcommand = line.command(notes),
            "quiescent" => self.quiescent = yes(line, notes),
            key => match NOTHING_HERE.iter().find(|(_, _, keys)| keys.contains(&key)) {
                Some((text, help, _)) => notes.unhandled(&line.place, *text, *help),
                None => return false,
            },
        }
        true
    }

    /// The same for those that are for all only.
    pub(super) fn take_global(&mut self, line: &Line, notes: &mut Notes) -> bool {
        match line.key.as_str() {
            "fork" => self.fork = yes(line, notes).unwrap_or_default(),
            _ => return false,
        }
        true
    }

    /// What is said here, for the rest what is said for all.
    pub(super) fn within(self, all: &Self, place: &Line, notes: &mut Notes) -> Effective {
        let Self { checktimeout, negotiatetimeout, checkinterval, failurecount, fallback, .. } = self;
        if checkinterval.is_some() && !all.fork {
            let text = "ldirectord heeds `checkinterval` of a virtual service with fork = yes only: that for all is taken";
            notes.changed(&place.place, text, "write it for all, or add fork = yes");
        }
        // Each of the two stands in for the other.
        let check = checktimeout.or(negotiatetimeout).or(all.checktimeout).or(all.negotiatetimeout);
        let negotiate = negotiatetimeout.or(checktimeout).or(all.negotiatetimeout).or(all.checktimeout);
        if self.quiescent.or(all.quiescent).is_none() {
            let text = "without `quiescent` dead servers are taken out: ldirectord does that, though its manual says otherwise";
            notes.changed(&place.place, text, "write quiescent = yes to keep them with weight 0, or = no");
        }
        let [v4, v6] = fallback;
        Effective {
            checktimeout: check.unwrap_or(5) * 1000,
            negotiatetimeout: negotiate.unwrap_or(30) * 1000,
            checkinterval: checkinterval.filter(|_| all.fork).or(all.checkinterval).unwrap_or(10) * 1000,
            failurecount: failurecount.or(all.failurecount).unwrap_or(1),
            fallback: [v4.or_else(|| all.fallback[0].clone()), v6.or_else(|| all.fallback[1].clone())],
            fallbackcommand: self.fallbackcommand.or_else(|| all.fallbackcommand.clone()),
            quiescent: self.quiescent.or(all.quiescent).unwrap_or_default(),
        }
    }
}

/// What is in force for a virtual service; times are milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Effective {
    pub(super) checktimeout: u32,
    pub(super) negotiatetimeout: u32,
    pub(super) checkinterval: u32,
    pub(super) failurecount: u32,
    pub(super) fallback: [Option<Line>; 2],
    pub(super) fallbackcommand: Option<String>,
    pub(super) quiescent: bool,
}
