//! A step of a scenario: what is typed where, what has to come back, what it means.

use std::borrow::Cow;
use std::collections::BTreeMap;

type Text = Cow<'static, str>;

/// One line that is typed on one machine.
pub(crate) struct Step {
    pub(super) part: Option<Text>,
    pub(super) title: Text,
    pub(super) machine: Text,
    pub(super) line: Text,
    pub(super) means: Text,
    pub(super) end: End,
    pub(super) claims: Vec<Claim>,
    pub(super) key: Option<&'static str>,
    pub(super) lines: usize,
    pub(super) restores: bool,
}

/// How the line has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Well,
    Badly,
}

/// Something that has to be so when it has ended.
pub(super) struct Claim {
    pub(super) text: Text,
    pub(super) holds: Box<dyn Fn(&Said<'_>) -> bool>,
}

/// What came back.
pub(crate) struct Said<'a> {
    /// Both outputs.
    pub(crate) text: &'a str,
    pub(super) kept: &'a BTreeMap<&'static str, String>,
}

impl<'a> Said<'a> {
    /// Its lines that are not empty.
    pub(crate) fn lines(&self) -> Vec<&'a str> {
        self.text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
    }

    /// What came back at a step that was told to [`keep`](Step::keep) it.
    pub(crate) fn earlier(&self, key: &str) -> &str {
        self.kept.get(key).map_or("", String::as_str)
    }
}

/// Lines of an answer that are shown where nothing else is said.
const SHOWN: usize = 14;

impl Step {
    /// It has to end well unless something else is said.
    pub(crate) fn new(title: impl Into<Text>, machine: impl Into<Text>, line: impl Into<Text>) -> Self {
        Self {
            part: None,
            title: title.into(),
            machine: machine.into(),
            line: line.into(),
            means: "".into(),
            end: End::Well,
            claims: Vec::new(),
            key: None,
            lines: SHOWN,
            restores: false,
        }
    }

    /// Opens a part of the story.
    pub(crate) fn part(mut self, heading: impl Into<Text>) -> Self {
        self.part = Some(heading.into());
        self
    }

    /// Says what it means.
    pub(crate) fn means(mut self, text: impl Into<Text>) -> Self {
        self.means = text.into();
        self
    }

    /// Something has to be so.
    pub(crate) fn check(
        mut self,
        claim: impl Into<Text>,
        holds: impl Fn(&Said<'_>) -> bool + 'static,
    ) -> Self {
        self.claims.push(Claim { text: claim.into(), holds: Box::new(holds) });
        self
    }

    /// This has to be in the answer.
    pub(crate) fn says(self, text: impl Into<Text>) -> Self {
        let text = text.into();
        self.check(format!("it says: {text}"), move |said| said.text.contains(&*text))
    }

    /// It has to fail, and to say this.
    pub(crate) fn fails(mut self, text: impl Into<Text>) -> Self {
        self.end = End::Badly;
        let text = text.into();
        self.check(format!("it fails, and says: {text}"), move |said| said.text.contains(&*text))
    }

    /// Keeps the answer for later steps.
    pub(crate) fn keep(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }

    /// Shows so many lines of the answer at most.
    pub(crate) fn show(mut self, lines: usize) -> Self {
        self.lines = lines;
        self
    }

    /// Afterwards the machine's links, addresses, routes, rules and settings have to be as they were before the first
    /// step.
    pub(crate) fn restores(mut self) -> Self {
        self.restores = true;
        self
    }
}
