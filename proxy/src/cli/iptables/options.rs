//! Takes words apart into options, as getopt_long does: short ones may be bundled (`-vnL`) and carry their value
//! (`-tmangle`), long ones take it after `=` or as the next word. A `!` turns the next option round.

use super::error::Failure;

/// Every option with a letter, and whether a value must or may follow it.
const LETTERS: [(char, &str); 29] = [
    ('A', "append"),
    ('I', "insert"),
    ('D', "delete"),
    ('C', "check"),
    ('R', "replace"),
    ('L', "list"),
    ('S', "list-rules"),
    ('F', "flush"),
    ('Z', "zero"),
    ('N', "new-chain"),
    ('X', "delete-chain"),
    ('P', "policy"),
    ('E', "rename-chain"),
    ('t', "table"),
    ('p', "protocol"),
    ('s', "source"),
    ('d', "destination"),
    ('i', "in-interface"),
    ('o', "out-interface"),
    ('j', "jump"),
    ('g', "goto"),
    ('m', "match"),
    ('c', "set-counters"),
    ('n', "numeric"),
    ('v', "verbose"),
    ('x', "exact"),
    ('w', "wait"),
    ('h', "help"),
    ('V', "version"),
];

/// Other names of the same.
const SYNONYMS: [(&str, &str); 8] = [
    ("src", "source"),
    ("dst", "destination"),
    ("proto", "protocol"),
    ("new", "new-chain"),
    ("sport", "source-port"),
    ("dport", "destination-port"),
    ("sports", "source-ports"),
    ("dports", "destination-ports"),
];

/// Options without a value: what is bundled behind them is the next option.
const FLAGS: [&str; 6] = ["numeric", "verbose", "exact", "help", "version", "line-numbers"];

/// An option as it was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Its long name.
    pub(super) name: String,
    /// As it was written, for messages.
    pub(super) spelled: String,
    /// A `!` came before it.
    pub(super) not: bool,
    /// The value that hangs on it.
    attached: Option<String>,
}

/// Walks over the words.
pub(super) struct Options<'a> {
    words: &'a [String],
    next: usize,
    bundle: Option<&'a str>,
    not: bool,
}

impl<'a> Options<'a> {
    pub(super) const fn new(words: &'a [String]) -> Self {
        Self { words, next: 0, bundle: None, not: false }
    }

    /// The next option; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Found>, Failure> {
        loop {
            if let Some(rest) = self.bundle.take() {
                return self.short(rest).map(Some);
            }
            let Some(word) = self.words.get(self.next) else { return Ok(None) };
            self.next += 1;
            if word == "!" {
                if std::mem::replace(&mut self.not, true) {
                    return Err(Failure::usage("multiple consecutive ! not allowed"));
                }
                continue;
            }
            match word.strip_prefix("--").map(|long| (long, word)) {
                Some(("", _)) => continue,
                Some((long, word)) => return Ok(Some(self.long(long, word))),
                None => match word.strip_prefix('-') {
                    Some(rest) if !rest.is_empty() => self.bundle = Some(rest),
                    _ => return Err(Failure::Stray(word.clone())),
                },
            }
        }
    }

    /// The value that an option has to have.
    pub(super) fn value(&mut self, option: &Found) -> Result<String, Failure> {
        match option.attached.clone().or_else(|| self.word()) {
            Some(value) => Ok(value),
            None => Err(Failure::usage(format!("option \"{}\" requires an argument", option.spelled))),
        }
    }

    /// The value that it may have.
    pub(super) fn optional(&mut self, option: &Found) -> Option<String> {
        option.attached.clone().or_else(|| self.more())
    }

    /// The next word, unless it begins another option.
    pub(super) fn more(&mut self) -> Option<String> {
        self.words.get(self.next).filter(|word| !word.starts_with(['-', '!']))?;
        self.word()
    }

    fn word(&mut self) -> Option<String> {
        let word = self.words.get(self.next)?;
        self.next += 1;
        Some(word.clone())
    }

    fn short(&mut self, rest: &'a str) -> Result<Found, Failure> {
        let mut chars = rest.chars();
        let letter = chars.next().unwrap_or_default();
        let rest = chars.as_str();
        let spelled = format!("-{letter}");
        let Some((_, name)) = LETTERS.iter().find(|(l, _)| *l == letter) else {
            return Err(unknown(&spelled));
        };
        let flag = FLAGS.contains(name);
        let rest = (!rest.is_empty()).then_some(rest);
        self.bundle = rest.filter(|_| flag);
        let attached = rest.filter(|_| !flag).map(str::to_owned);
        Ok(Found { name: (*name).to_owned(), spelled, not: std::mem::take(&mut self.not), attached })
    }

    fn long(&mut self, long: &str, word: &str) -> Found {
        let (name, attached) =
            long.split_once('=').map_or((long, None), |(name, v)| (name, Some(v.to_owned())));
        let name = SYNONYMS.iter().find(|(other, _)| *other == name).map_or(name, |(_, name)| name);
        let spelled = word.split('=').next().unwrap_or(word).to_owned();
        Found { name: name.to_owned(), spelled, not: std::mem::take(&mut self.not), attached }
    }
}

/// An option that nobody knows.
pub(super) fn unknown(spelled: &str) -> Failure {
    Failure::usage(format!("unknown option \"{spelled}\""))
}
