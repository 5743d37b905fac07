//! Before the session: the ClientHello, and what else may come in its place.

use rustls::{
    AlertDescription,
    server::{AcceptedAlert, Acceptor, ServerConnection},
};

use super::{
    next::How,
    terms::Accept,
    turn::{Turn, try_io},
};
use crate::{counters::Counters, http};

/// What HTTP in clear begins with.
const METHODS: [&[u8]; 9] =
    [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE "];

/// What came of it.
pub(super) enum Greeting {
    /// Nothing yet.
    Waiting,
    /// A session, and what the client has sent after its ClientHello.
    Session(Box<ServerConnection>, Vec<u8>),
    /// The client is to be told this, and no more.
    Refused(Vec<u8>, How),
    /// The client went away.
    Gone,
}

/// A client that has not said which name it wants.
#[derive(Default)]
pub(super) struct Hello {
    acceptor: Acceptor,
    /// The first bytes, for as long as they may be HTTP.
    first: Vec<u8>,
    /// They are not.
    tls: bool,
    /// The beginning of the ClientHello, to the version that it asks for.
    head: Vec<u8>,
}

/// Header of the record (5), header of the message (4), version.
const HEAD: usize = 11;

impl Hello {
    /// Reads on.
    pub(super) fn drive(&mut self, turn: &mut Turn<'_>, inward: &mut [u8]) -> Greeting {
        loop {
            let n = match try_io(|| turn.client.read(inward)) {
                Ok(None) => return Greeting::Waiting,
                Ok(Some(0)) | Err(_) => return Greeting::Gone,
                Ok(Some(n)) => n,
            };
            match self.take(&inward[..n], turn.terms.accept.as_ref()) {
                Greeting::Waiting => {}
                greeting => {
                    count(&greeting, &turn.terms.counters);
                    return greeting;
                }
            }
        }
    }

    fn take(&mut self, bytes: &[u8], accept: &dyn Accept) -> Greeting {
        if self.tls {
            return self.feed(bytes, accept);
        }
        self.first.extend_from_slice(bytes);
        let first = std::mem::take(&mut self.first);
        if METHODS.iter().any(|method| first.starts_with(method)) {
            return Greeting::Refused(http::tls_is_spoken_here(), How::PlainHttp);
        }
        if METHODS.iter().any(|method| method.starts_with(&first)) {
            self.first = first;
            return Greeting::Waiting;
        }
        self.tls = true;
        self.feed(&first, accept)
    }

    fn feed(&mut self, mut bytes: &[u8], accept: &dyn Accept) -> Greeting {
        let missing = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..missing]);
        while !bytes.is_empty() {
            if self.acceptor.read_tls(&mut bytes).is_err() {
                return refused(AlertDescription::DecodeError);
            }
            let accepted = match self.acceptor.accept() {
                Ok(None) => continue,
                Ok(Some(accepted)) => accepted,
                Err((error, _)) if self.is_old(&error) => return refused(AlertDescription::ProtocolVersion),
                Err((error, mut alert)) => return told(&error, &mut alert),
            };
            let Ok(config) = accept.accept(&accepted.client_hello()) else {
                return refused(AlertDescription::UnrecognisedName);
            };
            return match accepted.into_connection(config) {
                Ok(mut session) => {
                    session.set_buffer_limit(None);
                    Greeting::Session(Box::new(session), bytes.to_vec())
                }
                Err((error, mut alert)) => told(&error, &mut alert),
            };
        }
        Greeting::Waiting
    }

    /// Whether the client speaks nothing newer than TLS 1.1. rustls misses what only 1.2 brought before it looks at the
    /// version, and would not say what is the matter (RFC 5246, E.1).
    fn is_old(&self, error: &rustls::Error) -> bool {
        let missed = rustls::PeerIncompatible::SignatureAlgorithmsExtensionRequired;
        *error == rustls::Error::PeerIncompatible(missed)
            && matches!(self.head[..], [.., major, minor] if (major, minor) < (3, 3))
    }
}

fn count(greeting: &Greeting, counters: &Counters) {
    match greeting {
        Greeting::Refused(_, How::PlainHttp) => counters.plain_http.add(1),
        Greeting::Refused(_, How::Alert(alert)) => {
            counters.handshake_failed(*alert);
            if *alert == AlertDescription::UnrecognisedName {
                counters.sni_misses.add(1);
            }
        }
        _ => {}
    }
}

/// An alert of rustls', or, where it has none for an error, of ours.
fn told(error: &rustls::Error, alert: &mut AcceptedAlert) -> Greeting {
    let mut bytes = Vec::new();
    // A vector takes everything.
    let _ = alert.write_all(&mut bytes);
    match bytes[..] {
        [21, _, _, 0, 2, _, code] => Greeting::Refused(bytes, How::Alert(AlertDescription::from(code))),
        _ => refused(alert_of(error)),
    }
}

/// An alert of ours.
fn refused(alert: AlertDescription) -> Greeting {
    Greeting::Refused(in_clear(alert).to_vec(), How::Alert(alert))
}

/// A fatal alert (RFC 8446, 6.2) in clear.
pub(super) fn in_clear(alert: AlertDescription) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, u8::from(alert)]
}

/// The alert that goes with an error of a session's handshake. What rustls has sent may be encrypted, so that it
/// cannot be looked up there.
pub(super) fn alert_of(error: &rustls::Error) -> AlertDescription {
    use rustls::Error;
    match error {
        Error::AlertReceived(alert) => *alert,
        Error::InvalidCertificate(why) => why.clone().into(),
        Error::InvalidMessage(why) => (*why).into(),
        Error::NoCertificatesPresented => AlertDescription::CertificateRequired,
        Error::NoApplicationProtocol => AlertDescription::NoApplicationProtocol,
        Error::DecryptError => AlertDescription::BadRecordMac,
        Error::PeerSentOversizedRecord => AlertDescription::RecordOverflow,
        Error::PeerIncompatible(_) => AlertDescription::HandshakeFailure,
        Error::PeerMisbehaved(_) => AlertDescription::IllegalParameter,
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            AlertDescription::UnexpectedMessage
        }
        _ => AlertDescription::InternalError,
    }
}
