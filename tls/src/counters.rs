//! What the sessions of a front add up to.
//!
//! Shared by all threads. Counting is a relaxed addition; bytes are added once a turn, not once a write.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustls::{AlertDescription, CipherSuite, HandshakeKind, ProtocolVersion, ServerConnection};

use crate::relay::Timeout;

/// A number that only grows, or, where it says so, that goes up and down.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub(crate) fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }
}

/// The suites that rustls has, TLS 1.3 first.
const SUITES: [(CipherSuite, &str); 9] = [
    (CipherSuite::TLS13_AES_128_GCM_SHA256, "TLS13_AES_128_GCM_SHA256"),
    (CipherSuite::TLS13_AES_256_GCM_SHA384, "TLS13_AES_256_GCM_SHA384"),
    (CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, "TLS13_CHACHA20_POLY1305_SHA256"),
    (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
    (CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    (CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    (CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
];

/// The counters of one front.
#[derive(Debug)]
pub struct Counters {
    /// Sessions from the first byte to the last. Goes up and down.
    pub open: Counter,
    /// Those of them whose handshake is not complete. Goes up and down.
    pub handshaking: Counter,
    /// Complete handshakes with certificate and key exchange.
    pub full: Counter,
    /// Complete handshakes that resumed a session.
    pub resumed: Counter,
    /// Complete handshakes of TLS 1.2.
    pub tls12: Counter,
    /// Complete handshakes of TLS 1.3.
    pub tls13: Counter,
    /// Names that the front has no certificate for.
    pub sni_misses: Counter,
    /// Clients that spoke HTTP in clear.
    pub plain_http: Counter,
    /// Clients that went away during the handshake.
    pub gone: Counter,
    /// Servers that refused the connection, or its TLS.
    pub refused: Counter,
    /// Plain bytes from clients to servers.
    pub up: Counter,
    /// Plain bytes from servers to clients.
    pub down: Counter,
    timeouts: [Counter; Timeout::ALL.len()],
    suites: [Counter; SUITES.len()],
    /// By the number of the alert that ended the handshake, whoever sent it.
    failed: [Counter; 256],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            open: Counter::default(),
            handshaking: Counter::default(),
            full: Counter::default(),
            resumed: Counter::default(),
            tls12: Counter::default(),
            tls13: Counter::default(),
            sni_misses: Counter::default(),
            plain_http: Counter::default(),
            gone: Counter::default(),
            refused: Counter::default(),
            up: Counter::default(),
            down: Counter::default(),
            timeouts: Default::default(),
            suites: Default::default(),
            failed: std::array::from_fn(|_| Counter::default()),
        }
    }
}

impl Counters {
    /// Complete handshakes by suite, those that had none left out.
    pub fn suites(&self) -> impl Iterator<Item = (&'static str, u64)> {
        SUITES.iter().zip(&self.suites).map(|((_, name), n)| (*name, n.get())).filter(|(_, n)| *n > 0)
    }

    /// Timeouts by stage.
    pub fn timeouts(&self) -> impl Iterator<Item = (Timeout, u64)> {
        Timeout::ALL.into_iter().zip(&self.timeouts).map(|(stage, n)| (stage, n.get()))
    }

    /// Failed handshakes by the name of the alert as IANA has it, those that had none left out.
    pub fn failed(&self) -> impl Iterator<Item = (String, u64)> {
        let named = |(code, n): (u8, &Counter)| (alert_name(AlertDescription::from(code)), n.get());
        (0..=u8::MAX).zip(&self.failed).map(named).filter(|(_, n)| *n > 0)
    }

    pub(crate) fn timed_out(&self, stage: Timeout) {
        self.timeouts[stage as usize].add(1);
    }

    pub(crate) fn handshake_failed(&self, alert: AlertDescription) {
        self.failed[usize::from(u8::from(alert))].add(1);
    }

    pub(crate) fn handshake_done(&self, tls: &ServerConnection) {
        match tls.handshake_kind() {
            Some(HandshakeKind::Resumed) => self.resumed.add(1),
            _ => self.full.add(1),
        }
        match tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => self.tls12.add(1),
            _ => self.tls13.add(1),
        }
        let suite = tls.negotiated_cipher_suite().map(|suite| suite.suite());
        if let Some(at) = SUITES.iter().position(|(known, _)| Some(*known) == suite) {
            self.suites[at].add(1);
        }
    }
}

/// IANA's names are rustls' in other letters, but for some.
fn alert_name(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnrecognisedName => "unrecognized_name".to_owned(),
        AlertDescription::UserCanceled => "user_canceled".to_owned(),
        AlertDescription::UnknownPSKIdentity => "unknown_psk_identity".to_owned(),
        AlertDescription::Unknown(code) => format!("alert_{code}"),
        _ => {
            let mut name = String::new();
            let mut after_small = false;
            for c in format!("{alert:?}").chars() {
                if c.is_uppercase() && after_small {
                    name.push('_');
                }
                after_small = c.is_lowercase();
                name.push(c.to_ascii_lowercase());
            }
            name
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_the_names_that_iana_gave_them() {
        for (code, name) in [
            (10, "unexpected_message"),
            (40, "handshake_failure"),
            (48, "unknown_ca"),
            (70, "protocol_version"),
            (112, "unrecognized_name"),
            (116, "certificate_required"),
            (120, "no_application_protocol"),
            (200, "alert_200"),
        ] {
            assert_eq!(alert_name(AlertDescription::from(code)), name);
        }
    }
}
