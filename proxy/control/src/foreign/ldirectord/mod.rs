//! `ldirectord.cf`, as ldirectord 4.12 reads it: ldirectord(8). Settings for all, then virtual services, whose own lines are
//! indented.

mod check;
mod negotiate;
mod options;
mod real;
mod service;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::note::{Notes, Place, Severity};
use super::{Foreign, add_services, read_text};
use crate::nearest::nearest;
use options::Options;
use service::Virtual;

/// `key = value`, and where.
#[derive(Clone, Debug)]
struct Line {
    key: String,
    value: String,
    place: Place,
}

impl Line {
    /// Where the value is.
    fn at(&self) -> Place {
        let text = self.place.text();
        let behind = text.find('=').map_or(0, |at| at + 1);
        let start = text[behind..].find(&self.value).map_or(behind, |at| behind + at);
        self.place.at(start..start + self.value.len())
    }

    /// The value without the quotes around it.
    fn text(&self) -> &str {
        let value = self.value.as_str();
        value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
    }

    /// A command line.
    fn command(&self, notes: &mut Notes) -> Option<String> {
        match super::program(self.text()) {
            Ok(()) => Some(self.text().to_owned()),
            Err((text, help)) => {
                notes.error(&self.at(), text, help);
                None
            }
        }
    }

    fn unknown(&self, known: &[&str], notes: &mut Notes) {
        let help = match nearest(&self.key, known.iter().copied()) {
            Some(best) => format!("did you mean `{best}`?"),
            None => "delete it, or see ldirectord(8)".to_owned(),
        };
        let text = format!("there is no key `{}` here", self.key);
        notes.add(Severity::NotUnderstood, &self.place.find(&self.key), text, help);
    }
}

/// Reads a file.
///
/// # Errors
/// When it cannot be read. Whatever else is wrong with it is in the notes.
pub fn load(path: &Path) -> std::io::Result<Foreign> {
    let text = read_text(path)?;
    let mut foreign = Foreign::default();
    let (globals, virtuals) = lines(&path.display().to_string(), &text, &mut foreign.notes);
    let notes = &mut foreign.notes;
    let mut options = Options::default();
    for line in &globals {
        if !options.take(line, notes) && !options.take_global(line, notes) {
            line.unknown(&options::known(), notes);
        }
    }
    let mut known = HashSet::new();
    for (head, lines) in &virtuals {
        if let Some(service) = Virtual::read(head, lines, &options, notes) {
            let built = service.build(notes);
            add_services(&mut foreign.services, &mut known, built.into_iter().collect(), &head.place, notes);
        }
    }
    foreign.notes.finish();
    Ok(foreign)
}

/// Each virtual service with its lines.
type Virtuals = Vec<(Line, Vec<Line>)>;

/// The lines for all, and those of each virtual service.
fn lines(name: &str, text: &str, notes: &mut Notes) -> (Vec<Line>, Virtuals) {
    let name: Arc<str> = name.into();
    let (mut globals, mut virtuals) = (Vec::new(), Virtuals::new());
    for (i, raw) in text.lines().enumerate() {
        let place = Place::line(&name, i + 1, raw);
        let line = raw.split('#').next().unwrap_or_default();
        if line.trim().is_empty() {
            continue;
        }
        let indented = line.starts_with([' ', '\t']);
        let Some((key, value)) = line.split_once('=') else {
            // The only one that may stand alone.
            if line.trim() == "supervised" {
                continue;
            }
            notes.error(&place, "this is no line `key = value`", "for example checktimeout = 5");
            continue;
        };
        let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
        let line = Line { key, value, place };
        match (indented, virtuals.last_mut()) {
            (false, _) if line.key == "virtual" || line.key == "virtual6" => {
                virtuals.push((line, Vec::new()))
            }
            (false, _) => globals.push(line),
            (true, Some((_, lines))) if !raw.replace('\t', "    ").starts_with("    ") => {
                let help = "indent it by a tab, or by four blanks at least";
                notes.error(&line.place, "is this line of the virtual service, or for all?", help);
                lines.push(line);
            }
            (true, Some((_, lines))) => lines.push(line),
            (true, None) => {
                let help = "write virtual = 10.0.0.1:80 before it, or do not indent it";
                notes.error(&line.place, "no virtual service has begun yet", help);
            }
        }
    }
    (globals, virtuals)
}

#[cfg(test)]
mod tests;
