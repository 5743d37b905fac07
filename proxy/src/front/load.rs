//! From the files that a front names to what it is made of.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use sched::{ClientAuth, TlsFront, TlsProfile};
use tls::{
    Authorities, ClientCertificates, Clock, Front, FrontSettings, PairFiles, Profile, Source, TicketKeys,
    UnknownName, Warning,
};

/// Permissions that a file with a secret must not give: to write for the group, anything for others. (A group that may
/// read is how distributions share keys: `ssl-cert`.)
const EXCESSIVE: u32 = 0o027;

/// Files that a front is made of, as they were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    path: PathBuf,
    /// Length, time of the last change, inode: another file than before differs in one of them.
    state: Option<(u64, std::time::SystemTime, u64)>,
}

impl Found {
    pub(super) fn look(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        let state = std::fs::metadata(path).ok();
        let state = state.and_then(|meta| Some((meta.len(), meta.modified().ok()?, meta.ino())));
        Self { path: path.to_owned(), state }
    }

    /// Whether it is another file now.
    pub(super) fn has_changed(&self) -> bool {
        Self::look(&self.path) != *self
    }
}

/// The files that a front reads.
pub(super) fn files(spec: &TlsFront) -> Vec<PathBuf> {
    let pairs = spec.certs.iter().flat_map(|pair| [Some(&pair.cert), Some(&pair.key), pair.ocsp.as_ref()]);
    let clients = spec.client_auth.iter().flat_map(|auth| [Some(&auth.ca), auth.crl.as_ref()]);
    let backend = spec.backend_tls.iter().map(|backend| Some(&backend.ca));
    pairs.chain(clients).chain(backend).flatten().cloned().collect()
}

/// Whether a front could be made of these settings now.
///
/// # Errors
/// What is wrong with which file, and what to do about it.
pub(crate) fn check(spec: &TlsFront) -> anyhow::Result<Vec<Warning>> {
    let clock = Clock::at(std::time::SystemTime::now());
    let (_, warnings) = front(spec, None, &clock)?;
    backend(spec)?;
    if let sched::Tickets::Shared(path) = &spec.tickets {
        TicketKeys::shared(&secret(path)?, tls::TicketTimes::default(), &clock)?;
    }
    Ok(warnings)
}

/// What clients meet.
pub(super) fn front(
    spec: &TlsFront,
    tickets: Option<Arc<TicketKeys>>,
    clock: &Arc<Clock>,
) -> anyhow::Result<(Front, Vec<Warning>)> {
    let mut pairs = Vec::new();
    for files in &spec.certs {
        pairs.push(PairFiles {
            chain: source(&files.cert)?,
            key: secret(&files.key)?,
            ocsp: files.ocsp.as_deref().map(source).transpose()?,
        });
    }
    let key_log = spec.key_log.as_deref().map(super::served::KeyLogFile::open).transpose()?;
    let settings = FrontSettings {
        pairs,
        unknown_name: if spec.strict_sni { UnknownName::Refuse } else { UnknownName::FirstPair },
        profile: match spec.profile {
            TlsProfile::Modern => Profile::Modern,
            TlsProfile::Intermediate => Profile::Intermediate,
        },
        alpn: spec.alpn.clone(),
        client_certificates: client_certificates(spec.client_auth.as_ref())?,
        tickets,
        key_log: key_log.map(|log| Arc::new(log) as _),
    };
    Ok(Front::new(&settings, clock)?)
}

fn client_certificates(auth: Option<&ClientAuth>) -> anyhow::Result<ClientCertificates> {
    let Some(auth) = auth else { return Ok(ClientCertificates::Off) };
    let authorities = Authorities {
        ca: source(&auth.ca)?,
        crls: auth.crl.as_deref().map(source).transpose()?.into_iter().collect(),
    };
    Ok(match auth.required {
        true => ClientCertificates::Required(authorities),
        false => ClientCertificates::Optional(authorities),
    })
}

/// How servers are spoken to by TLS, if they are; the name for those that are known by their address only is put in later.
pub(super) fn backend(spec: &TlsFront) -> anyhow::Result<Option<tls::Backend>> {
    let Some(backend) = &spec.backend_tls else { return Ok(None) };
    Ok(Some(tls::Backend::new(&source(&backend.ca)?, backend.name.as_deref())?))
}

/// The keys of tickets that directors share.
pub(super) fn shared_tickets(path: &Path, clock: &Arc<Clock>) -> anyhow::Result<Arc<TicketKeys>> {
    Ok(TicketKeys::shared(&secret(path)?, tls::TicketTimes::default(), clock)?)
}

fn source(path: &Path) -> anyhow::Result<Source> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    Ok(Source { name, bytes })
}

/// The same of a file that nobody else may read.
fn secret(path: &Path) -> anyhow::Result<Source> {
    let meta = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    check_secrecy(path, &meta)?;
    source(path)
}

/// Whether nobody else may read a file.
pub(super) fn check_secrecy(path: &Path, meta: &std::fs::Metadata) -> anyhow::Result<()> {
    let (name, mode) = (path.display(), meta.permissions().mode() & 0o777);
    if mode & EXCESSIVE != 0 {
        bail!("{name} is a secret, and others may read or change it (mode {mode:04o}): chmod 600 {name}");
    }
    Ok(())
}
