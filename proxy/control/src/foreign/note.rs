//! What there is to say about a file that was written for another program.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::config::Excerpt;

/// How much a [`Note`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// Nobody knows this keyword.
    NotUnderstood,
    /// It is understood, and nothing is done about it.
    NotHandled,
    /// It is done, but not quite as the other program does it.
    Changed,
}

impl Severity {
    /// Each, the gravest first.
    pub const ALL: [Self; 4] = [Self::Error, Self::NotUnderstood, Self::NotHandled, Self::Changed];

    /// In two words at most.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::NotUnderstood => "not understood",
            Self::NotHandled => "not handled",
            Self::Changed => "changed",
        }
    }
}

/// A piece of a line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// All of the line.
    text: Arc<str>,
    /// Which bytes of it.
    span: Range<usize>,
}

impl Place {
    /// A line without what surrounds it.
    pub(super) fn line(file: &Arc<str>, line: usize, text: &str) -> Self {
        let start = text.len() - text.trim_start().len();
        Self {
            file: Arc::clone(file),
            line,
            text: text.into(),
            span: start..text.trim_end().len().max(start),
        }
    }

    /// A word of the same line, if it can be found there.
    pub(super) fn find(&self, word: &str) -> Self {
        let found = self.text.find(word).filter(|_| !word.is_empty());
        let span = found.map_or_else(|| self.span.clone(), |at| at..at + word.len());
        Self { span, ..self.clone() }
    }

    /// These bytes of the line.
    pub(super) fn at(&self, span: Range<usize>) -> Self {
        let whole = self.text.is_char_boundary(span.start) && self.text.get(span.clone()).is_some();
        Self { span: if whole { span } else { self.span.clone() }, ..self.clone() }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How much it matters.
    pub severity: Severity,
    /// Where; the first place of several.
    pub place: Place,
    /// What is the matter.
    pub message: String,
    /// What to do.
    pub help: String,
    /// At how many places.
    pub times: usize,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, text, span } = &self.place;
        let column = text[..span.start].chars().count() + 1;
        let width = text[span.clone()].chars().count();
        let mut message = match self.severity {
            Severity::Error => self.message.clone(),
            other => format!("{}: {}", other.words(), self.message),
        };
        match self.times {
            1 => {}
            2 => message += " (and at another place)",
            n => message += &format!(" (and at {} other places)", n - 1),
        }
        Excerpt { name: file, line: *line, column, source: text, width }.write(f, &message, &self.help)
    }
}

/// All that there is to say about a file, in its order. What is said twice is said once, with how often.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    list: Vec<Note>,
    known: HashMap<(Severity, String, String), usize>,
}

impl Notes {
    pub(super) fn add(
        &mut self,
        severity: Severity,
        place: &Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (message, help) = (message.into(), help.into());
        let key = (severity, message.clone(), help.clone());
        if let Some(note) = self.known.get(&key).and_then(|i| self.list.get_mut(*i)) {
            note.times += 1;
            return;
        }
        self.known.insert(key, self.list.len());
        self.list.push(Note { severity, place: place.clone(), message, help, times: 1 });
    }

    pub(super) fn error(&mut self, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Error, place, message, help);
    }

    pub(super) fn unhandled(&mut self, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::NotHandled, place, message, help);
    }

    pub(super) fn changed(&mut self, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Changed, place, message, help);
    }

    /// Brings them into the order of the files. While one is an error, nobody is helped by what would be done differently,
    /// perhaps because of that very error.
    pub(super) fn finish(&mut self) {
        if self.has_errors() {
            self.list.retain(|note| note.severity != Severity::Changed);
        }
        let mut files: Vec<Arc<str>> = Vec::new();
        for note in &self.list {
            if !files.contains(&note.place.file) {
                files.push(Arc::clone(&note.place.file));
            }
        }
        let file = |note: &Note| files.iter().position(|file| *file == note.place.file);
        self.list.sort_by_key(|note| (file(note), note.place.line));
        self.known.clear();
    }

    /// Whether the file cannot be used.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|note| note.severity == Severity::Error)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Note> {
        self.list.iter()
    }

    /// Whether there is nothing to say.
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are of each kind, in words: `1 not understood, 2 changed`. Places that say the same count each.
    pub fn counts(&self) -> String {
        let count = |severity| {
            let n: usize = self.list.iter().filter(|n| n.severity == severity).map(|n| n.times).sum();
            (n > 0).then(|| format!("{n} {}", severity.words()))
        };
        Severity::ALL.into_iter().filter_map(count).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, note) in self.list.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            note.fmt(f)?;
        }
        Ok(())
    }
}
