//! Texts for terminals.

/// Lines of words, none longer than `width` unless a word is.
pub(super) fn folded(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Without characters that a terminal obeys: names that others have chosen, of programs and devices say, may have them.
pub(super) fn printable(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

#[test]
fn what_a_terminal_would_obey_is_shown_and_the_rest_is_as_it_was() {
    assert_eq!(printable("\x1b[2J a\tb\u{9b}31m ‘ä’"), "\\u{1b}[2J a\\tb\\u{9b}31m ‘ä’");
}

#[test]
fn long_texts_are_broken_between_words() {
    assert_eq!(folded("one two  three four", 7), ["one two", "three", "four"]);
    assert_eq!(folded("longer than that", 3), ["longer", "than", "that"]);
}
