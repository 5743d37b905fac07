//! `kind = "http"` and `"https"`: pages.

use sched::{BodyTest, Check, CheckKind, HttpCheck, HttpUrl, HttpVersion};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::super::reader::{At, Problems, Section, integer};
use super::super::values::word;
use super::check::askable;
use super::tls;

pub(super) const KEYS: &[&str] = &["urls", "version"];
/// Of one page.
pub(super) const PAGE: &[&str] =
    &["method", "path", "host", "status", "keyword", "regex", "regex_no_match", "digest"];
const STATUS: &str = "[200, \"300-399\"]";
const REGEX: &str = "\"up since [0-9]+\"";
const LINEAR: &str = "write it without look-around and back-references, which could take for ever; `regex_no_match` says what must not be there";
const PATTERN: &[&str] = &["pattern", "min_offset", "max_offset"];

pub(super) fn plain(section: &Section<'_>, problems: &mut Problems) -> Option<CheckKind> {
    read(section, problems).map(CheckKind::Http)
}

pub(super) fn encrypted(section: &Section<'_>, problems: &mut Problems) -> Option<CheckKind> {
    let tls = Some(tls::read(section, problems));
    read(section, problems).map(|check| CheckKind::Http(HttpCheck { tls, ..check }))
}

fn read(section: &Section<'_>, problems: &mut Problems) -> Option<HttpCheck> {
    let before = problems.len();
    let name = |version| match version {
        HttpVersion::Http10 => "1.0",
        HttpVersion::Http10Close => "1.0C",
        HttpVersion::Http11 => "1.1",
    };
    let all = [HttpVersion::Http11, HttpVersion::Http10, HttpVersion::Http10Close];
    let version = word(section, "version", &all, name, problems).unwrap_or_default();
    let own = PAGE.iter().find(|key| section.value(key).is_some());
    let urls = match (section.value("urls"), own) {
        (None, None) => Vec::new(),
        (None, Some(_)) => vec![page(section, problems)],
        (Some(_), Some(key)) => {
            let help = "write it into the page that it is about: urls = [{ path = \"/\", ... }]";
            problems.note(section.place_of(key), format!("`{key}` says nothing beside `urls`"), help);
            Vec::new()
        }
        (Some(_), None) => {
            let tables = section.tables("urls", "[[service.check.urls]]", problems);
            let read = |table: At<&DeTable<'_>>| {
                page(&Section::new(table.value, table.span, "this page", PAGE, problems), problems)
            };
            tables.into_iter().map(read).collect()
        }
    };
    (problems.len() == before).then_some(HttpCheck { urls, version, tls: None })
}

fn page(section: &Section<'_>, problems: &mut Problems) -> HttpUrl {
    let mut page =
        HttpUrl::new(section.string("path", "\"/health\"", problems).map_or("/", |path| path.value));
    let star = page.path == "*";
    if !page.path.starts_with('/') && !star || !page.path.bytes().all(|b| b.is_ascii_graphic()) {
        let help =
            "it begins with /, and what is not plain ASCII is percent-encoded: path = \"/health?full=1\"";
        problems.note(section.place_of("path"), format!("`{}` is no path of a page", page.path), help);
    }
    if let Some(method) = section.string("method", "\"HEAD\"", problems) {
        if method.value.is_empty() || !method.value.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') {
            let help = "methods are words in capitals: method = \"GET\", \"HEAD\", \"OPTIONS\"";
            problems.note(method.span, format!("`{}` is no method of HTTP", method.value), help);
        }
        method.value.clone_into(&mut page.method);
    }
    if let Some(host) = section.string("host", "\"www.example\"", problems) {
        if host.value.is_empty() || !host.value.bytes().all(|b| b.is_ascii_graphic() && b != b'/') {
            let help = "a name, and a port if it is not the usual one: host = \"www.example:8080\"";
            problems.note(host.span, format!("`{}` cannot be the Host of a request", host.value), help);
        }
        page.host = Some(host.value.to_owned());
    }
    page.status = statuses(section, problems);
    page.body = body(section, problems);
    let tests = ["keyword", "regex", "regex_no_match", "digest"];
    if page.method == "HEAD"
        && let Some(key) = tests.iter().find(|key| section.value(key).is_some())
    {
        let help = "method = \"GET\" gets one; or delete it";
        problems.note(section.place_of(key), "the answer to HEAD has no body to look at", help);
    }
    page
}

/// `status = [200, "300-399"]`.
fn statuses(section: &Section<'_>, problems: &mut Problems) -> Vec<(u16, u16)> {
    if section.value("status").is_none() {
        return Vec::new();
    }
    let Some(array) = section.array("status", STATUS, problems) else { return Vec::new() };
    let mut all = Vec::new();
    for item in array.value.iter() {
        let range = match item.get_ref() {
            DeValue::String(text) => {
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                first.trim().parse().ok().zip(last.trim().parse().ok())
            }
            number => integer(number).and_then(|n| u16::try_from(n).ok()).map(|n| (n, n)),
        };
        match range {
            Some((first, last)) if 100 <= first && first <= last && last <= 599 => all.push((first, last)),
            _ => {
                let help = format!("statuses are from 100 to 599: status = {STATUS}");
                problems.note(item.span(), "this is no status of HTTP, nor a range of them", help);
            }
        }
    }
    all
}

/// `keyword`, `regex`, `regex_no_match`, `digest`: all of them have to be right.
fn body(section: &Section<'_>, problems: &mut Problems) -> Vec<BodyTest> {
    let mut all = Vec::new();
    for item in items(section, "keyword") {
        match item.get_ref().as_str().filter(|text| !text.is_empty()) {
            Some(text) => all.push(BodyTest::Keyword(text.to_owned())),
            None => {
                let help = "write what has to be there, one or several: keyword = [\"OK\", \"ready\"]";
                problems.note(item.span(), "no page could be without this", help);
            }
        }
    }
    for (key, negate) in [("regex", false), ("regex_no_match", true)] {
        all.extend(items(section, key).into_iter().filter_map(|item| regex(key, negate, item, problems)));
    }
    if let Some(digest) = section.string("digest", "\"9b3a0c85a887a256d6939da88aabd8cd\"", problems) {
        if digest.value.len() != 32 || !digest.value.bytes().all(|b| b.is_ascii_hexdigit()) {
            let help = "32 hexadecimal digits, the MD5 of the page: `curl -s URL | md5sum` says it";
            problems.note(digest.span, format!("`{}` is no digest", digest.value), help);
        }
        all.push(BodyTest::Digest(digest.value.to_ascii_lowercase()));
    }
    all
}

/// `regex = "..."`, or `{ pattern = "...", min_offset = 0, max_offset = 100 }`.
fn regex(
    key: &'static str,
    negate: bool,
    item: &Spanned<DeValue<'_>>,
    problems: &mut Problems,
) -> Option<BodyTest> {
    let (pattern, min_offset, max_offset) = match item.get_ref() {
        DeValue::String(text) => (text.to_string(), 0, 0),
        DeValue::Table(table) => {
            let inner = Section::new(table, item.span(), "this expression", PATTERN, problems);
            let offset = |key, problems: &mut Problems| {
                let offset = inner.integer(key, 0..=u64::from(u32::MAX), problems);
                offset.and_then(|n| usize::try_from(n.value).ok()).unwrap_or_default()
            };
            let (min, max) = (offset("min_offset", problems), offset("max_offset", problems));
            if max > 0 && max < min {
                let text = format!("no match begins before {max} and after {min} bytes");
                problems.note(inner.place_of("max_offset"), text, "raise `max_offset`; 0 is no limit");
                return None;
            }
            (inner.required("pattern", REGEX, problems)?.value.to_owned(), min, max)
        }
        other => {
            let text = format!("`{key}` has to be a string, not {}", other.type_str());
            problems.note(item.span(), text, format!("for example {key} = {REGEX}"));
            return None;
        }
    };
    let test = BodyTest::Regex { pattern, negate, min_offset, max_offset };
    let page = HttpUrl { body: vec![test.clone()], ..HttpUrl::new("/") };
    let alone = CheckKind::Http(HttpCheck { urls: vec![page], ..HttpCheck::default() });
    askable(&Check::new(alone), &item.span(), LINEAR, problems);
    Some(test)
}

/// One value, or those of a list.
fn items<'a>(section: &Section<'a>, key: &str) -> Vec<&'a Spanned<DeValue<'a>>> {
    let Some(value) = section.value(key) else { return Vec::new() };
    value.get_ref().as_array().map_or_else(|| vec![value], |array| array.iter().collect())
}
