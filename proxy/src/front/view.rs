//! Fronts for listings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use control::api::{CertView, TlsList, TlsView};
use tls::{Counters, Pair, Timeout, Warning};

use super::served::Served;

/// All fronts, as whoever lists them finds them.
pub(crate) type Listing = ArcSwap<Fronts>;

/// A front, and why its files as they are now are not used.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) served: Arc<Served>,
    pub(super) refused: Option<String>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Fronts(Vec<Listed>);

impl FromIterator<Listed> for Fronts {
    fn from_iter<I: IntoIterator<Item = Listed>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

impl Fronts {
    /// As they are now.
    pub(crate) fn list(&self, now: SystemTime) -> TlsList {
        TlsList { fronts: self.0.iter().map(|listed| view(listed, now)).collect() }
    }
}

fn view(listed: &Listed, now: SystemTime) -> TlsView {
    let served = &listed.served;
    let current = served.current();
    let certificate = |pair| certificate(pair, &current.warnings, now);
    let mut counters = counters(&served.counters);
    counters.insert("refused-too-many".to_owned(), served.too_many.load(Relaxed));
    TlsView {
        certificates: current.front.pairs().iter().map(certificate).collect(),
        sessions: served.counters.open.get(),
        counters,
        error: listed.refused.clone(),
        ..TlsView::new(served.key, current.vips.clone(), Arc::clone(&current.spec))
    }
}

fn certificate(pair: &Pair, warnings: &[Warning], now: SystemTime) -> CertView {
    const DAY: i64 = 86_400;
    let unix = |time: SystemTime| match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_secs().cast_signed(),
        Err(before) => -before.duration().as_secs().cast_signed(),
    };
    let file = pair.file();
    CertView {
        file: file.into(),
        names: pair.names().iter().map(ToString::to_string).collect(),
        subject: pair.subject().to_owned(),
        issuer: pair.issuer().to_owned(),
        not_before: unix(pair.not_before()),
        not_after: unix(pair.not_after()),
        key: pair.kind().to_string(),
        fingerprint: pair.fingerprint().to_string(),
        days_left: (unix(pair.not_after()) - unix(now)).div_euclid(DAY),
        warnings: warnings.iter().map(ToString::to_string).filter(|text| text.starts_with(file)).collect(),
    }
}

fn counters(counters: &Counters) -> BTreeMap<String, u64> {
    let failed: Vec<_> = counters.failed().collect();
    let late = counters.timeouts().find(|(stage, _)| *stage == Timeout::Handshake).map_or(0, |(_, n)| n);
    let all_failed = failed.iter().map(|(_, n)| n).sum::<u64>() + counters.gone.get() + late;
    let mut all = BTreeMap::from([
        (TlsView::FULL.to_owned(), counters.full.get()),
        (TlsView::RESUMED.to_owned(), counters.resumed.get()),
        (TlsView::FAILED.to_owned(), all_failed),
        ("handshakes-open".to_owned(), counters.handshaking.get()),
        ("handshakes-abandoned".to_owned(), counters.gone.get()),
        ("version-tls1.2".to_owned(), counters.tls12.get()),
        ("version-tls1.3".to_owned(), counters.tls13.get()),
        ("sni-misses".to_owned(), counters.sni_misses.get()),
        ("plain-http".to_owned(), counters.plain_http.get()),
        ("servers-refused".to_owned(), counters.refused.get()),
        ("bytes-in".to_owned(), counters.up.get()),
        ("bytes-out".to_owned(), counters.down.get()),
    ]);
    all.extend(failed.into_iter().map(|(alert, n)| (format!("alert-{alert}"), n)));
    all.extend(counters.suites().map(|(suite, n)| (format!("suite-{suite}"), n)));
    all.extend(counters.timeouts().map(|(stage, n)| (format!("timeout-{}", stage.name()), n)));
    all
}
