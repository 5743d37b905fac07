//! The certificate that every contender shows: of its own authority, P-256, for the VIP's address.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::bench::programs::find;
use crate::node::Node;

/// A certificate and its key, as files that vanish with this.
#[derive(Debug)]
pub(super) struct Site {
    /// The certificate.
    pub(super) cert: PathBuf,
    /// Its key.
    pub(super) key: PathBuf,
    /// Both in one file, as HAProxy wants them.
    pub(super) both: PathBuf,
    directory: TempDir,
}

impl Site {
    /// Makes one for the address. Files go to `root`, or where the system has its temporary ones.
    pub(super) fn new(root: Option<&Path>, vip: &str) -> anyhow::Result<Self> {
        let directory = match root {
            Some(root) => TempDir::with_prefix_in("ulvs-lab-", root),
            None => TempDir::with_prefix("ulvs-lab-"),
        }
        .context("cannot make a directory for the certificate")?;
        let place = |name: &str| directory.path().join(name);
        let (cert, key, both) = (place("site.crt"), place("site.key"), place("site.pem"));
        let shown = |path: &Path| path.display().to_string();
        let openssl = shown(&find("openssl", "openssl")?);
        let name = format!("subjectAltName=IP:{vip}");
        let curve = "ec_paramgen_curve:P-256";
        Node::new("authority")?.exec(&[
            &openssl,
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            curve,
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=ulvs lab",
            "-addext",
            &name,
            "-keyout",
            &shown(&key),
            "-out",
            &shown(&cert),
        ])?;
        let read =
            |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        fs::write(&both, read(&cert)? + &read(&key)?)
            .with_context(|| format!("cannot write {}", both.display()))?;
        Ok(Self { cert, key, both, directory })
    }

    /// A file of this name beside the certificate.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}
