//! The examples that come with Debian's keepalived and ldirectord, read as they are. `tests/setup.sh test` puts them
//! where those packages would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{binary, printed};

const KEEPALIVED: &str = "/usr/share/doc/keepalived/samples";
const LDIRECTORD: &str = "/usr/share/doc/ldirectord/examples/ldirectord.cf";

fn run(args: &[&str]) -> Output {
    Command::new(binary()).args(args).output().unwrap()
}

/// What a file becomes: services and servers of it, and what there is to say about it.
struct Imported {
    services: usize,
    servers: usize,
    notes: Vec<Note>,
}

/// `FILE:7:1: not handled: ...`
struct Note {
    line: usize,
    message: String,
}

fn notes(file: &Path, said: &str) -> Vec<Note> {
    let head = format!("{}:", file.display());
    let note = |line: &str| {
        let (number, rest) = line.strip_prefix(&head)?.split_once(':')?;
        let (_column, message) = rest.split_once(": ")?;
        Some(Note { line: number.parse().unwrap(), message: message.to_owned() })
    };
    said.lines().filter_map(note).collect()
}

/// Reads a file, and what it is printed as.
fn import(program: &str, file: &Path) -> Result<Imported, Vec<Note>> {
    let output = run(&["import", program, file.to_str().unwrap()]);
    let notes = notes(file, &String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        assert_eq!(output.stdout, b"", "{}: it is refused and printed", file.display());
        return Err(notes);
    }
    let dir = tempfile::tempdir().unwrap();
    let ours = dir.path().join("ulvs.toml");
    fs::write(&ours, &output.stdout).unwrap();
    let checked = run(&["check", ours.to_str().unwrap()]);
    let said = printed(&checked);
    assert!(checked.status.success(), "{}: {said}", file.display());
    let (_, good) = said.split_once("good: ").unwrap_or_else(|| panic!("{}: {said}", file.display()));
    let mut numbers = good.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
    Ok(Imported { services: numbers.next().unwrap(), servers: numbers.next().unwrap(), notes })
}

/// The examples of keepalived, and their texts.
fn samples() -> Vec<(PathBuf, String)> {
    let found = fs::read_dir(KEEPALIVED)
        .unwrap_or_else(|error| panic!("{KEEPALIVED}: {error}: run tests/setup.sh test"))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("keepalived.conf"));
    let mut all: Vec<_> = found.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    all.sort();
    assert!(all.len() >= 20, "{} files in {KEEPALIVED}", all.len());
    all
}

/// Lines that begin with one of these words, with their numbers. What is a comment or belongs to one machine only begins
/// with something else.
fn begin_with<'a>(text: &'a str, words: &'a [&str]) -> impl Iterator<Item = (usize, &'a str)> {
    let first = |line: &str| line.split_whitespace().next().is_some_and(|word| words.contains(&word));
    (1..).zip(text.lines()).filter(move |(_, line)| first(line))
}

#[test]
fn every_sample_of_keepalived_becomes_a_file_that_is_accepted() {
    for (path, text) in samples() {
        let imported = import("keepalived", &path).unwrap_or_else(|notes| {
            panic!("{}: {:?}", path.display(), notes.iter().map(|note| &note.message).collect::<Vec<_>>())
        });
        let services =
            begin_with(&text, &["virtual_server"]).filter(|(_, line)| !line.contains("group")).count();
        let groups = begin_with(&text, &["virtual_server"]).count() - services;
        let servers = begin_with(&text, &["real_server"]).count();
        let Imported { services: got, servers: with, notes } = imported;
        let file = path.display();
        if groups == 0 {
            assert_eq!((got, with), (services, servers), "{file}");
        } else {
            // Each address of a group is a service.
            assert!(got > services + groups && with > servers, "{file}: {got} services, {with} servers");
        }
        // Nothing in them is a mystery.
        let mystery = notes.iter().find(|note| note.message.starts_with("not understood"));
        assert_eq!(mystery.map(|note| &note.message), None, "{file}");
    }
}

#[test]
fn what_is_not_handled_in_samples_of_keepalived_is_named_with_its_line() {
    let (mut instances, mut mails) = (0, 0);
    for (path, text) in samples() {
        let Ok(Imported { notes, .. }) = import("keepalived", &path) else { panic!("{}", path.display()) };
        let file = path.display();
        let vrrp = [
            "vrrp_instance",
            "vrrp_sync_group",
            "vrrp_script",
            "static_routes",
            "static_ipaddress",
            "static_rules",
        ];
        for (number, line) in begin_with(&text, &vrrp) {
            let block = line.trim_end_matches(['{', ' ']).trim();
            let said = notes.iter().find(|note| note.line == number);
            let said = said.unwrap_or_else(|| panic!("{file}:{number}: nothing is said of {line:?}"));
            let expected = format!("not handled: `{block}` is about VRRP");
            assert!(said.message.starts_with(&expected), "{file}:{number}: {}", said.message);
            instances += 1;
        }
        // What is the same for all of a kind is said at the first.
        if let Some((number, line)) = begin_with(&text, &["notification_email"]).next() {
            let said = notes.iter().find(|note| note.line == number).map(|note| note.message.as_str());
            assert!(
                said.is_some_and(|said| said.starts_with("not handled: no mail is sent")),
                "{file}: {line}: {said:?}"
            );
            mails += 1;
        }
        for (number, _) in begin_with(&text, &["router_id"]) {
            let said =
                notes.iter().any(|note| note.line == number && note.message.starts_with("not handled"));
            assert!(said, "{file}:{number}: nothing is said of it");
        }
        let lines = text.lines().count();
        assert!(notes.iter().all(|note| (1..=lines).contains(&note.line)), "{file}");
    }
    assert!(instances > 20 && mails > 5, "{instances} blocks of VRRP, {mails} about mail");
}

/// Its one service, and those that it has in comments, each alone with what is for all.
#[test]
fn the_examples_of_ldirectord_become_files_that_are_accepted() {
    let text = fs::read_to_string(LDIRECTORD)
        .unwrap_or_else(|error| panic!("{LDIRECTORD}: {error}: run tests/setup.sh test"));
    let Ok(whole) = import("ldirectord", Path::new(LDIRECTORD)) else { panic!("it is refused as it is") };
    assert_eq!(
        (whole.services, whole.servers),
        (
            1,
            begin_with(&text, &["real=192.168.6.2:80", "real=192.168.6.3:80", "real=192.168.6.6:80"]).count()
        )
    );
    let (line, _) = begin_with(&text, &["autoreload=yes"]).next().unwrap();
    assert!(
        whole.notes.iter().any(|note| note.line == line && note.message.contains("the file is not watched"))
    );

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ldirectord.cf");
    let head: String = text
        .lines()
        .take_while(|line| !line.starts_with("virtual"))
        .map(|line| format!("{line}\n"))
        .collect();
    let lines: Vec<_> = text.lines().collect();
    let (mut accepted, mut refused) = (0, 0);
    for start in (0..lines.len()).filter(|at| lines[*at].starts_with("#virtual")) {
        let body = lines[start + 1..].iter().take_while(|line| line.starts_with("#\t"));
        let example: Vec<_> =
            [lines[start]].into_iter().chain(body.copied()).map(|line| &line[1..]).collect();
        fs::write(&path, format!("{head}{}\n", example.join("\n"))).unwrap();
        let name = example[0];
        let first = head.lines().count() + 1;
        // Names would have to be looked up, and some addresses are written wrong.
        let odd =
            |line: &&&str| line.contains("real=sql") || line.contains("real=") && line.contains("::5060");
        let odd: Vec<_> = (first..).zip(&example).filter(|(_, line)| odd(line)).map(|(n, _)| n).collect();
        match import("ldirectord", &path) {
            Ok(Imported { services, servers, .. }) => {
                assert!(odd.is_empty(), "{name}: {odd:?}");
                assert!(services == 1 && servers >= 2, "{name}: {services} services, {servers} servers");
                accepted += 1;
            }
            Err(notes) => {
                let about = |line: &usize| {
                    notes
                        .iter()
                        .any(|note| note.line == *line && note.message.contains("is not an IP address"))
                };
                assert!(!odd.is_empty() && odd.iter().all(about), "{name}: {odd:?}");
                refused += 1;
            }
        }
    }
    assert!(accepted >= 12 && refused >= 1, "{accepted} accepted, {refused} refused");
}
