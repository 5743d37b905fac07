//! Every text is short and has a drawing, and what it tells people to type is understood.

use super::super::examples::{commands, understood};
use super::*;

fn explained(line: &str) -> Result<String, String> {
    let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    explain(&words).map(|text| match text {
        Text::Ours(text) => text,
        other => format!("{other:?}"),
    })
}

#[test]
fn every_text_fits_a_terminal_and_has_a_drawing() {
    for Topic { name, text, .. } in TOPICS {
        assert!(
            text.starts_with(&format!("{name}: ")),
            "{name}.txt begins with `{name}: ` and what it is about"
        );
        for line in text.lines() {
            assert!(line.chars().count() <= 78, "{name}.txt: more than 78 columns: {line}");
            assert!(line.is_ascii() && line == line.trim_end(), "{name}.txt: not plain ASCII: {line:?}");
        }
        assert!(text.lines().count() < 50, "{name}.txt has {} lines", text.lines().count());
        let drawn = text.lines().filter(|line| ["--", "|", "##"].iter().any(|part| line.contains(part)));
        assert!(drawn.count() >= 2, "{name}.txt has no drawing");
    }
}

#[test]
fn every_command_in_every_text_is_understood() {
    for Topic { name, text, .. } in TOPICS {
        let commands = commands(text);
        assert!(!commands.is_empty(), "{name}.txt has nothing to type");
        for command in commands {
            if let Err(error) = understood(&command) {
                panic!("{name}.txt: `{command}` is not understood: {error}");
            }
        }
    }
}

#[test]
fn what_a_text_refers_to_is_there() {
    for Topic { name, text, .. } in TOPICS {
        for (_, rest) in text.match_indices("`ulvs help ").map(|(at, words)| text.split_at(at + words.len()))
        {
            let other = rest.split('`').next().unwrap_or_default();
            assert!(explained(other).is_ok(), "{name}.txt refers to `ulvs help {other}`");
        }
    }
}

#[test]
fn names_are_taken_once() {
    let mut names: Vec<_> = TOPICS.iter().flat_map(|t| std::iter::once(&t.name).chain(t.others)).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "a name of two topics");
}

#[test]
fn help_alone_lists_topics_and_commands_within_eighty_columns() {
    let text = explained("").unwrap();
    for line in ["  marks             several ports", "  ipvsadm           Services and servers", "  top  "] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(!text.contains("serve "), "what is hidden is not listed: {text}");
}

#[test]
fn topics_and_commands_are_found_by_their_names_and_others() {
    assert!(explained("marks").unwrap().starts_with("marks: "));
    assert!(explained("fwmark").unwrap().starts_with("marks: "));
    assert!(explained("DR").unwrap().starts_with("dr: "));
    let both = explained("tls").unwrap();
    assert!(
        both.starts_with("tls: ") && both.ends_with("The command of this name: `ulvs tls --help`\n"),
        "{both}"
    );
    assert!(explained("ca issue").unwrap().contains("Usage: ulvs ca issue"));
    assert!(explained("drain").unwrap().contains("Usage: ulvs drain"));
    assert_eq!(explained("ipvsadm").unwrap(), "Ipvsadm");
    assert!(explained("ip6tables-save").unwrap().starts_with("Iptables("));
}

#[test]
fn what_is_not_there_gets_the_nearest_name() {
    for (words, expected) in [
        ("persistance", "there is no topic or command `persistance`; did you mean `persistence`?"),
        ("dr nat", "`dr` is a topic, with nothing behind it: `ulvs help dr`, one topic at a time"),
        ("statuss", "did you mean `status`?"),
        ("ca isue", "there is no command `ca isue`; did you mean `issue`?"),
        ("nonsense", "there is no topic or command `nonsense` (`ulvs help` lists them)"),
        ("real serve", "there is no command `real serve`"),
    ] {
        let error = explained(words).unwrap_err();
        assert!(error.contains(expected), "{words}: {error}");
    }
}
