//! One question to one server: what a [`Check`] asks, and whether the answer is right.
//!
//! - A [`Question`] is a check made ready: patterns compiled, queries encoded, configurations of TLS built. It may be
//!   asked of any number of servers, any number of times, also at once. An authority's file is read again when it has
//!   changed.
//! - [`Question::ask`] is over after the check's timeout at the latest, whatever the server does: it may say nothing, drip,
//!   never stop or talk nonsense. What is kept of an answer is bounded; dropping the future ends the question, and the
//!   command of an `exec` check with it.
//! - Failures are in words for listings: one line, bounded, without control characters.
//! - [`check`] says beforehand what could never be asked.
//!
//! It decides about one answer and never about a server: that takes several, and is the roster's affair.

mod asking;
mod dns;
mod exec;
mod file;
mod grpc;
mod http;
mod icmp;
mod smtp;
mod tcp;
mod tls;
mod tools;
mod udp;
mod words;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sched::{Check, CheckKind, DestKey, ServiceKey, Via, Weight};
use tokio::time::{Instant, timeout_at};

use asking::{Asking, Progress, Way};

pub use exec::who;
pub use tools::{Aim, Aimed, ByEngine, Tools};

/// Whom a question goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The service.
    pub service: ServiceKey,
    /// Its server, as the service names it.
    pub dest: DestKey,
    /// Where it is asked.
    pub server: SocketAddr,
    /// Asked there in place of that, by the service's forwarding method.
    pub vip: Option<SocketAddr>,
    /// What it is taken for now.
    pub up: bool,
}

impl Target {
    /// This server of this service, where the check asks it: at the check's own address and port, or the server's; a
    /// server without a port is asked at the service's.
    pub fn of(check: &Check, service: ServiceKey, dest: DestKey, up: bool) -> Self {
        let own = |port: u16| (port != 0).then_some(port);
        let virtual_port = service.l4_port().and_then(own);
        let real_port = check.port.or_else(|| own(dest.port()));
        let mut server = dest;
        if let Some(addr) = check.addr {
            server.set_ip(addr);
        }
        server.set_port(real_port.or(virtual_port).unwrap_or(0));
        // What clients connect to.
        let vip_port = check.port.or(virtual_port).unwrap_or_else(|| server.port());
        let vip = match check.via {
            Via::Direct => None,
            Via::Vip => service.vip().map(|vip| SocketAddr::new(vip, vip_port)),
        };
        Self { service, dest, server, vip, up }
    }
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the answer was right; if not, what was wrong: one line.
    pub result: Result<Success, String>,
    /// How long it took.
    pub took: Duration,
    /// This host had not what it takes to ask, descriptors or memory: nothing is said about the server. Why, `result` says.
    pub lacking: bool,
}

/// The answer was right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Success {
    /// What the server's weight is to be, if the answer says so.
    pub weight: Option<Weighting>,
}

/// What an answer says about a server's weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighting {
    /// It is this.
    Absolute(Weight),
    /// It is the configured one and this.
    Add(i32),
}

/// A check made ready.
#[derive(Debug)]
pub struct Question {
    kind: Kind,
    via: Via,
    way: Way,
    timeout: Duration,
    tools: Arc<Tools>,
}

#[derive(Debug)]
enum Kind {
    Icmp,
    Tcp,
    Udp(udp::Ready),
    Http(http::Ready),
    Tls(tls::Ready),
    Dns(dns::Ready),
    Smtp(smtp::Ready),
    Grpc(grpc::Ready),
    Exec(exec::Ready),
    File(file::Ready),
    /// It can never be asked, as [`check`] would have said.
    Never(String),
}

/// Why this check could never succeed, in words that end the sentence "... cannot be asked:".
///
/// # Errors
/// A pattern that is none, a name that is none, a way that its kind cannot take, and the like. Not what may change while
/// we run: files that are missing.
pub fn check(check: &Check) -> Result<(), String> {
    let sockets = !matches!(check.kind, CheckKind::Exec(_) | CheckKind::File(_));
    if check.via == Via::Vip {
        match check.kind {
            CheckKind::Icmp => {
                return Err("an echo request goes by no service: `via = \"vip\"` is for others".into());
            }
            _ if !sockets => return Err("it sends nothing that could go by the VIP: leave `via` out".into()),
            _ if check.addr.is_some() => {
                return Err(
                    "it goes to the VIP, and so to no address of its own: leave one of the two out".into()
                );
            }
            _ if check.device.is_some() => {
                return Err("it goes to the VIP, by no device of its own: leave one of the two out".into());
            }
            _ => {}
        }
    }
    if let (Some(bind), Some(addr)) = (check.bind, check.addr)
        && bind.is_ipv4() != addr.is_ipv4()
    {
        return Err(format!("{addr} cannot be asked from {}: one is IPv4, the other IPv6", bind.ip()));
    }
    if check.timeout == 0 {
        return Err("no answer comes within a timeout of 0".into());
    }
    match &check.kind {
        CheckKind::Icmp | CheckKind::Tcp => Ok(()),
        CheckKind::Udp(udp) => udp::Ready::new(udp).map(drop),
        CheckKind::Http(http) => http::check(http),
        CheckKind::Tls(tls) => tls::check(tls),
        CheckKind::Dns { record, name } => dns::Ready::new(*record, name).map(drop),
        CheckKind::Smtp { helo } => smtp::Ready::new(helo).map(drop),
        CheckKind::Grpc(grpc) => grpc.tls.as_ref().map_or(Ok(()), tls::check),
        CheckKind::Exec(exec) => exec::check(exec),
        CheckKind::File(file) => file::Ready::new(file).map(drop),
    }
}

impl Question {
    /// Makes a check ready. One that [`check`] has objections to fails whenever it is asked.
    pub fn new(check: &Check, tools: &Arc<Tools>) -> Self {
        let kind = self::check(check).and_then(|()| Kind::new(&check.kind, tools));
        Self {
            kind: kind.unwrap_or_else(Kind::Never),
            via: check.via,
            way: Way { bind: check.bind, device: check.device.clone(), mark: check.mark },
            timeout: Duration::from_millis(check.timeout.into()),
            tools: Arc::clone(tools),
        }
    }

    /// Asks.
    pub async fn ask(&self, target: &Target) -> Outcome {
        let started = Instant::now();
        let progress = Progress::default();
        if self.via == Via::Vip && target.vip.is_none() && !matches!(self.kind, Kind::Never(_)) {
            let why = "a service of a mark has no VIP that the question could go by".to_owned();
            return Outcome { result: Err(why), took: Duration::ZERO, lacking: false };
        }
        let deadline = started + self.timeout;
        let asking = Asking { target, way: &self.way, tools: &self.tools, progress: &progress, deadline };
        let result = match timeout_at(deadline, self.kind.ask(&asking)).await {
            Ok(result) => result,
            Err(_) => Err(progress.late(self.timeout)),
        };
        let result = progress.came_by().and(result);
        let lacking = result.is_err() && progress.is_lacking();
        Outcome { result: result.map_err(|why| words::line(&why)), took: started.elapsed(), lacking }
    }
}

impl Kind {
    fn new(kind: &CheckKind, tools: &Arc<Tools>) -> Result<Self, String> {
        Ok(match kind {
            CheckKind::Icmp => Self::Icmp,
            CheckKind::Tcp => Self::Tcp,
            CheckKind::Udp(udp) => Self::Udp(udp::Ready::new(udp)?),
            CheckKind::Http(http) => Self::Http(http::Ready::new(http, tools)?),
            CheckKind::Tls(tls) => Self::Tls(tls::Ready::new(tls, tls::Protocol::Any, tools)?),
            CheckKind::Dns { record, name } => Self::Dns(dns::Ready::new(*record, name)?),
            CheckKind::Smtp { helo } => Self::Smtp(smtp::Ready::new(helo)?),
            CheckKind::Grpc(grpc) => Self::Grpc(grpc::Ready::new(grpc, tools)?),
            CheckKind::Exec(exec) => Self::Exec(exec::Ready::new(exec)?),
            CheckKind::File(file) => Self::File(file::Ready::new(file)?),
        })
    }

    async fn ask(&self, asking: &Asking<'_>) -> Result<Success, String> {
        match self {
            Self::Icmp => icmp::ask(asking).await?,
            Self::Tcp => tcp::ask(asking).await?,
            Self::Udp(ready) => ready.ask(asking).await?,
            Self::Http(ready) => ready.ask(asking).await?,
            Self::Tls(ready) => ready.ask(asking).await?,
            Self::Dns(ready) => ready.ask(asking).await?,
            Self::Smtp(ready) => ready.ask(asking).await?,
            Self::Grpc(ready) => ready.ask(asking).await?,
            Self::Exec(ready) => return ready.ask(asking).await,
            Self::File(ready) => return ready.ask(asking).await,
            Self::Never(why) => return Err(why.clone()),
        }
        Ok(Success::default())
    }
}

/// `192.168.1.1`, `[fd00::1]`: as it stands before a port.
fn host(addr: IpAddr) -> String {
    match addr {
        IpAddr::V4(addr) => addr.to_string(),
        IpAddr::V6(addr) => format!("[{addr}]"),
    }
}

#[cfg(test)]
mod tests;
