//! Where TLS ends: certificates and the files of keys.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::SystemTime;

use control::api::TlsView;
use sched::{ServiceSpec, TlsFront};

use crate::doctor::facts::Front;
use crate::front;
use crate::reason::reason;

/// As the engine has them.
pub(super) fn of_views(views: Vec<TlsView>) -> Vec<Front> {
    let front = |view: TlsView| Front {
        service: view.service.word(),
        vips: view.vips.clone(),
        open_keys: open_keys(&view.settings),
        warnings: view.certificates.iter().flat_map(|certificate| certificate.warnings.clone()).collect(),
        certificates: view.certificates,
        error: view.error,
        now: now(),
    };
    views.into_iter().map(front).collect()
}

/// As a file has them.
pub(super) fn of_specs(services: &[ServiceSpec]) -> Vec<Front> {
    let front = |service: &ServiceSpec| {
        let spec = service.tls.as_ref()?;
        let checked = front::check(spec);
        Some(Front {
            service: service.key.word(),
            vips: Vec::new(),
            open_keys: open_keys(spec),
            certificates: Vec::new(),
            error: checked.as_ref().err().map(reason),
            warnings: checked.unwrap_or_default().iter().map(ToString::to_string).collect(),
            now: now(),
        })
    };
    services.iter().filter_map(front).collect()
}

/// Seconds since 1970 UTC.
pub(super) fn now() -> i64 {
    unix(SystemTime::now())
}

/// The same of any moment; none is before 1970.
pub(super) fn unix(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().cast_signed()
}

/// Keys that everybody may read, or that a group other than root's may.
fn open_keys(spec: &TlsFront) -> Vec<(PathBuf, u32)> {
    let open = |key: &PathBuf| {
        let meta = std::fs::metadata(key).ok()?;
        let mode = meta.mode() & 0o777;
        let others = mode & 0o007 != 0 || (mode & 0o070 != 0 && meta.gid() != 0);
        others.then(|| (key.clone(), mode))
    };
    spec.certs.iter().filter_map(|files| open(&files.key)).collect()
}
