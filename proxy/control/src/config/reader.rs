//! Takes a TOML table apart key by key. Every complaint is noted with its place and reading goes on, so that one
//! run finds all the errors of a file.

use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::hints;
use super::problem::Problem;
use crate::duration;

/// Where complaints go.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a complaint.
    pub(super) fn note(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.0.push(Problem { message: message.into(), span, help: help.into() });
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// A table whose keys are known.
pub(super) struct Section<'a> {
    table: &'a DeTable<'a>,
    /// The header, or what stands for it in a complaint about something missing.
    pub(super) span: Range<usize>,
    /// What a reader would call it: `[engine]`, `this service`.
    what: &'static str,
}

impl<'a> Section<'a> {
    /// Begins to read; keys beyond `known` are complained about.
    pub(super) fn new(
        table: &'a DeTable<'a>,
        span: Range<usize>,
        what: &'static str,
        known: &[&str],
        problems: &mut Problems,
    ) -> Self {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let help = hints::unknown(name, known);
                problems.note(key.span(), format!("{what} has no key `{name}`"), help);
            }
        }
        Self { table, span, what }
    }

    /// The raw value of a key.
    pub(super) fn value(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    /// Where a key's value is, or else the section.
    pub(super) fn place_of(&self, key: &str) -> Range<usize> {
        self.value(key).map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// A string.
    pub(super) fn string(&self, key: &str, example: &str, problems: &mut Problems) -> Option<At<&'a str>> {
        let value = self.value(key)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, "a string", example, problems);
            return None;
        };
        Some(At { value: text, span: value.span() })
    }

    /// As [`Section::string`], and its absence is complained about.
    pub(super) fn required(&self, key: &str, example: &str, problems: &mut Problems) -> Option<At<&'a str>> {
        if self.value(key).is_none() {
            self.missing(key, example, problems);
        }
        self.string(key, example, problems)
    }

    /// A whole number from `range`.
    pub(super) fn integer(
        &self,
        key: &str,
        range: RangeInclusive<u64>,
        problems: &mut Problems,
    ) -> Option<At<u64>> {
        let value = self.value(key)?;
        match integer(value.get_ref()) {
            Some(n) if range.contains(&n) => Some(At { value: n, span: value.span() }),
            _ => {
                let (low, high) = (range.start(), range.end());
                let help = format!("write a whole number from {low} to {high}");
                problems.note(value.span(), format!("`{key}` is not a whole number in range"), help);
                None
            }
        }
    }

    /// True or false.
    pub(super) fn boolean(&self, key: &str, problems: &mut Problems) -> Option<At<bool>> {
        let value = self.value(key)?;
        let on = value.get_ref().as_bool();
        if on.is_none() {
            self.wrong_type(key, value, "true or false", "true", problems);
        }
        on.map(|on| At { value: on, span: value.span() })
    }

    /// A time: a whole number of seconds, or a string with a unit.
    pub(super) fn seconds(
        &self,
        key: &str,
        range: RangeInclusive<u32>,
        problems: &mut Problems,
    ) -> Option<At<u32>> {
        let help = |low: u32, high: u32| {
            format!("write {low} to {high} seconds, or a string with a unit: \"30s\", \"5m\", \"1h\"")
        };
        self.time(key, range, (1, duration::seconds), help, problems)
    }

    /// A time down to milliseconds, in milliseconds: a whole number of seconds, or a string with a unit.
    pub(super) fn millis(
        &self,
        key: &str,
        range: RangeInclusive<u32>,
        problems: &mut Problems,
    ) -> Option<At<u32>> {
        let help = |low: u32, high: u32| {
            let high = high / 1000;
            format!(
                "write {low} milliseconds to {high} seconds: \"500ms\", \"2s\", \"5m\"; a bare number is seconds"
            )
        };
        self.time(key, range, (1000, duration::millis), help, problems)
    }

    /// A time in this unit: how many of it are a second, and how it is read from a string.
    fn time(
        &self,
        key: &str,
        range: RangeInclusive<u32>,
        (second, read): (u32, fn(&str) -> Option<u32>),
        help: impl Fn(u32, u32) -> String,
        problems: &mut Problems,
    ) -> Option<At<u32>> {
        let value = self.value(key)?;
        let time = match value.get_ref() {
            DeValue::String(text) => read(text),
            number => integer(number).and_then(|n| u32::try_from(n).ok()?.checked_mul(second)),
        };
        match time {
            Some(n) if range.contains(&n) => Some(At { value: n, span: value.span() }),
            _ => {
                let help = help(*range.start(), *range.end());
                problems.note(value.span(), format!("`{key}` is not a time in range"), help);
                None
            }
        }
    }

    /// A table, `[name]`, with its place.
    pub(super) fn table(
        &self,
        key: &str,
        header: &str,
        problems: &mut Problems,
    ) -> Option<(&'a DeTable<'a>, Range<usize>)> {
        let value = self.value(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            let help = format!("begin it with the line {header}");
            problems.note(value.span(), format!("`{key}` has to be a table"), help);
        }
        table.map(|table| (table, value.span()))
    }

    /// An array of tables, `[[name]]`.
    pub(super) fn tables(
        &self,
        key: &str,
        header: &str,
        problems: &mut Problems,
    ) -> Vec<At<&'a DeTable<'a>>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            let help = format!("each one begins with the line {header}");
            problems.note(value.span(), format!("`{key}` has to be a list of tables"), help);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_table() {
                Some(table) => tables.push(At { value: table, span: item.span() }),
                None => problems.note(
                    item.span(),
                    "this has to be a table",
                    format!("begin it with the line {header}"),
                ),
            }
        }
        tables
    }

    /// An array.
    pub(super) fn array(
        &self,
        key: &str,
        example: &str,
        problems: &mut Problems,
    ) -> Option<At<&'a DeArray<'a>>> {
        let Some(value) = self.value(key) else {
            self.missing(key, example, problems);
            return None;
        };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list", example, problems);
            return None;
        };
        Some(At { value: array, span: value.span() })
    }

    /// Complains that a key is missing.
    pub(super) fn missing(&self, key: &str, example: &str, problems: &mut Problems) {
        problems.note(
            self.span.clone(),
            format!("{} has no `{key}`", self.what),
            format!("add {key} = {example}"),
        );
    }

    fn wrong_type(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        wanted: &str,
        example: &str,
        problems: &mut Problems,
    ) {
        let found = value.get_ref().type_str();
        problems.note(
            value.span(),
            format!("`{key}` has to be {wanted}, not {found}"),
            format!("for example {key} = {example}"),
        );
    }
}

/// The value of a whole number that is not negative.
pub(super) fn integer(value: &DeValue<'_>) -> Option<u64> {
    let n = value.as_integer()?;
    u64::from_str_radix(n.as_str(), n.radix()).ok()
}
