//! Parameters: `$NAME=value`, `${NAME}`, and the lines that sequences and lists repeat.

use std::collections::HashMap;
use std::path::Path;

use crate::foreign::note::{Notes, Place};

/// Parameters and their values.
type Round = Vec<(String, String)>;

/// More rounds than this are a mistake.
const MOST_ROUNDS: i64 = 1_000_000;

/// What is defined so far; a value is one line or several.
#[derive(Debug)]
pub(super) struct Params {
    known: HashMap<String, Vec<String>>,
}

impl Params {
    pub(super) fn new(id: &str) -> Self {
        let mut params = Self { known: HashMap::new() };
        params.define("_INSTANCE", vec![id.to_owned()]);
        params.define("_HASH", vec!["#".to_owned()]);
        params.define("_BANG", vec!["!".to_owned()]);
        params
    }

    pub(super) fn is_name(name: &str) -> bool {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        !name.is_empty() && name.bytes().all(legal) && !name.as_bytes()[0].is_ascii_digit()
    }

    pub(super) fn define(&mut self, name: &str, value: Vec<String>) {
        self.known.insert(name.to_owned(), value);
    }

    /// The directory of the file that is being read.
    pub(super) fn set_dir(&mut self, dir: &Path) {
        self.define("_PWD", vec![dir.display().to_string()]);
    }

    /// What a line is with its parameters replaced once, those that are defined; nothing if it has none of them.
    pub(super) fn replace(&self, line: &str, place: &Place, notes: &mut Notes) -> Option<Vec<String>> {
        let (mut lines, mut rest, mut found) = (vec![String::new()], line, false);
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            push(&mut lines, before);
            let value =
                reference(from).and_then(|(name, length)| Some((self.value(name, place, notes)?, length)));
            if let Some((value, length)) = value {
                found = true;
                for (i, part) in value.iter().enumerate() {
                    if i > 0 {
                        lines.push(String::new());
                    }
                    push(&mut lines, part);
                }
                rest = &from[length..];
            } else {
                push(&mut lines, "$");
                rest = &from[1..];
            }
        }
        push(&mut lines, rest);
        found.then_some(lines)
    }

    fn value(&self, name: &str, place: &Place, notes: &mut Notes) -> Option<Vec<String>> {
        let Some(range) = name.strip_prefix("_RANDOM") else { return self.known.get(name).cloned() };
        let least = range.split_whitespace().next().unwrap_or("0");
        let help = "write the number that you want";
        notes.changed(place, format!("a random number is always the least that it can be, {least}"), help);
        Some(vec![least.to_owned()])
    }

    /// Takes `~SEQ(var, first, step, last)`, `~SEQx(…)` or `~LST(var, value, …)` off the beginning of a line: what is
    /// defined in each round, and what is repeated.
    ///
    /// # Errors
    /// How it is written.
    pub(super) fn repetition<'l>(&self, line: &'l str) -> Result<(Vec<Round>, &'l str), String> {
        const HELP: &str =
            "write ~SEQ(VAR, first, step, last) or ~LST(VAR, one, another) before what is repeated";
        let (kind, rest) = line.split_once('(').ok_or(HELP)?;
        let end = closing(rest).ok_or(HELP)?;
        let (inner, rest) = (&rest[..end], &rest[end + 1..]);
        // Numbers may be parameters.
        let inner = self.flat(inner);
        let parts = split(&inner);
        let rounds = match kind.trim_end() {
            "~LST" => list(&parts),
            "~SEQ" => sequence(&parts, false),
            "~SEQx" => sequence(&parts, true),
            _ => None,
        };
        rounds.map(|rounds| (rounds, rest)).ok_or_else(|| HELP.to_owned())
    }

    fn flat(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for _ in 0..20 {
            let Some((at, (name, length))) = text.match_indices('$').find_map(|(at, _)| {
                let found = reference(&text[at..])?;
                self.known.contains_key(found.0).then_some((at, found))
            }) else {
                break;
            };
            let value = self.known[name].join(" ");
            text.replace_range(at..at + length, &value);
        }
        text
    }
}

fn push(lines: &mut [String], text: &str) {
    if let Some(last) = lines.last_mut() {
        last.push_str(text);
    }
}

/// The name of a parameter that this text begins with, and how long it is with what is around it.
fn reference(text: &str) -> Option<(&str, usize)> {
    let rest = text.strip_prefix('$')?;
    if let Some(inner) = rest.strip_prefix('{') {
        let name = &inner[..inner.find('}')?];
        let random =
            name.starts_with("_RANDOM") && name[7..].bytes().all(|b| b == b' ' || b.is_ascii_digit());
        return (Params::is_name(name) || random).then_some((name, name.len() + 3));
    }
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    Params::is_name(&rest[..end]).then_some((&rest[..end], end + 1))
}

/// Where the parenthesis ends that has been opened before this text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    text.char_indices().find_map(|(at, c)| {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
        None
    })
}

/// What is between commas, those within braces apart.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[from..].trim());
    parts
}

fn list(parts: &[&str]) -> Option<Vec<Round>> {
    let inner = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        Some(inner) => split(inner).into_iter().map(str::to_owned).collect::<Vec<_>>(),
        None => vec![part.to_owned()],
    };
    let (names, values) = parts.split_first()?;
    let names = inner(names);
    if values.is_empty() || !names.iter().all(|name| Params::is_name(name)) {
        return None;
    }
    let round = |value: &&str| {
        let values = inner(value);
        (values.len() == names.len()).then(|| names.iter().cloned().zip(values).collect())
    };
    values.iter().map(round).collect()
}

fn sequence(parts: &[&str], hex: bool) -> Option<Vec<Round>> {
    let number = |text: &str| match text.split_once("0x") {
        Some((sign @ ("" | "-"), digits)) => i64::from_str_radix(&format!("{sign}{digits}"), 16).ok(),
        _ => text.parse::<i64>().ok(),
    };
    let (name, numbers) = parts.split_first()?;
    let numbers = numbers.iter().map(|text| number(text)).collect::<Option<Vec<_>>>()?;
    let way = |first: i64, last: i64| if last < first { -1 } else { 1 };
    let (first, step, last) = match numbers[..] {
        [last] => (last.signum(), way(0, last), last),
        [first, last] => (first, way(first, last), last),
        [first, step, last] => (first, step, last),
        _ => return None,
    };
    let rounds = last.checked_sub(first)?.checked_div(step)?;
    if !Params::is_name(name) || !(0..MOST_ROUNDS).contains(&rounds) {
        return None;
    }
    let value = |n: i64| if hex { format!("{n:x}") } else { n.to_string() };
    Some((0..=rounds).map(|i| vec![((*name).to_owned(), value(first + i * step))]).collect())
}
