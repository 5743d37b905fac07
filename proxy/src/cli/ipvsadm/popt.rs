//! Takes words apart into options, with the rules of the popt library that ipvsadm is built on: short options may be
//! bundled (`-Ln`) and carry their value (`-t10.0.0.1:80`, `-srr`, `-s=rr`), long ones take it after `=` or as the next
//! word, and may not be abbreviated.

use super::Failure;
use super::opts::{ENTRIES, Entry, Value};

/// An option with its value.
pub(super) struct Item<'a> {
    pub(super) entry: &'static Entry,
    pub(super) value: Option<&'a str>,
    /// The last word of it: the whole of a bundle, or a value that stands alone.
    pub(super) word: &'a str,
}

/// Walks over the words.
pub(super) struct Popt<'a> {
    words: &'a [String],
    /// The next word to look at.
    next: usize,
    /// The rest of a bundle, and the word that it is part of.
    bundle: Option<(&'a str, &'a str)>,
    /// What is no option.
    pub(super) strays: Vec<&'a str>,
}

impl<'a> Popt<'a> {
    pub(super) const fn new(words: &'a [String]) -> Self {
        Self { words, next: 0, bundle: None, strays: Vec::new() }
    }

    /// The next option; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Item<'a>>, Failure> {
        loop {
            if let Some((rest, word)) = self.bundle.take() {
                return self.short(rest, word).map(Some);
            }
            let Some(word) = self.word() else { return Ok(None) };
            match word.strip_prefix('-') {
                Some("-") => {
                    self.strays.extend(self.words[self.next..].iter().map(String::as_str));
                    self.next = self.words.len();
                }
                None | Some("") => self.strays.push(word),
                Some(rest) => match rest.strip_prefix('-') {
                    Some(long) => return self.long(long, word).map(Some),
                    None => self.bundle = Some((rest, word)),
                },
            }
        }
    }

    fn word(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.next)?;
        self.next += 1;
        Some(word)
    }

    fn short(&mut self, rest: &'a str, word: &'a str) -> Result<Item<'a>, Failure> {
        let mut chars = rest.chars();
        let letter = chars.next().unwrap_or_default();
        let rest = chars.as_str();
        let entry = ENTRIES.iter().find(|e| e.short == Some(letter)).ok_or_else(|| unknown(word))?;
        let attached = (!rest.is_empty()).then(|| rest.strip_prefix('=').unwrap_or(rest));
        if entry.value == Value::Flag {
            self.bundle = (!rest.is_empty()).then_some((rest, word));
            return Ok(Item { entry, value: None, word });
        }
        self.with_value(entry, attached, word)
    }

    fn long(&mut self, text: &'a str, word: &'a str) -> Result<Item<'a>, Failure> {
        let (name, attached) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let entry = ENTRIES.iter().find(|e| e.long == name).ok_or_else(|| unknown(word))?;
        if entry.value == Value::Flag && attached.is_some() {
            return Err(Failure::refused(format!("{word}: option does not take an argument")));
        }
        self.with_value(entry, attached, word)
    }

    fn with_value(
        &mut self,
        entry: &'static Entry,
        attached: Option<&'a str>,
        word: &'a str,
    ) -> Result<Item<'a>, Failure> {
        let apart = match entry.value {
            _ if attached.is_some() => None,
            Value::Flag => None,
            Value::Needs(_) => Some(self.word().ok_or_else(|| missing(word))?),
            Value::May(_) => self.word_unless_option(),
        };
        Ok(Item { entry, value: attached.or(apart), word: apart.unwrap_or(word) })
    }

    fn word_unless_option(&mut self) -> Option<&'a str> {
        self.words.get(self.next).filter(|w| !w.starts_with('-'))?;
        self.word()
    }
}

fn unknown(word: &str) -> Failure {
    Failure::refused(format!("{word}: unknown option"))
}

fn missing(word: &str) -> Failure {
    Failure::refused(format!("{word}: missing argument"))
}
