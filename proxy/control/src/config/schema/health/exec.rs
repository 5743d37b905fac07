//! What is asked of this host: commands and files.

use sched::{CheckKind, ExecCheck, FileCheck};
use toml::de::DeValue;

use super::super::super::reader::{Problems, Section};
use super::super::values::{path, strings};
use crate::health::command;

pub(super) const KEYS: &[&str] = &["command", "user", "dynamic"];
pub(super) const FILE_KEYS: &[&str] = &["path", "weight", "reverse", "dynamic"];
const COMMAND: &str = "[\"/usr/local/bin/check\", \"--fast\"]";

/// `command = ["/path", "arg"]`, or one string.
pub(super) fn exec(section: &Section<'_>, problems: &mut Problems) -> Option<CheckKind> {
    let user = user(section, problems)?;
    let dynamic = section.boolean("dynamic", problems).is_some_and(|on| on.value);
    let Some(value) = section.value("command") else {
        section.missing("command", COMMAND, problems);
        return None;
    };
    let command: Vec<String> = match value.get_ref() {
        DeValue::String(text) => words(text, value.span(), problems)?,
        _ => {
            strings(section, "command", COMMAND, problems)?.iter().map(|word| word.value.to_owned()).collect()
        }
    };
    let Some(program) = command.first().filter(|program| !program.is_empty()) else {
        problems.note(value.span(), "`command` names no program", format!("for example command = {COMMAND}"));
        return None;
    };
    program_is_found(program, value.span(), problems)?;
    Some(CheckKind::Exec(ExecCheck { command, user, dynamic }))
}

/// The words of a command line.
pub(super) fn words(
    line: &str,
    place: std::ops::Range<usize>,
    problems: &mut Problems,
) -> Option<Vec<String>> {
    let words = command::words(line);
    if words.is_none() {
        let help = "close it; or for a check write a list: command = [\"/usr/local/bin/check\", \"it's\"]";
        problems.note(place, "a quote begins in this command that does not end", help);
    }
    words
}

/// Who runs a command: nothing if that is not said; `None` if it cannot be anybody.
pub(super) fn user(section: &Section<'_>, problems: &mut Problems) -> Option<Option<String>> {
    let Some(user) = section.string("user", "\"nobody:nogroup\"", problems) else { return Some(None) };
    if user.value.split(':').any(str::is_empty) || user.value.split(':').count() > 2 {
        let help = "a user, or a user and a group: user = \"nobody:nogroup\"";
        problems.note(user.span, format!("`{}` is no user", user.value), help);
        return None;
    }
    Some(Some(user.value.to_owned()))
}

/// A relative path would mean another file wherever ulvs is started; a name alone is looked for in PATH.
pub(super) fn program_is_found(
    program: &str,
    place: std::ops::Range<usize>,
    problems: &mut Problems,
) -> Option<()> {
    if program.contains('/') && !program.starts_with('/') {
        let text = format!("`{program}` is somewhere else wherever ulvs is started");
        problems.note(place, text, "write the whole path: \"/usr/local/bin/check\"");
        return None;
    }
    Some(())
}

/// `path = "/run/weight"`, a number in a file.
pub(super) fn file(section: &Section<'_>, problems: &mut Problems) -> Option<CheckKind> {
    if section.value("path").is_none() {
        section.missing("path", "\"/run/weight\"", problems);
    }
    let path = path(section, "path", "\"/run/weight\"", problems);
    let weight = match section.value("weight") {
        None => Some(1),
        Some(value) => {
            let number = value.get_ref().as_integer();
            let number = number.and_then(|n| i16::from_str_radix(n.as_str(), n.radix()).ok());
            let number = number.filter(|n| (-254..=254).contains(n));
            if number.is_none() {
                let help = "the file's number is multiplied with it: write a whole number from -254 to 254";
                problems.note(value.span(), "`weight` is not a whole number in range", help);
            }
            number
        }
    };
    let reverse = section.boolean("reverse", problems).is_some_and(|on| on.value);
    let dynamic = section.boolean("dynamic", problems).is_some_and(|on| on.value);
    Some(CheckKind::File(FileCheck { path: path?, weight: weight?, reverse, dynamic }))
}
