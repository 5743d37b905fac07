//! The files that a front names, before they are used: whether they are there, and who else may read the secret ones.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sched::{Tickets, TlsFront};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Why it cannot be used, a line each.
    pub(crate) errors: Vec<String>,
    /// What somebody should look at, a line each.
    pub(crate) warnings: Vec<String>,
}

/// Looks at all the files of a front.
pub(crate) fn look(front: &TlsFront) -> Found {
    let mut found = Found::default();
    for pair in &front.certs {
        found.open("certificate", &pair.cert);
        found.secret("key", &pair.key);
        pair.ocsp.iter().for_each(|file| _ = found.open("OCSP response", file));
    }
    if let Some(auth) = &front.client_auth {
        found.open("authorities of clients", &auth.ca);
        auth.crl.iter().for_each(|file| _ = found.open("revocation list", file));
    }
    if let Some(tls) = &front.backend_tls {
        found.open("authorities of servers", &tls.ca);
    }
    if let Tickets::Shared(file) = &front.tickets {
        found.secret("secret of tickets", file);
    }
    if let Some(file) = &front.key_log
        && !file.parent().is_some_and(Path::is_dir)
    {
        let text = "its directory is not there; make it or name another file";
        found.errors.push(format!("cannot write the key log {}: {text}", file.display()));
    }
    found
}

impl Found {
    fn open(&mut self, what: &str, path: &Path) -> Option<Metadata> {
        let opened = File::open(path).and_then(|file| file.metadata());
        match opened {
            Ok(metadata) if metadata.is_dir() => {
                self.errors.push(format!("cannot read the {what} {}: it is a directory", path.display()));
                None
            }
            Ok(metadata) => Some(metadata),
            Err(error) => {
                self.errors.push(format!("cannot read the {what} {}: {error}", path.display()));
                None
            }
        }
    }

    /// A secret is its owner's; root may share it with a group (0640), as daemons have it that read their key as
    /// somebody else. More is worth a warning and no refusal: containers mount secrets that everybody in them can read.
    fn secret(&mut self, what: &str, path: &Path) {
        let Some(metadata) = self.open(what, path) else { return };
        let mode = metadata.mode() & 0o777;
        let allowed = if metadata.uid() == 0 { 0o740 } else { 0o700 };
        if mode & !allowed != 0 {
            self.warnings.push(format!(
                "the {what} {} is open to others (mode {mode:04o}): chmod 600, or 640 where it is root's",
                path.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use sched::{BackendTls, CertFiles, ClientAuth};

    use super::*;

    #[test]
    fn all_that_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let front = TlsFront {
            client_auth: Some(ClientAuth { ca: at("clients"), crl: Some(at("crl")), required: true }),
            tickets: Tickets::Shared(at("tickets")),
            backend_tls: Some(BackendTls { ca: dir.path().into(), name: None }),
            key_log: Some(at("no/log")),
            ..TlsFront::new(CertFiles { cert: at("crt"), key: at("key"), ocsp: Some(at("ocsp")) })
        };
        let expected = [
            ("certificate", "crt", "No such file"),
            ("key", "key", "No such file"),
            ("OCSP response", "ocsp", "No such file"),
            ("authorities of clients", "clients", "No such file"),
            ("revocation list", "crl", "No such file"),
            ("authorities of servers", "", "it is a directory"),
            ("secret of tickets", "tickets", "No such file"),
        ];
        let errors = look(&front).errors;
        for ((what, name, why), error) in expected.iter().zip(&errors) {
            let path = if name.is_empty() { dir.path().into() } else { at(name) };
            assert!(
                error.starts_with(&format!("cannot read the {what} {}: {why}", path.display())),
                "{error}"
            );
        }
        assert_eq!(errors.len(), expected.len() + 1);
        assert!(errors.last().unwrap().starts_with("cannot write the key log"), "{errors:?}");
        for name in ["crt", "key", "ocsp", "clients", "crl", "tickets"] {
            std::fs::write(at(name), "").unwrap();
            std::fs::set_permissions(at(name), PermissionsExt::from_mode(0o600)).unwrap();
        }
        let front = TlsFront { backend_tls: None, key_log: Some(at("log")), ..front };
        let found = look(&front);
        assert_eq!((found.errors, found.warnings), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_key_that_others_can_read_is_worth_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("crt"), dir.path().join("key"));
        std::fs::write(&cert, "").unwrap();
        std::fs::write(&key, "").unwrap();
        let root = std::fs::metadata(&key).unwrap().uid() == 0;
        let front = TlsFront::new(CertFiles { cert, key: key.clone(), ocsp: None });
        for (mode, good) in
            [(0o600, true), (0o400, true), (0o640, root), (0o660, false), (0o604, false), (0o644, false)]
        {
            std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
            let warnings = look(&front).warnings;
            assert_eq!(warnings.is_empty(), good, "{mode:o}: {warnings:?}");
            assert!(warnings.iter().all(|text| text.contains(&format!("(mode {mode:04o}): chmod 600"))));
        }
    }
}
