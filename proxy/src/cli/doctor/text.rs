//! What the doctor has to say, for people: readable with a thousand servers that are all ill of the same.

use std::fmt::Write;

use sched::counted;

use crate::cli::text::{folded, printable};
use crate::doctor::{Cure, Finding, Report, Severity};

/// Of many that are alike so many are shown, the others counted.
const SHOWN: usize = 5;

/// The findings, each with what was seen, why it matters and what mends it; in the end how many there are.
pub(super) fn as_text(report: &Report) -> String {
    let mut out = String::new();
    for alike in alike(&report.findings) {
        match &*alike {
            [first, rest @ ..] if rest.len() >= SHOWN => show_many(&mut out, first, &alike),
            few => few.iter().for_each(|finding| show(&mut out, finding)),
        }
    }
    // Writing to a string does not fail.
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    let of = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let counts =
        [Severity::Fault, Severity::Warning, Severity::Note].map(|severity| (of(severity), severity.name()));
    let counts = counts.iter().filter(|(n, _)| *n > 0);
    let counts: Vec<_> = counts.map(|(n, name)| counted(*n, name)).collect();
    let counts = if counts.is_empty() { "nothing is wrong".to_owned() } else { counts.join(", ") };
    let checks = counted(report.checks.len(), "check");
    line(format!("{counts}: looked at {}; {checks}", printable(&report.subject)));
    if !report.asked.is_empty() {
        line(format!("sent: {}", printable(&report.asked.join("; "))));
    }
    for unseen in &report.unseen {
        line(format!("not seen: {}", printable(unseen)));
    }
    out.trim_end().to_owned()
}

/// Findings of a check that matter for the same reason, in the order in which they came.
fn alike(findings: &[Finding]) -> Vec<Vec<&Finding>> {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings {
        let same =
            |of: &&Finding| (of.severity, of.check, of.why) == (finding.severity, finding.check, finding.why);
        match groups.iter_mut().find(|group| group.first().is_some_and(same)) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups
}

fn show(out: &mut String, finding: &Finding) {
    let Finding { check, severity, about, saw, why, cures } = finding;
    let _ = writeln!(out, "{:<8} {} [{check}]", severity.name(), printable(about));
    row(out, "saw", saw);
    row(out, "why", why);
    mend(out, cures);
    let _ = writeln!(out);
}

/// The same of many: those of which the same was seen, a server's services say, count as one.
fn show_many(out: &mut String, first: &Finding, all: &[&Finding]) {
    let mut seen: Vec<(&Finding, usize)> = Vec::new();
    for finding in all {
        match seen.iter_mut().find(|(of, _)| of.saw == finding.saw) {
            Some((_, more)) => *more += 1,
            None => seen.push((finding, 0)),
        }
    }
    let Finding { check, severity, why, .. } = first;
    let _ = writeln!(out, "{:<8} {} of a kind [{check}]", severity.name(), all.len());
    row(out, "why", why);
    for (finding, more) in seen.iter().take(SHOWN) {
        let more = if *more == 0 { String::new() } else { format!(" (and {more} more)") };
        row(out, "saw", &format!("{}{more}: {}", finding.about, finding.saw));
        mend(out, &finding.cures);
    }
    let left: usize = seen.iter().skip(SHOWN).map(|(_, more)| more + 1).sum();
    if left > 0 {
        let _ = writeln!(out, "  and {left} more; --json has them all");
    }
    let _ = writeln!(out);
}

fn mend(out: &mut String, cures: &[Cure]) {
    for Cure { on, command } in cures.iter().take(SHOWN) {
        let host = on.map_or_else(String::new, |host| format!("on {host}: "));
        // On one line, to be copied.
        let _ = writeln!(out, "  mend   {host}{}", printable(command));
    }
    if let Some(left) = cures.len().checked_sub(SHOWN).filter(|left| *left > 0) {
        let _ = writeln!(out, "         and {} more; --json has them all", counted(left, "command"));
    }
}

fn row(out: &mut String, name: &str, text: &str) {
    let mut indent = format!("  {name:<6} ");
    for line in folded(&printable(text), 110) {
        let _ = writeln!(out, "{indent}{line}");
        indent = " ".repeat(9);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(i: usize, saw: &str) -> Finding {
        let (about, command) = (format!("server 10.0.{}.{}:80", i / 250, i % 250 + 1), format!("mend {i}"));
        Finding {
            check: "servers",
            severity: Severity::Fault,
            about,
            saw: saw.to_owned(),
            why: "nobody is served",
            cures: vec![Cure { on: None, command }],
        }
    }

    fn told(findings: Vec<Finding>) -> String {
        let (asked, unseen, checks) = (Vec::new(), Vec::new(), vec!["servers"]);
        as_text(&Report { findings, subject: "this host".to_owned(), asked, unseen, checks })
    }

    #[test]
    fn a_thousand_servers_that_are_ill_of_the_same_fit_on_a_screen() {
        let text = told((0..1000).map(|i| finding(i, &format!("{i} is silent"))).collect());
        let expected = "\
fault    1000 of a kind [servers]
  why    nobody is served
  saw    server 10.0.0.1:80: 0 is silent
  mend   mend 0
";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("  saw    server 10.0.0.5:80: 4 is silent\n"), "{text}");
        assert!(text.contains("\n  and 995 more; --json has them all\n"), "{text}");
        assert!(text.ends_with("\n1000 faults: looked at this host; 1 check"), "{text}");
        assert!(text.lines().count() < 24, "{text}");
    }

    #[test]
    fn a_server_of_many_services_is_told_once_and_a_few_in_full() {
        let text = told((0..20).map(|i| finding(i % 2, "it is silent")).collect());
        assert!(text.contains("  saw    server 10.0.0.1:80 (and 19 more): it is silent\n"), "{text}");
        assert!(!text.contains("--json"), "{text}");
        let text = told((0..5).map(|i| finding(i, "it is silent")).collect());
        assert_eq!(text.matches("  why    nobody is served").count(), 5, "{text}");
    }

    #[test]
    fn a_name_that_somebody_has_chosen_does_not_command_the_terminal() {
        let mut odd = finding(1, "\x1b[2Jnginx (pid 7)\nmend rm -r / listens");
        odd.about = "device e\x07th0".to_owned();
        odd.cures = vec![Cure { on: None, command: "ip link set e\x07th0 up".to_owned() }];
        for text in [told(vec![odd.clone()]), told(vec![odd; 9])] {
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
            assert!(text.contains("\\u{1b}[2Jnginx (pid 7)\\nmend rm -r / listens"), "{text}");
            assert!(text.contains("device e\\u{7}th0"), "{text}");
        }
    }

    #[test]
    fn of_many_commands_the_first_are_shown() {
        let cure = |i| Cure { on: None, command: format!("mend {i}") };
        let text = told(vec![Finding { cures: (0..1000).map(cure).collect(), ..finding(0, "it is") }]);
        assert!(
            text.contains("  mend   mend 4\n         and 995 commands more; --json has them all\n"),
            "{text}"
        );
    }
}
