//! `notify`: commands that are told.

use sched::{Notify, NotifyCommand};
use toml::de::DeValue;

use super::super::super::reader::{Problems, Section};
use super::exec::{program_is_found, user, words};

const OF_SERVICE: &[&str] = &["change", "up", "down", "quorum_up", "quorum_down", "at_stop", "user"];
const OF_SERVER: &[&str] = &["up", "down"];
const OF_COMMAND: &[&str] = &["command", "user"];
const COMMAND: &str = "\"/usr/local/bin/notify\"";

/// `notify = "/usr/local/bin/notify"`, of each transition; or a table of several.
pub(super) fn of_service(section: &Section<'_>, problems: &mut Problems) -> Notify {
    let Some(value) = section.value("notify") else { return Notify::default() };
    let DeValue::Table(table) = value.get_ref() else {
        return Notify { change: command(section, "notify", problems), ..Notify::default() };
    };
    let inner = Section::new(table, value.span(), "`notify`", OF_SERVICE, problems);
    Notify {
        change: command(&inner, "change", problems),
        up: command(&inner, "up", problems),
        down: command(&inner, "down", problems),
        quorum_up: command(&inner, "quorum_up", problems),
        quorum_down: command(&inner, "quorum_down", problems),
        at_stop: inner.boolean("at_stop", problems).is_some_and(|on| on.value),
        user: user(&inner, problems).flatten(),
        ..Notify::default()
    }
}

/// `notify = { up = "...", down = "..." }` of a server.
pub(in super::super) fn of_server(
    section: &Section<'_>,
    problems: &mut Problems,
) -> Option<[Option<NotifyCommand>; 2]> {
    let value = section.value("notify")?;
    let DeValue::Table(table) = value.get_ref() else {
        let text = "`notify` of a server says who is told of what";
        problems.note(value.span(), text, format!("for example notify = {{ down = {COMMAND} }}"));
        return None;
    };
    let inner = Section::new(table, value.span(), "`notify` of a server", OF_SERVER, problems);
    Some([command(&inner, "up", problems), command(&inner, "down", problems)])
}

/// `up = "/usr/local/bin/up"`, or `up = { command = "/usr/local/bin/up", user = "nobody" }`.
fn command(section: &Section<'_>, key: &str, problems: &mut Problems) -> Option<NotifyCommand> {
    let value = section.value(key)?;
    let DeValue::Table(table) = value.get_ref() else {
        return line(section, key, problems).map(NotifyCommand::from);
    };
    let inner = Section::new(table, value.span(), "a command of `notify`", OF_COMMAND, problems);
    if inner.value("command").is_none() {
        let help = format!("for example {key} = {{ command = {COMMAND}, user = \"nobody\" }}");
        problems.note(value.span(), format!("`{key}` has no `command`"), help);
        return None;
    }
    let line = line(&inner, "command", problems);
    Some(NotifyCommand { user: user(&inner, problems)?, line: line? })
}

/// A program and its arguments.
fn line(section: &Section<'_>, key: &str, problems: &mut Problems) -> Option<String> {
    let text = section.string(key, COMMAND, problems)?;
    let words = words(text.value, text.span.clone(), problems)?;
    let Some(program) = words.first() else {
        let help = format!("for example {key} = {COMMAND}");
        problems.note(text.span, format!("`{key}` names no program"), help);
        return None;
    };
    program_is_found(program, text.span, problems)?;
    Some(text.value.to_owned())
}
