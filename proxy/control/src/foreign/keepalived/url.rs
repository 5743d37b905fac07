//! `url`: a page, and what is expected of it.

use sched::{Check, CheckKind, HttpCheck, HttpUrl};

use super::http::Body;
use super::surplus;
use super::tree::Item;
use super::value;
use crate::foreign::note::Notes;
use crate::health::probe;

const KEYWORDS: &[&str] = &[
    "path",
    "digest",
    "status_code",
    "virtualhost",
    "regex",
    "regex_no_match",
    "regex_options",
    "regex_stack",
    "regex_min_offset",
    "regex_max_offset",
];

/// Nothing if it has been complained about.
pub(super) fn read(block: &Item, notes: &mut Notes) -> Option<HttpUrl> {
    let (mut path, mut host, mut status, mut body) = (None, None, Vec::new(), Body::default());
    let (mut pattern, mut foreign) = (block.place(), false);
    for item in block.items() {
        match item.name() {
            "path" => path = value::word(item, "/", notes).map(|path| rooted(path, item, notes)),
            "digest" => body.digest = digest(item, notes),
            "status_code" => statuses(item, &mut status, notes),
            "virtualhost" => host = value::word(item, "www.example", notes).map(str::to_owned),
            "regex" => {
                body.regex = value::word(item, "\"welcome\"", notes).map(str::to_owned);
                pattern = item.place_of(0);
                foreign = foreign_to_us(item, notes);
            }
            "regex_no_match" => body.negate = true,
            "regex_options" => options(item, &mut body.flags, notes),
            "regex_stack" => {
                let help = "delete it: expressions are matched in linear time here";
                notes.unhandled(item.place(), "regular expressions have no stack here", help);
            }
            "regex_min_offset" => body.min_offset = offset(item, notes),
            "regex_max_offset" => body.max_offset = offset(item, notes),
            _ => {
                value::unknown(item, KEYWORDS, notes);
                continue;
            }
        }
        surplus::look(item, notes);
    }
    let Some(path) = path else {
        notes.error(block.place(), "this url has no `path`", "add path /, on a line of its own");
        return None;
    };
    if foreign {
        return None;
    }
    let url = HttpUrl { host, status, body: body.tests(), ..HttpUrl::new(&path) };
    let bare = HttpUrl { body: Vec::new(), ..url.clone() };
    let help = "write one without look-around and back-references; a match begins between the offsets";
    for (url, place, help) in [(bare, block.place(), "write another"), (url.clone(), pattern, help)] {
        let check = HttpCheck { urls: vec![url], ..HttpCheck::default() };
        if let Err(why) = probe::check(&Check::new(CheckKind::Http(check))) {
            notes.error(place, why, help);
            return None;
        }
    }
    Some(url)
}

/// A path with its slash.
fn rooted(path: &str, item: &Item, notes: &mut Notes) -> String {
    if path.starts_with('/') || path == "*" {
        return path.to_owned();
    }
    notes.changed(item.place_of(0), format!("a path begins with /: `/{path}` is asked for"), "write the /");
    format!("/{path}")
}

fn digest(item: &Item, notes: &mut Notes) -> Option<String> {
    let text = value::word(item, "9b3a0c85a887a256d6939da88aabd8cd", notes)?;
    if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        let help = "write the 32 hexadecimal digits that `genhash` prints";
        notes.error(item.place_of(0), "this is no MD5 of a page", help);
        return None;
    }
    Some(text.to_ascii_lowercase())
}

/// `200 300-399`
fn statuses(item: &Item, all: &mut Vec<(u16, u16)>, notes: &mut Notes) {
    value::word(item, "200", notes);
    for (n, word) in item.args.iter().enumerate() {
        let (first, last) = word.text.split_once('-').unwrap_or((&word.text, &word.text));
        let number = |text: &str| text.parse::<u16>().ok().filter(|n| (100..=599).contains(n));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => all.push((first, last)),
            _ => {
                let help = "write numbers from 100 to 599, or ranges of them: 200-299 404";
                notes.error(item.place_of(n), format!("`{}` is no status of HTTP", word.text), help);
            }
        }
    }
}

fn offset(item: &Item, notes: &mut Notes) -> usize {
    value::small(item, 0..=i32::MAX as u32, notes).and_then(|n| n.try_into().ok()).unwrap_or(0)
}

/// Those of PCRE2 that mean something for other expressions, too.
fn options(item: &Item, flags: &mut String, notes: &mut Notes) {
    value::word(item, "caseless", notes);
    for (n, word) in item.args.iter().enumerate() {
        let flag = match word.text.as_str() {
            "caseless" => "i",
            "multiline" => "m",
            "dotall" => "s",
            "extended" => "x",
            "ungreedy" => "U",
            // How PCRE2 works, or what is so here anyway.
            "auto_callout" | "dollar_endonly" | "dupnames" | "never_backslash_c" | "never_ucp"
            | "never_utf" | "no_auto_capture" | "no_auto_possess" | "no_dotstar_anchor"
            | "no_start_optimize" | "ucp" | "use_offset_limit" | "utf" => "",
            other => {
                let text = format!("`{other}` has no counterpart in the expressions that are used here");
                notes.unhandled(item.place_of(n), text, "see that the expression does without");
                ""
            }
        };
        if !flags.contains(flag) {
            flags.push_str(flag);
        }
    }
}

/// Complains about what PCRE2 has and expressions of linear time have not.
fn foreign_to_us(item: &Item, notes: &mut Notes) -> bool {
    let text = item.arg(0).unwrap_or_default();
    let around = ["(?=", "(?!", "(?<=", "(?<!", "(?>", "(?(", "(?R)", "\\K", "\\G"];
    let backwards = (1..=9).map(|n| format!("\\{n}"));
    let around = around.into_iter().map(str::to_owned).chain(backwards);
    let plain = text.replace("\\\\", "");
    let found = around.into_iter().find(|part| plain.contains(part));
    if let Some(found) = &found {
        let text = format!("`{found}` looks around or back, which expressions here cannot");
        notes.error(item.place_of(0), text, "say it by two url blocks, one with regex_no_match");
    }
    found.is_some()
}
