//! Values of one kind that several sections have: words, lists of strings, names of files and devices.

use std::path::PathBuf;

use super::super::reader::{At, Problems, Section};

/// One of a few words.
pub(super) fn word<T: Copy>(
    section: &Section<'_>,
    key: &str,
    all: &[T],
    name: fn(T) -> &'static str,
    problems: &mut Problems,
) -> Option<T> {
    let quoted = || all.iter().map(|one| format!("\"{}\"", name(*one))).collect::<Vec<_>>();
    let text = section.string(key, &quoted()[0], problems)?;
    let found = all.iter().copied().find(|one| name(*one) == text.value);
    if found.is_none() {
        let help = format!("there are {key} = {}", quoted().join(", "));
        problems.note(text.span, format!("`{key}` cannot be `{}`", text.value), help);
    }
    found
}

/// The strings of a list, each with its place.
pub(super) fn strings<'a>(
    section: &Section<'a>,
    key: &str,
    example: &str,
    problems: &mut Problems,
) -> Option<Vec<At<&'a str>>> {
    section.value(key)?;
    let array = section.array(key, example, problems)?;
    let mut all = Vec::new();
    for item in array.value.iter() {
        match item.get_ref().as_str() {
            Some(value) => all.push(At { value, span: item.span() }),
            None => {
                let help = format!("for example {key} = {example}");
                problems.note(item.span(), format!("`{key}` is a list of strings"), help);
            }
        }
    }
    Some(all)
}

/// The name of a file.
pub(super) fn path(
    section: &Section<'_>,
    key: &str,
    example: &str,
    problems: &mut Problems,
) -> Option<PathBuf> {
    let text = section.string(key, example, problems)?;
    if text.value.is_empty() {
        problems.note(text.span, format!("`{key}` names no file"), format!("for example {key} = {example}"));
        return None;
    }
    Some(PathBuf::from(text.value))
}

/// Whether a device can have this name: what the kernel's `dev_valid_name` takes, and no `%`, which would make it a pattern.
pub fn is_device_name(name: &str) -> bool {
    let legal = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '/' | ':' | '%');
    (1..=15).contains(&name.len()) && name != "." && name != ".." && name.chars().all(legal)
}
