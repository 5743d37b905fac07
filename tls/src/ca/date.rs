//! A moment as certificates have it: whole seconds, UTC, years 1 to 9999.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use x509_parser::prelude::{ASN1Time, FromDer as _};

const DAY: i64 = 86_400;
/// The first and the last second of the calendar's years.
const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A moment, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(i64);

impl Date {
    /// The moment that many seconds after 1970, or the last one before the calendar ends.
    pub(crate) fn from_unix(seconds: i64) -> Self {
        Self(seconds.clamp(*YEARS.start(), *YEARS.end()))
    }

    /// Seconds since 1970.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// Days later.
    #[must_use]
    pub(crate) fn plus_days(self, days: u32) -> Self {
        Self::from_unix(self.0.saturating_add(DAY * i64::from(days)))
    }

    /// Whole days from `now` until then; negative when it is past.
    pub const fn days_from(self, now: Self) -> i64 {
        (self.0 - now.0).div_euclid(DAY)
    }

    /// As in the index of `openssl ca`: the content of an ASN.1 time (RFC 5280 4.1.2.5: two digits of the year until 2049).
    pub(super) fn to_index(self) -> String {
        let [year, month, day, hour, minute, second] = self.fields();
        let year = if (1950..2050).contains(&year) {
            format!("{:02}", year.rem_euclid(100))
        } else {
            format!("{year:04}")
        };
        format!("{year}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z")
    }

    /// The same, read.
    pub(super) fn from_index(text: &str) -> Option<Self> {
        // A UTCTime of 13 characters, a GeneralizedTime of 15.
        let tag = match text.len() {
            13 => 0x17,
            15 => 0x18,
            _ => return None,
        };
        let der: Vec<u8> = [tag, text.len() as u8].into_iter().chain(text.bytes()).collect();
        ASN1Time::from_der(&der).ok().map(|(_, time)| time.into())
    }

    pub(super) fn asn1(self) -> ASN1Time {
        ASN1Time::from_timestamp(self.0).expect("the constructor keeps to the calendar")
    }

    fn fields(self) -> [i32; 6] {
        let t = self.asn1().to_datetime();
        [
            t.year(),
            u8::from(t.month()).into(),
            t.day().into(),
            t.hour().into(),
            t.minute().into(),
            t.second().into(),
        ]
    }
}

impl From<SystemTime> for Date {
    fn from(time: SystemTime) -> Self {
        // Before 1970 no clock is right.
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self::from_unix(i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}

impl From<ASN1Time> for Date {
    fn from(time: ASN1Time) -> Self {
        Self::from_unix(time.timestamp())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [year, month, day, hour, minute, second] = self.fields();
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_for_people_and_for_the_index() {
        for (unix, shown, index) in [
            (0, "1970-01-01 00:00:00 UTC", "700101000000Z"),
            (951_827_696, "2000-02-29 12:34:56 UTC", "000229123456Z"),
            (2_524_607_999, "2049-12-31 23:59:59 UTC", "491231235959Z"),
            (2_524_608_000, "2050-01-01 00:00:00 UTC", "20500101000000Z"),
            (i64::MAX, "9999-12-31 23:59:59 UTC", "99991231235959Z"),
        ] {
            let date = Date::from_unix(unix);
            assert_eq!((date.to_string().as_str(), date.to_index().as_str()), (shown, index));
            assert_eq!(Date::from_index(index), Some(date));
        }
        for nonsense in ["", "0002291234Z", "000230123456Z", "001301000000Z", "00022912345xZ", "äääääää"]
        {
            assert_eq!(Date::from_index(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn days_are_whole_and_negative_when_past() {
        let now = Date::from_unix(1_000_000);
        assert_eq!(now.plus_days(30).days_from(now), 30);
        assert_eq!(Date::from_unix(1_000_000 + DAY - 1).days_from(now), 0);
        assert_eq!(Date::from_unix(1_000_000 - 1).days_from(now), -1);
    }
}
