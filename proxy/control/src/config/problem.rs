//! Errors of a configuration file, with their places.

use std::fmt;
use std::io;
use std::ops::Range;
use std::string::FromUtf8Error;

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// Where: bytes of the file.
    pub span: Range<usize>,
    /// The way out.
    pub help: String,
}

/// Everything that is wrong with a file, in the file's order. [`fmt::Display`] is the whole report: for each problem the
/// place, the line with a mark under it, and the way out.
#[derive(Clone, Debug)]
pub struct ConfigError {
    name: String,
    text: String,
    problems: Vec<Problem>,
    /// The file as a whole: it could not be read.
    unreadable: Option<String>,
}

impl ConfigError {
    pub(super) fn new(name: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|p| (p.span.start, p.span.end));
        Self { name: name.to_owned(), text: text.to_owned(), problems, unreadable: None }
    }

    pub(super) fn unreadable(name: &str, e: &io::Error) -> Self {
        Self { unreadable: Some(e.to_string()), ..Self::new(name, "", Vec::new()) }
    }

    pub(super) fn not_utf8(name: &str, e: &FromUtf8Error) -> Self {
        let at = e.utf8_error().valid_up_to();
        let problem = Problem {
            message: "this byte is not UTF-8 text".to_owned(),
            span: at..at,
            help: "save the file as UTF-8".to_owned(),
        };
        Self::new(name, &String::from_utf8_lossy(e.as_bytes()), vec![problem])
    }

    /// The problems; empty when the file could not be read at all.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Line and column of a byte, both from 1; columns count characters.
    pub fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.before(offset);
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    fn before(&self, offset: usize) -> &str {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        &self.text[..end]
    }

    fn write_problem(&self, f: &mut fmt::Formatter<'_>, problem: &Problem) -> fmt::Result {
        let (line, column) = self.place(problem.span.start);
        let source = self.text.lines().nth(line - 1).unwrap_or_default();
        let marked = self.text.get(problem.span.clone()).and_then(|s| s.lines().next()).unwrap_or_default();
        let excerpt = Excerpt { name: &self.name, line, column, source, width: marked.chars().count() };
        excerpt.write(f, &problem.message, &problem.help)
    }
}

/// A line of a file with a mark under what is meant.
pub(crate) struct Excerpt<'a> {
    /// The file.
    pub(crate) name: &'a str,
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// The line's text.
    pub(crate) source: &'a str,
    /// How many characters are marked; one at least is.
    pub(crate) width: usize,
}

impl Excerpt<'_> {
    /// The place and what is to be said, the line, and the way out; without a newline at the end.
    pub(crate) fn write(&self, f: &mut fmt::Formatter<'_>, message: &str, help: &str) -> fmt::Result {
        let Self { name, line, column, source, width } = *self;
        let (message, source) = (harmless(message), harmless(source));
        let gutter = line.to_string();
        let blank = " ".repeat(gutter.len());
        // Tabs stay tabs, so that the mark stands under its text.
        let indent: String =
            source.chars().take(column - 1).map(|c| if c == '\t' { c } else { ' ' }).collect();
        writeln!(f, "{name}:{line}:{column}: {message}")?;
        writeln!(f, "  {gutter} | {source}")?;
        writeln!(f, "  {blank} | {indent}{}", "^".repeat(width.max(1)))?;
        write!(f, "  {blank} = {help}")
    }
}

/// The text with a mark in place of each character that a terminal would obey; tabs stay.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.unreadable {
            return write!(f, "cannot read {}: {why}", self.name);
        }
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            self.write_problem(f, problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
