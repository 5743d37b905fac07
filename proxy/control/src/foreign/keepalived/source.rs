//! The lines of a file as keepalived's parser gets them: those of included files in their place, conditional ones as they
//! apply, parameters replaced by what they stand for.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::glob::glob;
use super::params::Params;
use super::words::without_comment;
use crate::foreign::note::{Notes, Place};
use crate::foreign::read_text;

/// Some ten thousand servers; definitions that expand to more are a mistake.
const MOST_LINES: usize = 1_000_000;
/// A line that parameters have made longer is one, too.
const LONGEST: usize = 64 << 10;
/// Definitions that use one another.
const DEEPEST: usize = 50;

/// A line, and where it was written; what is a parameter there is replaced here.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) place: Place,
}

/// Reads a file and what it includes; `id` is what conditional lines are compared with.
///
/// # Errors
/// When the file itself cannot be read.
pub(super) fn read(path: &Path, id: &str, notes: &mut Notes) -> std::io::Result<Vec<Line>> {
    let text = read_text(path)?;
    let mut reader = Reader::new(id, notes);
    reader.file(path, &text);
    Ok(reader.lines)
}

struct Reader<'a> {
    id: &'a str,
    notes: &'a mut Notes,
    lines: Vec<Line>,
    params: Params,
    /// The files that are being read, outermost first.
    within: Vec<PathBuf>,
    /// Where the innermost of them is.
    dir: PathBuf,
    /// Lines that have been looked at, those among them that parameters have become.
    seen: usize,
    full: bool,
}

impl<'a> Reader<'a> {
    fn new(id: &'a str, notes: &'a mut Notes) -> Self {
        Self {
            id,
            notes,
            lines: Vec::new(),
            params: Params::new(id),
            within: Vec::new(),
            dir: PathBuf::new(),
            seen: 0,
            full: false,
        }
    }

    fn file(&mut self, path: &Path, text: &str) {
        let name: Arc<str> = path.display().to_string().into();
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let dir = absolute.parent().unwrap_or_else(|| Path::new("/")).to_owned();
        self.within.push(absolute.canonicalize().unwrap_or(absolute));
        self.params.set_dir(&dir);
        let outer = std::mem::replace(&mut self.dir, dir);
        // A definition that goes on: its name, and the lines so far.
        let mut definition: Option<(String, Vec<String>, Place)> = None;
        for (i, raw) in text.lines().enumerate() {
            let place = Place::line(&name, i + 1, raw);
            let line = without_comment(raw).trim();
            if let Some((param, mut value, at)) = definition.take() {
                let more = line.strip_suffix('\\');
                value.extend(Some(more.unwrap_or(line).trim()).filter(|s| !s.is_empty()).map(str::to_owned));
                match more {
                    Some(_) => definition = Some((param, value, at)),
                    None => self.params.define(&param, value),
                }
            } else if let Some((param, first)) = begin_of_definition(line) {
                let first = Some(first.trim()).filter(|s| !s.is_empty()).map(str::to_owned);
                definition = Some((param.to_owned(), first.into_iter().collect(), place));
            } else {
                self.line(line, &place, 0);
            }
        }
        if let Some((param, _, at)) = definition {
            let help = "its last line is the first one without a \\ at the end";
            self.notes.error(&at, format!("the definition of ${param} does not end"), help);
        }
        self.within.pop();
        self.dir = outer;
        self.params.set_dir(&self.dir);
    }

    fn include(&mut self, pattern: &str, place: &Place) {
        let pattern = pattern.trim_matches(['"', '\'']);
        if pattern.is_empty() {
            self.notes.error(
                place,
                "this includes nothing",
                "name a file, or several: include conf.d/*.conf",
            );
            return;
        }
        let place = place.find(pattern);
        let paths = glob(&self.dir.join(pattern).display().to_string());
        if paths.is_empty() {
            self.notes.unhandled(&place, "no file is named like this", "delete the line, or make the file");
        }
        for path in paths {
            let known = path.canonicalize().unwrap_or_else(|_| path.clone());
            if self.within.contains(&known) {
                let text = format!("{} includes itself", path.display());
                self.notes.error(&place, text, "take the line out of one of the files");
                continue;
            }
            // Whoever reads a FIFO waits for somebody who writes.
            if path.metadata().is_ok_and(|what| !what.is_file()) {
                let text = format!("{} is no regular file, and is not read", path.display());
                self.notes.unhandled(&place, text, "name files, as in *.conf");
                continue;
            }
            match read_text(&path) {
                Ok(text) => self.file(&path, &text),
                // As keepalived does; what is there and cannot be read is another matter.
                Err(e) if e.kind() == ErrorKind::NotFound => {
                    let text = format!("{} is not there", path.display());
                    self.notes.unhandled(&place, text, "make the file, or delete the line");
                }
                Err(e) => {
                    let text = format!("cannot read {}: {e}", path.display());
                    self.notes.error(&place, text, "let it be read, or delete the line");
                }
            }
        }
    }

    /// A line without its comment, or what a part of one has become.
    fn line(&mut self, line: &str, place: &Place, depth: usize) {
        let line = line.trim_start();
        if line.is_empty() || self.full {
            return;
        }
        self.seen += 1;
        if depth > DEEPEST || depth > 0 && line.len() > LONGEST {
            self.full = true;
            let help = "a parameter stands for itself, or nearly so: see what it is defined as";
            self.notes.error(place, "parameters here use one another without an end", help);
        } else if self.seen > MOST_LINES {
            self.full = true;
            let help = "see what the definitions and sequences before this expand to";
            self.notes.error(place, format!("there are more than {MOST_LINES} lines"), help);
        } else if let Some(conditional) = line.strip_prefix('@') {
            let (id, rest) = conditional.split_once(char::is_whitespace).unwrap_or((conditional, ""));
            let (wanted, id) = id.strip_prefix('^').map_or((true, id), |id| (false, id));
            if (id == self.id) == wanted {
                self.line(rest, place, depth);
            }
        } else if let Some((param, value)) = definition(line) {
            self.params.define(param, vec![value.trim().to_owned()]);
        } else if line.starts_with("~SEQ") || line.starts_with("~LST") {
            match self.params.repetition(line) {
                Ok((rounds, rest)) => {
                    for round in rounds {
                        round.into_iter().for_each(|(name, value)| self.params.define(&name, vec![value]));
                        self.line(rest, place, depth + 1);
                    }
                }
                Err(help) => self.notes.error(place, "this is no list and no sequence", help),
            }
        } else if let Some(lines) = self.params.replace(line, place, self.notes) {
            lines.iter().for_each(|line| self.line(line, place, depth + 1));
        } else if let Some(pattern) = included(line) {
            self.include(pattern, place);
        } else {
            self.lines.push(Line { text: line.trim_end().to_owned(), place: place.clone() });
        }
    }
}

/// `$NAME=value`: a line that begins like this.
fn definition(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix('$')?.split_once('=')?;
    Params::is_name(name).then_some((name, value))
}

/// The same with a `\` at the end.
fn begin_of_definition(line: &str) -> Option<(&str, &str)> {
    let (name, value) = definition(line)?;
    Some((name, value.strip_suffix('\\')?))
}

/// What a line includes.
fn included(line: &str) -> Option<&str> {
    let (word, pattern) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let plain = word.strip_prefix("include")?;
    matches!(plain, "" | "r" | "m" | "w" | "b" | "a").then(|| pattern.trim())
}
