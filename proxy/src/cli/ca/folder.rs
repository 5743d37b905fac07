//! The directory of an authority: what `ulvs ca init` makes, or what openssl's CA uses.
//!
//! While it is open it is locked: two that issue at once do not lose a line of the index.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tls::ca::{Authority, CaError, Entry, Index, Key, Status};

use super::files;
use super::options::Place;

/// Certificate, key, revocation list: ours, and openssl's (its openssl.cnf).
const LAYOUTS: [(&str, &str, &str); 2] =
    [("ca.crt", "ca.key", "ca.crl"), ("cacert.pem", "private/cakey.pem", "crl.pem")];

/// Where the files of an authority are.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) dir: PathBuf,
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
    pub(super) crl: PathBuf,
    _lock: File,
}

impl Folder {
    /// Finds the files. They are read when they are needed.
    pub(super) fn open(place: &Place) -> anyhow::Result<Self> {
        let beside = place.ca_cert.as_deref().and_then(Path::parent);
        let beside = beside.map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
        let dir = place.dir.as_deref().or(beside).unwrap_or_else(|| Path::new(".")).to_owned();
        let here = LAYOUTS.iter().find(|(cert, ..)| dir.join(cert).exists());
        let (cert, key, crl) = match (&place.ca_cert, &place.ca_key, here) {
            (Some(cert), Some(key), here) => {
                (cert.clone(), key.clone(), dir.join(here.unwrap_or(&LAYOUTS[0]).2))
            }
            (_, _, Some((cert, key, crl))) => (dir.join(cert), dir.join(key), dir.join(crl)),
            _ => bail!(
                "there is no authority in {0}, neither ca.crt nor cacert.pem: `ulvs ca init --dir {0}` makes one, \
                 --ca-cert and --ca-key name one that is elsewhere",
                dir.display()
            ),
        };
        let lock = File::open(&dir).and_then(|lock| lock.lock().map(|()| lock));
        let lock = lock.with_context(|| format!("cannot use {}", dir.display()))?;
        Ok(Self { dir, cert, key, crl, _lock: lock })
    }

    /// An authority beside another would not be found, or hide it.
    pub(super) fn refuse_second(dir: &Path) -> anyhow::Result<()> {
        if let Some(path) = LAYOUTS.iter().map(|(cert, ..)| dir.join(cert)).find(|path| path.exists()) {
            bail!(
                "there is an authority already, {}: make another one elsewhere, with --dir",
                path.display()
            );
        }
        Ok(())
    }

    /// What signs.
    pub(super) fn authority(&self) -> anyhow::Result<Authority> {
        let key = Key::read(&files::read_key(&self.key)?).map_err(|error| files::at(&self.key, error))?;
        let authority = Authority::load(&files::read(&self.cert)?, key);
        authority.map_err(|error| files::at(&self.cert, error))
    }

    /// Why nothing was issued, with the file that is to blame.
    pub(super) fn explain(&self, request: Option<&Path>, error: CaError) -> anyhow::Error {
        match (&error, request) {
            (CaError::Expired(_) | CaError::NotYet(_), _) => files::at(&self.cert, error),
            (_, Some(request)) => files::at(request, error),
            (_, None) => error.into(),
        }
    }

    /// What was issued.
    pub(super) fn index(&self) -> anyhow::Result<Index> {
        let path = self.index_path();
        let text = read_if_there(&path)?.unwrap_or_default();
        Index::parse(&text).map_err(|error| files::at(&path, error))
    }

    pub(super) fn write_index(&self, index: &Index) -> anyhow::Result<()> {
        files::replace(&self.index_path(), &index.to_string())
    }

    /// Adds a certificate to the index, unless openssl would not be able to read it then.
    pub(super) fn remember(&self, entry: &Entry) -> anyhow::Result<()> {
        let mut index = self.index()?;
        let path = self.dir.join("index.txt.attr");
        match read_if_there(&path)? {
            // Certificates are renewed before the old one has expired.
            None => files::replace(&path, "unique_subject = no\n")?,
            Some(attributes) if !allows_renewal(&attributes) => {
                let same = index
                    .entries()
                    .find(|other| other.status == Status::Valid && other.subject == entry.subject);
                if let Some(other) = same {
                    bail!(
                        "{} has a valid certificate already, number {}, and {} forbids a second one: revoke that, or \
                         write `unique_subject = no` there",
                        entry.subject,
                        other.serial,
                        path.display()
                    );
                }
            }
            Some(_) => {}
        }
        index.add(entry.clone());
        self.write_index(&index)
    }

    /// The number for a new revocation list. It is not given again, whatever becomes of the list (RFC 5280 5.2.3).
    pub(super) fn next_list_number(&self) -> anyhow::Result<u64> {
        let path = self.dir.join("crlnumber");
        let number = match read_if_there(&path)? {
            None => 1,
            Some(text) => {
                u64::from_str_radix(text.trim(), 16).ok().filter(|n| *n < u64::MAX).with_context(|| {
                    format!(
                        "{}: {:?} is no number in hexadecimal digits that can be counted up",
                        path.display(),
                        text.trim()
                    )
                })?
            }
        };
        let digits = format!("{:X}", number + 1);
        // openssl wants them in pairs.
        let zero = if digits.len().is_multiple_of(2) { "" } else { "0" };
        files::replace(&path, &format!("{zero}{digits}\n"))?;
        Ok(number)
    }

    fn index_path(&self) -> PathBuf {
        self.dir.join("index.txt")
    }
}

/// openssl takes `yes` for the default.
fn allows_renewal(attributes: &str) -> bool {
    let values = attributes.lines().filter_map(|line| line.split_once('='));
    let value =
        values.filter(|(key, _)| key.trim() == "unique_subject").map(|(_, value)| value.trim()).next_back();
    value.is_some_and(|value| value.starts_with(['n', 'N', 'f', 'F', '0']))
}

fn read_if_there(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
