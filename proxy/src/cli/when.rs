//! Times as they are shown: all in UTC.

/// The day of a time in seconds since 1970 UTC; the year 9999 is as good as never.
pub(super) fn date(seconds: i64) -> String {
    const NEVER: i64 = 253_402_300_799;
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = |year| if leap(year) { 366 } else { 365 };
    let mut days = seconds.clamp(0, NEVER) / 86_400;
    let mut year = 1970;
    while days >= length(year) {
        days -= length(year);
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

/// Hours, minutes, seconds and so on of the day, in UTC.
pub(super) fn clock(at_us: u64) -> String {
    let (seconds, micros) = (at_us / 1_000_000, at_us % 1_000_000);
    format!("{:02}:{:02}:{:02}.{micros:06}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

/// A moment as the log has it, to the millisecond.
pub(super) fn moment(at_ms: u64) -> String {
    let seconds = at_ms / 1000;
    let (hour, minute, second, ms) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60, at_ms % 1000);
    let day = date(seconds.cast_signed());
    format!("{day}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (86_400, "1970-01-02"),
            (951_782_400, "2000-02-29"),
            (1_735_689_599, "2024-12-31"),
            (1_735_689_600, "2025-01-01"),
            (4_107_542_400, "2100-03-01"),
            (253_402_300_799, "9999-12-31"),
            (i64::MAX, "9999-12-31"),
            (-1, "1970-01-01"),
        ] {
            assert_eq!(date(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn moments_have_their_day() {
        assert_eq!(moment(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(moment(951_827_696_042), "2000-02-29T12:34:56.042Z");
        assert_eq!(moment(4_107_542_399_999), "2100-02-28T23:59:59.999Z");
        assert_eq!(clock(951_827_696_000_042), "12:34:56.000042");
    }
}
