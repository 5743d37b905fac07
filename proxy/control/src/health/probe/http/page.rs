//! A page, and what is expected of it.

use md5::{Digest, Md5};
use regex::bytes::{Regex, RegexBuilder};
use sched::{BodyTest, HttpUrl};

/// As much of a body is looked at.
const LOOKED_AT: usize = 1 << 20;
/// As much of a body an MD5 is taken of.
const DIGESTED: u64 = 64 << 20;
/// A pattern that takes more memory is refused.
const PATTERN: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Page {
    pub method: String,
    pub path: String,
    pub host: Option<String>,
    status: Vec<(u16, u16)>,
    tests: Vec<Test>,
}

#[derive(Debug)]
enum Test {
    Contains { text: String, finder: Regex },
    Md5([u8; 16]),
    Matches { pattern: String, regex: Regex, negate: bool, min_offset: usize, max_offset: usize },
}

/// What is kept of a body while it comes.
pub(super) struct Body {
    kept: Vec<u8>,
    keeps: bool,
    md5: Option<Md5>,
    length: u64,
}

impl Page {
    pub(super) fn new(url: &HttpUrl) -> Result<Self, String> {
        let HttpUrl { method, path, host, status, body } = url;
        let odd = |text: &str| text.chars().any(|c| c.is_control() || c.is_whitespace());
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if method.is_empty() || !method.bytes().all(token) || method == "CONNECT" {
            return Err(format!(
                "`{}` is no method to ask with: write GET, HEAD or OPTIONS",
                method.escape_debug()
            ));
        }
        if !(path.starts_with('/') || path == "*" && method == "OPTIONS") {
            return Err(format!("the path `{}` does not begin with `/`", path.escape_debug()));
        }
        if odd(path) {
            return Err(format!(
                "the path `{}` has a space or a control character in it",
                path.escape_debug()
            ));
        }
        if let Some(host) = host.as_ref().filter(|host| host.is_empty() || odd(host)) {
            return Err(format!("`{}` is no host", host.escape_debug()));
        }
        if let Some((first, last)) =
            status.iter().find(|(a, b)| !(100..=599).contains(a) || !(*a..=599).contains(b))
        {
            return Err(format!("{} is no status: they are 100 to 599", range(*first, *last)));
        }
        if method == "HEAD" && !body.is_empty() {
            return Err("the answer to HEAD has no body: ask with GET, or expect nothing of it".into());
        }
        Ok(Self {
            method: method.clone(),
            path: path.clone(),
            host: host.clone(),
            status: if status.is_empty() { vec![(200, 299)] } else { status.clone() },
            tests: body.iter().map(Test::new).collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn judge_status(&self, status: u16) -> Result<(), String> {
        if self.status.iter().any(|(first, last)| (*first..=*last).contains(&status)) {
            return Ok(());
        }
        let ranges: Vec<_> = self.status.iter().map(|(first, last)| range(*first, *last)).collect();
        Err(format!("status {status} where {} was expected", ranges.join(", ")))
    }

    pub(super) fn body(&self) -> Body {
        let digests = self.tests.iter().any(|test| matches!(test, Test::Md5(_)));
        let keeps = self.tests.iter().any(|test| !matches!(test, Test::Md5(_)));
        Body { kept: Vec::new(), keeps, md5: digests.then(Md5::new), length: 0 }
    }

    pub(super) fn judge_body(&self, body: Body) -> Result<(), String> {
        let Body { kept, keeps, md5, length } = body;
        let cut = keeps && length > kept.len() as u64;
        let of = if cut { "the first MiB of the body" } else { "the body" };
        let digest = match md5 {
            Some(_) if length > DIGESTED => {
                return Err(format!(
                    "the body is longer than the {} MiB that an MD5 is taken of",
                    DIGESTED >> 20
                ));
            }
            Some(md5) => md5.finalize().into(),
            None => [0; 16],
        };
        self.tests.iter().try_for_each(|test| test.judge(&kept, &digest, of))
    }
}

impl Body {
    /// Takes the next part. `false`: nobody looks at more.
    pub(super) fn take(&mut self, part: &[u8]) -> bool {
        self.length += part.len() as u64;
        if self.keeps {
            let room = LOOKED_AT - self.kept.len();
            self.kept.extend_from_slice(&part[..part.len().min(room)]);
        }
        match &mut self.md5 {
            Some(md5) => {
                md5.update(part);
                self.length <= DIGESTED
            }
            None => self.length <= LOOKED_AT as u64,
        }
    }
}

impl Test {
    fn new(test: &BodyTest) -> Result<Self, String> {
        match test {
            BodyTest::Keyword(text) if text.is_empty() => Err("an empty keyword is in every body".into()),
            BodyTest::Keyword(text) => {
                Ok(Self::Contains { text: text.clone(), finder: compiled(&regex::escape(text))? })
            }
            BodyTest::Digest(digits) => {
                let bytes: Option<Vec<_>> = (digits.len() == 32 && digits.is_ascii()).then(|| {
                    (0..16).map_while(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()).collect()
                });
                match bytes.and_then(|bytes| bytes.try_into().ok()) {
                    Some(digest) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(Self::Md5(digest)),
                    _ => Err(format!("`{}` is no MD5: it has 32 hexadecimal digits", digits.escape_debug())),
                }
            }
            BodyTest::Regex { pattern, negate, min_offset, max_offset } => {
                if *max_offset != 0 && max_offset < min_offset {
                    return Err(format!("no match begins after {min_offset} bytes and within {max_offset}"));
                }
                Ok(Self::Matches {
                    pattern: pattern.clone(),
                    regex: compiled(pattern)?,
                    negate: *negate,
                    min_offset: *min_offset,
                    max_offset: *max_offset,
                })
            }
        }
    }

    fn judge(&self, body: &[u8], digest: &[u8; 16], of: &str) -> Result<(), String> {
        match self {
            Self::Contains { text, finder } => match finder.is_match(body) {
                true => Ok(()),
                false => Err(format!("{of} does not contain `{text}`")),
            },
            Self::Md5(expected) if expected == digest => Ok(()),
            Self::Md5(expected) => {
                Err(format!("the MD5 of the body is {}, where {} was expected", hex(digest), hex(expected)))
            }
            Self::Matches { pattern, regex, negate, min_offset, max_offset } => {
                let found = (*min_offset <= body.len()).then(|| regex.find_at(body, *min_offset)).flatten();
                let found = found.is_some_and(|found| *max_offset == 0 || found.start() <= *max_offset);
                match (found, negate) {
                    (true, false) | (false, true) => Ok(()),
                    (false, false) => Err(format!("{of} does not match `{pattern}`")),
                    (true, true) => Err(format!("{of} matches `{pattern}`, which it must not")),
                }
            }
        }
    }
}

/// Of bytes, as PCRE2 has it unless told otherwise: `.` is any byte but a line's end, `\w` is ASCII.
fn compiled(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).unicode(false).size_limit(PATTERN).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("`{pattern}` is too large a pattern"),
        // It draws the place, over several lines; what is wrong is on the last.
        error => {
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default();
            let why = why.trim().strip_prefix("error: ").unwrap_or(why);
            format!("`{}` is no pattern that can be used: {why}", pattern.escape_debug())
        }
    })
}

fn range(first: u16, last: u16) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
