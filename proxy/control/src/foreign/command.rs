//! Command lines as one string.

/// Takes a command and its arguments apart: blanks separate them, except within quotes.
pub(super) fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in text.chars() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn blanks_separate_arguments_and_quotes_keep_them() {
        assert_eq!(words("/bin/x  a 'b c' \"d 'e\" ''"), ["/bin/x", "a", "b c", "d 'e", ""]);
        assert_eq!(words(" "), Vec::<String>::new());
    }
}
