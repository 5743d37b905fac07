//! Times as people write them.

/// Seconds: `90`, `90s`, `5m`, `2h`, `1d`. `None` for anything else.
pub fn seconds(text: &str) -> Option<u32> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u32>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn units_are_understood_and_nonsense_is_not() {
        for (text, expected) in [
            ("0", Some(0)),
            ("90", Some(90)),
            ("90s", Some(90)),
            ("5m", Some(300)),
            ("2h", Some(7200)),
            ("31d", Some(31 * 86_400)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("4294967295m", None),
            ("", None),
            ("s", None),
            ("5 m", None),
            ("5min", None),
            ("+5", None),
            ("-5", None),
            ("1.5h", None),
            ("5é", None),
        ] {
            assert_eq!(seconds(text), expected, "{text:?}");
        }
    }
}
