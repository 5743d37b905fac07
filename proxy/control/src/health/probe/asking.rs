//! The sockets of a question, and how far it has come.
//!
//! Connections end by a reset (`SO_LINGER` of 0). With a FIN we would be left in TIME_WAIT for a minute: 120,000 sockets of
//! 2,000 servers asked every second, and soon no local port for any server that is asked often. Whoever has more to say
//! before, a `close_notify` or QUIT, says it and waits for what comes of it; a page has been read by then.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use sched::Proto;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Aimed, ByEngine, Target, Tools, words};

/// A server is a round trip away, and has nothing to think about.
const FAREWELL: Duration = Duration::from_millis(250);
/// A timer is late by that much at most.
const MARGIN: Duration = Duration::from_millis(5);

/// Whence a question goes.
#[derive(Debug)]
pub(super) struct Way {
    pub bind: Option<SocketAddr>,
    pub device: Option<String>,
    pub mark: Option<u32>,
}

/// A question under way.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub target: &'a Target,
    pub way: &'a Way,
    pub tools: &'a Tools,
    pub progress: &'a Progress,
    pub deadline: Instant,
}

/// Who speaks first when a connection is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// We do, or nobody. The kernel need not acknowledge the server's SYN by a packet of its own: what we say carries that.
    We,
    /// The server does, and it waits for that packet.
    Server,
}

impl Asking<'_> {
    /// A connection to the server.
    pub(super) async fn stream(&self, first: First) -> Result<TcpStream, String> {
        let to = self.destination()?;
        let socket = self.open(to, Type::STREAM, Protocol::TCP)?;
        let options = || -> io::Result<()> {
            socket.set_linger(Some(Duration::ZERO))?;
            socket.set_tcp_nodelay(true)?;
            socket.set_tcp_quickack(first == First::Server)
        };
        options().map_err(|e| self.error(&e))?;
        self.aim(&socket, to, Proto::Tcp)?;
        let stream = TcpSocket::from_std_stream(socket.into()).connect(to).await;
        let stream = stream.map_err(|e| self.error(&e))?;
        // A port of this very host that nobody listens on may meet itself, where the kernel picks it for our end too.
        if stream.local_addr().is_ok_and(|own| own == to) {
            return Err("connection refused".into());
        }
        self.reached(Stage::Connected);
        Ok(stream)
    }

    /// A socket for datagrams to the server. ICMP errors are errors of it.
    pub(super) fn datagrams(&self) -> Result<UdpSocket, String> {
        let to = self.destination()?;
        let socket = self.open(to, Type::DGRAM, Protocol::UDP)?;
        self.aim(&socket, to, Proto::Udp)?;
        connected(socket, to).map_err(|e| self.error(&e))
    }

    /// What comes of this in the time that there is. `None` comes a little before the end: there is something to say yet.
    pub(super) async fn before_the_end<F: Future>(&self, what: F) -> Option<F::Output> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        timeout_at(self.deadline - (left / 10).min(MARGIN), what).await.ok()
    }

    /// Says goodbye, when the answer has been judged: so that the server's log has a client that left as one should. It is
    /// not waited for for long.
    pub(super) async fn leave<F: Future>(&self, goodbye: F) {
        self.before_the_end(timeout(FAREWELL, goodbye)).await;
    }

    /// How far it has come.
    pub(super) fn reached(&self, stage: Stage) {
        self.progress.0.store(stage as u8, Ordering::Relaxed);
    }

    /// What went wrong here, in words; what this host lacks is noted.
    pub(super) fn error(&self, error: &io::Error) -> String {
        if words::is_ours(error) {
            self.lacks();
        }
        words::io(error)
    }

    /// The same of a file that cannot be read.
    pub(super) fn file_error(&self, error: &io::Error) -> String {
        match error.kind() {
            io::ErrorKind::PermissionDenied => "permission denied".into(),
            _ => self.error(error),
        }
    }

    /// This host has not what it takes to ask.
    pub(super) fn lacks(&self) {
        self.progress.2.store(true, Ordering::Relaxed);
    }

    /// It begins anew.
    pub(super) fn restart(&self) {
        self.reached(Stage::Sent);
    }

    /// Where packets are sent.
    fn destination(&self) -> Result<SocketAddr, String> {
        let to = self.target.vip.unwrap_or(self.target.server);
        if to.port() == 0 {
            return Err("neither the service nor its server has a port: give the check a `port`".into());
        }
        Ok(to)
    }

    /// A socket that has all that the check says of it.
    pub(super) fn open(&self, to: SocketAddr, kind: Type, protocol: Protocol) -> Result<Socket, String> {
        let Way { bind, device, mark } = self.way;
        let fails = |e: io::Error| match e.kind() {
            io::ErrorKind::PermissionDenied => {
                "we may not: that takes CAP_NET_RAW, or our group in net.ipv4.ping_group_range".into()
            }
            _ => self.error(&e),
        };
        let socket =
            Socket::new(Domain::for_address(to), kind.nonblocking(), Some(protocol)).map_err(fails)?;
        let proto = match protocol {
            Protocol::TCP => Some(Proto::Tcp),
            Protocol::UDP => Some(Proto::Udp),
            _ => None,
        };
        let goes_by = |device: &str| proto.map_or(Ok(false), |proto| self.goes_by(proto, device));
        if let Some(device) = device
            && !goes_by(device)?
        {
            let fails = |e: io::Error| match e.raw_os_error() {
                Some(code) if Errno::from_raw(code) == Errno::ENODEV => {
                    format!("there is no device `{device}` to ask by")
                }
                _ => format!("cannot ask by device `{device}`: {}", self.error(&e)),
            };
            socket.bind_device(Some(device.as_bytes())).map_err(fails)?;
        }
        if let Some(mark) = *mark {
            let fails = |e: io::Error| match e.kind() {
                io::ErrorKind::PermissionDenied => {
                    format!("cannot ask with mark {mark} without CAP_NET_ADMIN")
                }
                _ => format!("cannot ask with mark {mark}: {}", self.error(&e)),
            };
            socket.set_mark(mark).map_err(fails)?;
        }
        if let Some(bind) = *bind {
            self.bind(&socket, bind, to)?;
        }
        Ok(socket)
    }

    /// Whether it goes by the device anyway, and must not be bound to it: where answers come by the engine, a bound socket
    /// would not hear them.
    fn goes_by(&self, proto: Proto, device: &str) -> Result<bool, String> {
        let engine = self.tools.aim.as_ref().and_then(|aim| aim.by_engine(proto, self.target.server));
        match engine {
            None => Ok(false),
            Some(ByEngine { device: Some(own) }) if own != device => Err(format!(
                "its answers come by the engine, which reaches it by `{own}`: it can be asked by that device, or by any"
            )),
            Some(_) => Ok(true),
        }
    }

    fn bind(&self, socket: &Socket, bind: SocketAddr, to: SocketAddr) -> Result<(), String> {
        if bind.is_ipv4() != to.is_ipv4() {
            return Err(format!(
                "{} cannot be asked from {}: one is IPv4, the other IPv6",
                to.ip(),
                bind.ip()
            ));
        }
        let fails = |e: io::Error| match e.kind() {
            io::ErrorKind::AddrNotAvailable => {
                format!("cannot ask from {}: it is no address of this host", bind.ip())
            }
            io::ErrorKind::AddrInUse => format!("cannot ask from {bind}: somebody else has that port"),
            _ => format!("cannot ask from {bind}: {}", self.error(&e)),
        };
        match bind.port() {
            // The port is chosen once it is known whom for: each server may have the same.
            0 if self.target.vip.is_none() => {
                setsockopt(socket, sockopt::IpBindAddressNoPort, &true).map_err(|e| fails(e.into()))?;
            }
            0 => {}
            _ => socket.set_reuse_address(true).map_err(fails)?,
        }
        socket.bind(&bind.into()).map_err(fails)
    }

    /// Sees to it that a question by the VIP comes to our server.
    fn aim(&self, socket: &Socket, to: SocketAddr, proto: Proto) -> Result<(), String> {
        let &Target { service, dest, vip: Some(vip), .. } = self.target else { return Ok(()) };
        let Some(aim) = &self.tools.aim else {
            return Err("no question can go by the VIP here".into());
        };
        let error = |e: io::Error| self.error(&e);
        if self.way.bind.is_none() {
            // Which address we have on the way there, the kernel tells a socket that sends nothing.
            let scout = self.open(to, Type::DGRAM, Protocol::UDP)?;
            scout.connect(&to.into()).map_err(error)?;
            let mut own = scout.local_addr().map_err(error)?.as_socket().unwrap_or_else(|| any(to));
            own.set_port(0);
            socket.bind(&own.into()).map_err(error)?;
        }
        let client = socket.local_addr().map_err(error)?.as_socket().unwrap_or_else(|| any(to));
        let aimed = aim.aim((proto, client, vip), service, dest)?;
        self.progress.aimed().push(aimed);
        Ok(())
    }
}

/// A socket for datagrams that hears from one peer only, and of the ICMP errors that its packets meet.
pub(super) fn connected(socket: Socket, to: SocketAddr) -> io::Result<UdpSocket> {
    let heard = match to {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true),
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true),
    };
    heard?;
    socket.connect(&to.into())?;
    UdpSocket::from_std(socket.into())
}

fn any(like: SocketAddr) -> SocketAddr {
    match like {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// What has been reached of a question: what is missing when its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// Packets have been sent, at most.
    Sent,
    /// There is a connection.
    Connected,
    /// The TLS handshake is over.
    Shaken,
    /// The answer has begun.
    Answering,
    /// A command is running.
    Running,
}

/// The [`Stage`] of a question: whoever asks says it, whoever looks at the clock reads it. And what of it is aimed at a
/// server, by the VIP; and whether this host lacked what it takes.
#[derive(Default)]
pub(super) struct Progress(AtomicU8, Mutex<Vec<Box<dyn Aimed>>>, AtomicBool);

impl Progress {
    fn aimed(&self) -> MutexGuard<'_, Vec<Box<dyn Aimed>>> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that was to go by the VIP has done so: what became of it says something about the server.
    pub(super) fn came_by(&self) -> Result<(), String> {
        if self.aimed().iter().all(|aimed| aimed.has_begun()) {
            return Ok(());
        }
        Err("what this host sends to the VIP does not come by the service: ask without `via`".into())
    }

    /// This host lacked what it takes to ask.
    pub(super) fn is_lacking(&self) -> bool {
        self.2.load(Ordering::Relaxed)
    }

    /// What is missing after all the time that there was.
    pub(super) fn late(&self, limit: Duration) -> String {
        let (before, after) = MISSING[usize::from(self.0.load(Ordering::Relaxed))];
        format!("{before} {}{after}", words::time(limit))
    }
}

/// By [`Stage`], what stands before and after the time.
const MISSING: [(&str, &str); 5] = [
    ("no answer within", ""),
    ("connected, but no answer within", ""),
    ("no answer within", ", after the TLS handshake"),
    ("the answer was not complete within", ""),
    ("still running after", ""),
];
