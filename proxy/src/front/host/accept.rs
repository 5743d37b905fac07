//! Who comes in.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Token};
use tls::{Redirect, Relay, Who};

use super::Kind;
use super::leg::HostLeg;
use super::tcp::turn_away;
use super::thread::{LISTENERS, Thread};
use crate::front::served::Served;
use crate::front::session::Talk;

/// Clients let in before those who are in have their turn.
const AT_ONCE: usize = 32;
/// How long to wait when the process has no descriptor left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// A listener, and when to ask it again though it has not said anything.
pub(super) struct Listening {
    served: Arc<Served>,
    at: SocketAddr,
    kind: Kind,
    listener: TcpListener,
    pub(super) retry: Option<Instant>,
}

impl Thread {
    pub(super) fn listen(
        &mut self,
        served: Arc<Served>,
        at: SocketAddr,
        kind: Kind,
        listener: std::net::TcpListener,
        now: Instant,
    ) {
        let place = self.listening.iter().position(Option::is_none).unwrap_or(self.listening.len());
        let mut listener = TcpListener::from_std(listener);
        let token = Token(LISTENERS + place);
        if let Err(error) = self.poll.registry().register(&mut listener, token, Interest::READABLE) {
            tracing::error!(%error, %at, "cannot wait for clients here");
            return;
        }
        // Clients may have come since it listens.
        let listening = Some(Listening { served, at, kind, listener, retry: Some(now) });
        match self.listening.get_mut(place) {
            Some(empty) => *empty = listening,
            None => self.listening.push(listening),
        }
    }

    /// Whoever has connected by now is let in: the kernel resets those whom nobody has accepted.
    pub(super) fn close(&mut self, at: SocketAddr, now: Instant) {
        for place in 0..self.listening.len() {
            let closing = self.listening[place].take_if(|listening| listening.at == at);
            if let Some(listening) = closing {
                while self.let_in(&listening, now).is_some_and(|again| again <= now) {}
            }
        }
    }

    /// Asks those listeners again whose time has come.
    pub(super) fn retry(&mut self, now: Instant) {
        for place in 0..self.listening.len() {
            if self.listening[place].as_ref().is_some_and(|l| l.retry.is_some_and(|retry| retry <= now)) {
                self.accept(place, now);
            }
        }
    }

    /// Lets clients in, as many as may.
    pub(super) fn accept(&mut self, place: usize, now: Instant) {
        let Some(mut listening) = self.listening.get_mut(place).and_then(Option::take) else { return };
        listening.retry = self.let_in(&listening, now);
        self.listening[place] = Some(listening);
    }

    /// When to go on.
    fn let_in(&mut self, listening: &Listening, now: Instant) -> Option<Instant> {
        let Listening { served, kind, listener, at, .. } = listening;
        for _ in 0..AT_ONCE {
            let limit = match kind {
                Kind::Tls => served.now.load().spec.limits.handshakes_per_second,
                Kind::Redirect => 0,
            };
            // They wait where the kernel keeps them.
            if let Some(later) = served.rate.full_until(limit, now) {
                return Some(later);
            }
            match listener.accept() {
                Ok((stream, client)) => {
                    served.rate.count(limit, now);
                    self.client(served, *kind, stream, Who { client: unmapped(client), vip: *at }, now)
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return None,
                    // Gone before we came, or a signal.
                    ErrorKind::ConnectionAborted | ErrorKind::Interrupted => {}
                    _ => {
                        tracing::warn!(%error, %at, "cannot take a client");
                        return Some(now + EXHAUSTED);
                    }
                },
            }
        }
        Some(now)
    }

    fn client(&mut self, served: &Arc<Served>, kind: Kind, mut stream: TcpStream, who: Who, now: Instant) {
        let current = served.current();
        let talk = match (kind, &current.redirect) {
            (Kind::Tls, _) if served.has_room() => {
                Talk::Tls(Relay::new(Arc::clone(&current.terms), who, now))
            }
            (Kind::Redirect, Some(terms)) => Talk::Redirect(Box::new(Redirect::new(Arc::clone(terms), now))),
            _ => return turn_away(&stream),
        };
        let place = self.desk.place();
        if let Err(error) = self.desk.tcp.register(&mut stream, place, false) {
            tracing::warn!(%error, client = %who.client, "cannot wait for a client");
            return self.desk.give_back(place);
        }
        let front = (Arc::clone(served), current);
        self.desk.receive(front, (place, HostLeg::new(stream, true), who), talk, (&mut self.engine, now));
    }
}

/// A client of IPv4 as such, whatever the listener is.
fn unmapped(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::PathBuf;
    use std::sync::mpsc::channel;
    use std::time::SystemTime;

    use sched::{CertFiles, TlsFront};
    use tls::ca::{Authority, KeyKind, Subject};

    use super::*;
    use crate::front::make::Maker;

    /// A front with a certificate of its own.
    fn served(dir: &tempfile::TempDir) -> Arc<Served> {
        let subject = Subject::parse("/CN=front").unwrap();
        let pair = Authority::create(&subject, KeyKind::EcdsaP256, 1, SystemTime::now()).unwrap();
        let write = |name: &str, text: String| -> PathBuf {
            let path = dir.path().join(name);
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.create(true).write(true).mode(0o600).open(&path).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
            path
        };
        let (cert, key) = (write("front.crt", pair.cert_pem), write("front.key", pair.key_pem));
        let spec = Arc::new(TlsFront::new(CertFiles { cert, key, ocsp: None }));
        let counters = Arc::default();
        let current = Maker::new().current(&spec, Vec::new(), &counters).unwrap();
        Arc::new(Served::new("tcp/127.0.0.1:443".parse().unwrap(), counters, current))
    }

    #[test]
    fn whoever_has_connected_before_a_listener_is_closed_stays() {
        let dir = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let (_engine, mut workers) = engine::Engine::new(1, engine::Limits::default(), 1, now);
        let (mut thread, _) = Thread::new(workers.remove(0), channel().1).unwrap();
        let listener = netio::front::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let at = listener.local_addr().unwrap();
        thread.listen(served(&dir), at, Kind::Tls, listener, now);
        let mut clients: Vec<_> =
            (0..2 * AT_ONCE).map(|_| std::net::TcpStream::connect(at).unwrap()).collect();
        thread.close(at, now);
        for client in &mut clients {
            client.set_nonblocking(true).unwrap();
            let error = client.read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
        let late = std::net::TcpStream::connect(at).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::ConnectionRefused);
    }
}
