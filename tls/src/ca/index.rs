//! What an authority has issued: the database of `openssl ca`, `index.txt`, so that either tool goes on where the other
//! stopped.
//!
//! A line per certificate, six fields between tabs: its status (V valid, R revoked, E expired), when it expires, when and
//! why it was revoked, its serial number, the name of its file or `unknown`, its subject. Lines that are not touched stay
//! as they are.

use std::fmt;

use rcgen::RevocationReason;

use super::{CaError, Date, serial};

/// Why a certificate was revoked (RFC 5280 5.3.1), as far as both tools know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nobody said.
    Unspecified,
    /// The key is known to others.
    KeyCompromise,
    /// The key of the authority is.
    CaCompromise,
    /// Its holder is called otherwise now.
    AffiliationChanged,
    /// There is another one.
    Superseded,
    /// It is not needed any more.
    CessationOfOperation,
    /// For a while.
    CertificateHold,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
    ];

    /// What openssl calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "CACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
        }
    }

    /// The one that openssl calls so.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    pub(super) const fn code(self) -> RevocationReason {
        match self {
            Self::Unspecified => RevocationReason::Unspecified,
            Self::KeyCompromise => RevocationReason::KeyCompromise,
            Self::CaCompromise => RevocationReason::CaCompromise,
            Self::AffiliationChanged => RevocationReason::AffiliationChanged,
            Self::Superseded => RevocationReason::Superseded,
            Self::CessationOfOperation => RevocationReason::CessationOfOperation,
            Self::CertificateHold => RevocationReason::CertificateHold,
        }
    }
}

/// What has become of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing.
    Valid,
    /// It has expired and `openssl ca -updatedb` has noticed.
    Expired,
    /// It was revoked then, and why.
    Revoked(Date, Reason),
}

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What has become of it.
    pub status: Status,
    /// When it ends.
    pub expires: Date,
    /// Its number, in hexadecimal digits.
    pub serial: String,
    /// Who it is for.
    pub subject: String,
}

impl Entry {
    pub(super) fn valid(number: &[u8], expires: Date, subject: String) -> Self {
        Self { status: Status::Valid, expires, serial: serial::hex(number), subject }
    }

    fn parse(line: &str) -> Result<Self, &'static str> {
        let fields: Vec<_> = line.split('\t').collect();
        let [status, expires, revoked, number, _file, subject] = fields[..] else {
            return Err("it takes six fields between tabs");
        };
        let status = match status {
            "V" => Status::Valid,
            "E" => Status::Expired,
            "R" => {
                let (date, reason) = revoked.split_once(',').unwrap_or((revoked, ""));
                let date = Date::from_index(date).ok_or("its third field is no date of a revocation")?;
                // openssl knows more of them, with arguments.
                Status::Revoked(date, Reason::by_name(reason).unwrap_or(Reason::Unspecified))
            }
            _ => return Err("it begins with V, R or E"),
        };
        let expires = Date::from_index(expires).ok_or("its second field is no date")?;
        let number = serial::from_hex(number).ok_or("its fourth field is no serial number")?;
        Ok(Self { status, expires, serial: serial::hex(&number), subject: subject.to_owned() })
    }
}

/// A line, without its end.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status, revoked) = match self.status {
            Status::Valid => ("V", String::new()),
            Status::Expired => ("E", String::new()),
            Status::Revoked(date, Reason::Unspecified) => ("R", date.to_index()),
            Status::Revoked(date, reason) => ("R", format!("{},{}", date.to_index(), reason.name())),
        };
        let Self { expires, serial, subject, .. } = self;
        write!(f, "{status}\t{}\t{revoked}\t{serial}\tunknown\t{subject}", expires.to_index())
    }
}

/// All that was issued.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    lines: Vec<(String, Entry)>,
}

impl Index {
    /// Reads it.
    pub fn parse(text: &str) -> Result<Self, CaError> {
        let mut lines = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let entry = Entry::parse(line).map_err(|what| CaError::Index { line: at + 1, what })?;
            lines.push((line.to_owned(), entry));
        }
        Ok(Self { lines })
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.lines.iter().map(|(_, entry)| entry)
    }

    /// Adds one.
    pub fn add(&mut self, entry: Entry) {
        self.lines.push((entry.to_string(), entry));
    }

    /// Revokes a certificate, which is added if it is not there: openssl may have issued it elsewhere.
    pub fn revoke(&mut self, certificate: Entry, reason: Reason, now: Date) -> Result<(), CaError> {
        let known = self.lines.iter_mut().find(|(_, entry)| entry.serial == certificate.serial);
        let status = Status::Revoked(now, reason);
        match known {
            None => self.add(Entry { status, ..certificate }),
            Some((_, Entry { status: Status::Revoked(date, _), .. })) => return Err(CaError::Revoked(*date)),
            Some((line, entry)) => {
                entry.status = status;
                *line = entry.to_string();
            }
        }
        Ok(())
    }
}

/// The whole file.
impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|(line, _)| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As openssl wrote it.
    const TEXT: &str = "V\t271128092800Z\t\t01\tunknown\t/C=CN/O=MageEdu/CN=www.ilinux.io\n\
                        R\t271128092800Z\t261128093000Z,superseded\t02\t02.pem\t/CN=a\n\
                        R\t271128092800Z\t261128093000Z,keyTime,20260101000000Z\t03\tunknown\t/CN=b\n\
                        E\t20500101000000Z\t\t7FAB\tunknown\t/CN=c\n";

    #[test]
    fn what_openssl_wrote_is_read_and_left_as_it_is() {
        let index = Index::parse(TEXT).unwrap();
        assert_eq!(index.to_string(), TEXT);
        let statuses: Vec<_> = index.entries().map(|entry| entry.status).collect();
        let date = Date::from_index("261128093000Z").unwrap();
        assert_eq!(
            statuses,
            [
                Status::Valid,
                Status::Revoked(date, Reason::Superseded),
                Status::Revoked(date, Reason::Unspecified),
                Status::Expired
            ]
        );
    }

    #[test]
    fn a_certificate_is_revoked_once_and_the_other_lines_stay() {
        let mut index = Index::parse(TEXT).unwrap();
        let now = Date::from_unix(1_800_000_000);
        let first = index.entries().next().unwrap().clone();
        index.revoke(first.clone(), Reason::KeyCompromise, now).unwrap();
        let revoked =
            TEXT.replacen("V\t271128092800Z\t\t", "R\t271128092800Z\t270115080000Z,keyCompromise\t", 1);
        assert_eq!(index.to_string(), revoked);
        assert!(
            matches!(index.revoke(first, Reason::Unspecified, now), Err(CaError::Revoked(at)) if at == now)
        );
        let stranger = Entry::valid(&[9], now, "/CN=d".to_owned());
        index.revoke(stranger, Reason::Unspecified, now).unwrap();
        assert_eq!(index.to_string(), revoked + "R\t270115080000Z\t270115080000Z\t09\tunknown\t/CN=d\n");
        assert_eq!(Index::parse(&index.to_string()).unwrap(), index);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for (line, what) in [
            ("", "six fields"),
            ("V\t271128092800Z\t\t01\t/CN=a", "six fields"),
            ("X\t271128092800Z\t\t01\tunknown\t/CN=a", "begins with"),
            ("V\tsoon\t\t01\tunknown\t/CN=a", "second field"),
            ("R\t271128092800Z\t\t01\tunknown\t/CN=a", "third field"),
            ("V\t271128092800Z\t\tone\tunknown\t/CN=a", "fourth field"),
        ] {
            let error = Index::parse(&format!("{TEXT}{line}\n")).unwrap_err().to_string();
            assert!(error.starts_with("line 5: ") && error.contains(what), "{error}");
        }
    }
}
