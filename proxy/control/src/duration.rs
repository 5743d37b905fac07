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

/// Milliseconds: `500ms`, and whatever [`seconds`] takes. `None` for anything else.
pub fn millis(text: &str) -> Option<u32> {
    match text.strip_suffix("ms") {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
        Some(_) => None,
        None => seconds(text)?.checked_mul(1000),
    }
}

#[cfg(test)]
mod tests {
    use super::{millis, seconds};

    #[test]
    fn milliseconds_are_understood_beside_the_other_units() {
        for (text, expected) in [
            ("500ms", Some(500)),
            ("0ms", Some(0)),
            ("2", Some(2000)),
            ("2s", Some(2000)),
            ("5m", Some(300_000)),
            ("4294967295ms", Some(u32::MAX)),
            ("4294967296ms", None),
            ("4294968", None),
            ("ms", None),
            ("+5ms", None),
            ("0.5ms", None),
            ("5 ms", None),
            ("5msms", None),
            ("", None),
        ] {
            assert_eq!(millis(text), expected, "{text:?}");
        }
    }

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
