//! File names with wildcards and braces, for `include`.

use std::path::{Path, PathBuf};

/// A pattern that braces make so many of is a mistake.
const MOST: usize = 1000;

/// The files that a pattern names, in order; a name without wildcards is itself, whether or not it is there.
pub(super) fn glob(pattern: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for pattern in braces(pattern) {
        if !pattern.contains(['*', '?', '[']) {
            found.push(PathBuf::from(pattern));
            continue;
        }
        let mut paths = vec![PathBuf::from(if pattern.starts_with('/') { "/" } else { "" })];
        for component in pattern.split('/').filter(|c| !c.is_empty()) {
            paths = paths.iter().flat_map(|dir| below(dir, component)).collect();
        }
        found.extend(paths);
    }
    found
}

/// What matches in a directory, sorted.
fn below(dir: &Path, component: &str) -> Vec<PathBuf> {
    if !component.contains(['*', '?', '[']) {
        let path = dir.join(component);
        return if path.exists() { vec![path] } else { Vec::new() };
    }
    let read = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let pattern: Vec<_> = component.chars().collect();
    let names = std::fs::read_dir(read).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let hidden = |name: &str| name.starts_with('.') && !component.starts_with('.');
    let mut names: Vec<_> =
        names.filter(|name| !hidden(name) && matches(&pattern, &name.chars().collect::<Vec<_>>())).collect();
    names.sort();
    names.into_iter().map(|name| dir.join(name)).collect()
}

fn matches(pattern: &[char], name: &[char]) -> bool {
    // Where the last star was, and how much it has taken.
    let (mut p, mut n, mut star) = (0, 0, None);
    loop {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            None if n == name.len() => return true,
            None => None,
            Some(_) => name.get(n).and_then(|c| one(&pattern[p..], *c)),
        };
        match (step, star) {
            (Some(length), _) => (p, n) = (p + length, n + 1),
            (None, Some((at, taken))) if taken < name.len() => {
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
            (None, _) => return false,
        }
    }
}

/// How much of the pattern stands for this character.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['[', rest @ ..] => {
            let end = rest.iter().skip(1).position(|c| *c == ']')? + 1;
            let (not, set) = match &rest[..end] {
                ['!' | '^', set @ ..] => (true, set),
                set => (false, set),
            };
            let within = |i: usize| match set[i..] {
                [first, '-', last, ..] => first <= c && c <= last,
                _ => set[i] == c,
            };
            ((0..set.len()).any(within) != not).then_some(end + 2)
        }
        [other, ..] => (*other == c).then_some(1),
        [] => None,
    }
}

/// `{foo/{,cat,dog},bar}` as csh has it.
fn braces(pattern: &str) -> Vec<String> {
    let (mut done, mut todo) = (Vec::new(), vec![pattern.to_owned()]);
    while let Some(text) = todo.pop() {
        let parts = first_braces(&text).filter(|_| done.len() + todo.len() < MOST);
        match parts {
            None => done.push(text),
            Some((before, choices, after)) => {
                todo.extend(choices.into_iter().rev().map(|choice| format!("{before}{choice}{after}")));
            }
        }
    }
    done
}

/// What is before the first braces, between their commas, and behind them.
fn first_braces(text: &str) -> Option<(&str, Vec<&str>, &str)> {
    let open = text.find('{')?;
    let (mut depth, mut from, mut choices) = (0, open + 1, Vec::new());
    for (at, c) in text.char_indices().skip_while(|(at, _)| *at <= open) {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' if depth == 0 => {
                choices.push(&text[from..at]);
                from = at + 1;
            }
            '}' => {
                choices.push(&text[from..at]);
                return Some((&text[..open], choices, &text[at + 1..]));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_a_shell() {
        let matches = |pattern: &str, name: &str| {
            matches(&pattern.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>())
        };
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.old", false),
            ("a*b*c", "aXbYbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[ab", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn braces_are_every_choice() {
        assert_eq!(braces("{foo/{,cat,dog},bar}"), ["foo/", "foo/cat", "foo/dog", "bar"]);
        assert_eq!(braces("a{b"), ["a{b"]);
        assert_eq!(braces("x"), ["x"]);
    }

    #[test]
    fn files_are_found_in_order() {
        let dir = std::env::temp_dir().join(format!("ulvs-glob-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("conf.d")).unwrap();
        for name in ["conf.d/b.conf", "conf.d/a.conf", "conf.d/.c.conf", "conf.d/d"] {
            std::fs::write(dir.join(name), "").unwrap();
        }
        let found = glob(&format!("{}/c*.d/*.conf", dir.display()));
        let missing = glob(&format!("{}/none", dir.display()));
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(found, [dir.join("conf.d/a.conf"), dir.join("conf.d/b.conf")]);
        assert_eq!(missing, [dir.join("none")]);
    }
}
