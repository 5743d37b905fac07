//! The words of a line: comments, quotes, escapes and braces.
//!
//! Quotes may begin and end anywhere in a word. A backslash takes the meaning from what follows or gives it one, within
//! quotes and without, as in keepalived: a regular expression needs two where one is meant.

use std::ops::Range;

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A word, and where it is.
    Word(String, Range<usize>),
    /// `{`
    Open(Range<usize>),
    /// `}`
    Close(Range<usize>),
}

/// The line without its comment: `#` and `!` begin one anywhere but within quotes.
pub(super) fn without_comment(line: &str) -> &str {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in line.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        match (c, quote) {
            ('\\', _) => escaped = true,
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            ('#' | '!', None) => return &line[..at],
            _ => {}
        }
    }
    line
}

/// Takes a line apart.
///
/// # Errors
/// Where a quote begins that does not end.
pub(super) fn split(line: &str) -> Result<Vec<Piece>, usize> {
    let mut pieces = Vec::new();
    let mut rest = line.char_indices().peekable();
    while let Some(&(start, c)) = rest.peek() {
        if c.is_whitespace() {
            rest.next();
            continue;
        }
        let (mut text, mut end, mut bare, mut quote) = (String::new(), start, true, None);
        while let Some(&(at, c)) = rest.peek() {
            if c.is_whitespace() && quote.is_none() {
                break;
            }
            rest.next();
            end = at + c.len_utf8();
            match (c, quote) {
                (c, Some((q, _))) if c == q => quote = None,
                ('"' | '\'', None) => (quote, bare) = (Some((c, at)), false),
                ('\\', _) => {
                    bare = false;
                    let tail = line.get(end..).unwrap_or_default();
                    let (meant, length) = escape(tail);
                    text.push_str(&meant);
                    end += length;
                    while rest.next_if(|(at, _)| *at < end).is_some() {}
                }
                (c, _) => text.push(c),
            }
        }
        if let Some((_, at)) = quote {
            return Err(at);
        }
        if bare { unbrace(&text, start, &mut pieces) } else { pieces.push(Piece::Word(text, start..end)) }
    }
    Ok(pieces)
}

/// What the characters behind a backslash mean, and how many bytes they are.
fn escape(tail: &str) -> (String, usize) {
    let Some(first) = tail.chars().next() else { return ("\\".to_owned(), 0) };
    let digits = |from: usize, radix: u32, most: usize| {
        let end = tail[from..].chars().take(most).take_while(|c| c.is_digit(radix)).count();
        let value = u32::from_str_radix(&tail[from..from + end], radix).ok().and_then(char::from_u32);
        value.map(|c| (c.to_string(), from + end))
    };
    let one = |c: char| (c.to_string(), first.len_utf8());
    match first {
        'a' => one('\x07'),
        'b' => one('\x08'),
        'E' => one('\x1b'),
        'f' => one('\x0c'),
        'n' => one('\n'),
        'r' => one('\r'),
        't' => one('\t'),
        'v' => one('\x0b'),
        '0'..='7' => digits(0, 8, 3).unwrap_or_else(|| one(first)),
        'x' => digits(1, 16, 8).unwrap_or_else(|| one(first)),
        'c' => match tail[1..].chars().next().filter(char::is_ascii) {
            Some(c) => (char::from(c.to_ascii_uppercase() as u8 & 0x1f).to_string(), 2),
            None => one(first),
        },
        other => one(other),
    }
}

/// Takes braces off the ends of a word, those apart that belong together within it.
fn unbrace(word: &str, start: usize, pieces: &mut Vec<Piece>) {
    let lone = |part: &str, brace: char| {
        let (mut open, mut close) = (0_usize, 0_usize);
        for c in part.chars() {
            match c {
                '{' => open += 1,
                '}' if open > 0 => open -= 1,
                '}' => close += 1,
                _ => {}
            }
        }
        if brace == '{' { open > 0 } else { close > 0 }
    };
    let (mut from, mut to) = (0, word.len());
    let mut tail = Vec::new();
    loop {
        let part = &word[from..to];
        if part.starts_with('{') && lone(part, '{') {
            pieces.push(Piece::Open(start + from..start + from + 1));
            from += 1;
        } else if part.starts_with('}') {
            pieces.push(Piece::Close(start + from..start + from + 1));
            from += 1;
        } else if part.ends_with('}') && lone(part, '}') {
            to -= 1;
            tail.push(Piece::Close(start + to..start + to + 1));
        } else if part.ends_with('{') {
            to -= 1;
            tail.push(Piece::Open(start + to..start + to + 1));
        } else {
            break;
        }
    }
    if from < to {
        pieces.push(Piece::Word(word[from..to].to_owned(), start + from..start + to));
    }
    pieces.extend(tail.into_iter().rev());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let text = |piece| match piece {
            Piece::Word(text, _) => text,
            Piece::Open(_) => "<{>".to_owned(),
            Piece::Close(_) => "<}>".to_owned(),
        };
        split(line).unwrap().into_iter().map(text).collect()
    }

    #[test]
    fn quotes_join_words_and_vanish() {
        assert_eq!(words(r#"abcd" efg h jkl "mnop"#), ["abcd efg h jkl mnop"]);
        assert_eq!(words(r#"abcd "efg h jkl" mnop"#), ["abcd", "efg h jkl", "mnop"]);
        assert_eq!(words(r#"a "it's" '"' """#), ["a", "it's", "\"", ""]);
        assert_eq!(split(r#"ab "cd"#), Err(3));
    }

    #[test]
    fn a_backslash_is_needed_twice_where_one_is_meant() {
        assert_eq!(words(r#""^a\d+\\d" ^a\d+\\d 'it\'s'"#), [r"^ad+\d", r"^ad+\d", "it's"]);
        assert_eq!(words(r#""\t\101\x41\cA\E""#), ["\tAA\x01\x1b"]);
        assert_eq!(words("a\\"), ["a\\"]);
    }

    #[test]
    fn comments_end_at_the_end_of_the_line_and_do_not_begin_in_quotes() {
        assert_eq!(without_comment("a b # c"), "a b ");
        assert_eq!(without_comment("! don't"), "");
        assert_eq!(without_comment(r#"up "a # b" ! c"#), r#"up "a # b" "#);
        assert_eq!(without_comment(r"up \# b"), r"up \# b");
    }

    #[test]
    fn braces_need_no_blanks() {
        assert_eq!(words("url {path /}"), ["url", "<{>", "path", "/", "<}>"]);
        assert_eq!(words("VI_1{ }}"), ["VI_1", "<{>", "<}>", "<}>"]);
        assert_eq!(words("a{2} a{2}} ${X}"), ["a{2}", "a{2}", "<}>", "${X}"]);
        assert_eq!(words("{{a} }b{"), ["<{>", "{a}", "<}>", "b", "<{>"]);
    }
}
