//! A file of authorities, PEM, and the configuration that trusts them: made anew when the file has changed.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::super::asking::Asking;

/// A bundle of all authorities that there are is a quarter of that.
const LONGEST: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct Authorities {
    path: PathBuf,
    made: Mutex<Option<(Stamp, Arc<ClientConfig>)>>,
}

/// Another one is another file's, or another content's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Authorities {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), made: Mutex::default() }
    }

    /// The configuration that `make` makes of them.
    pub(super) fn config(
        &self,
        asking: &Asking<'_>,
        make: impl FnOnce(Arc<RootCertStore>) -> Result<Arc<ClientConfig>, String>,
    ) -> Result<Arc<ClientConfig>, String> {
        let fails = |e: io::Error| format!("cannot read {}: {}", self.path.display(), asking.file_error(&e));
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&std::fs::metadata(&self.path).map_err(fails)?);
        if let Some((of, config)) = &*made
            && *of == stamp
        {
            return Ok(Arc::clone(config));
        }
        let mut file = File::open(&self.path).map_err(fails)?;
        // Of the file that is read, which may be another one by now.
        let stamp = Stamp::of(&file.metadata().map_err(fails)?);
        let mut pem = Vec::new();
        Read::take(&mut file, LONGEST).read_to_end(&mut pem).map_err(fails)?;
        let config = make(self.roots(&pem)?)?;
        *made = Some((stamp, Arc::clone(&config)));
        Ok(config)
    }

    fn roots(&self, pem: &[u8]) -> Result<Arc<RootCertStore>, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            certificate
                .map_err(|e| e.to_string())
                .and_then(|certificate| roots.add(certificate).map_err(|e| e.to_string()))
                .map_err(|e| format!("certificate {} of {}: {e}", roots.len() + 1, self.path.display()))?;
        }
        match roots.is_empty() {
            true => Err(format!("there is no certificate in {}", self.path.display())),
            false => Ok(Arc::new(roots)),
        }
    }
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            length: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
        }
    }
}
