//! What makes no sense about a front, for everybody who takes one: the configuration, the command line, the table.

use std::net::IpAddr;

use super::{ClientIdentity, TlsFront, TlsLimits, TlsStack};
use crate::model::key::{Family, Proto, ServiceKey, is_host};

/// What makes no sense about a front. Which files it names is no matter here, and whether they are there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFlaw {
    /// TLS is spoken over TCP.
    #[error("TLS cannot end at a service of {}: it is spoken over TCP", .0.name())]
    NotTcp(Proto),
    /// Port 0.
    #[error("TLS cannot end at port 0")]
    PortZero,
    /// The service takes another port.
    #[error("the service takes port {0} alone, so TLS cannot end at another one")]
    OtherPort(u16),
    /// An address that is no host's, or of the other family.
    #[error("{0} is no address to which clients of this service speak")]
    Vip(IpAddr),
    /// Addresses, and the service has one.
    #[error("the service has its address already: TLS ends there")]
    HasVip,
    /// No certificate.
    #[error("there is no certificate")]
    NoCertificate,
    /// A protocol that the handshake cannot carry (RFC 7301 section 3.1).
    #[error("`{0}` is no name of a protocol")]
    Alpn(String),
    /// A service for a protocol that is not offered.
    #[error("`{0}` has a service of its own but is not among the protocols that are offered")]
    NotOffered(String),
    /// A service for a protocol that cannot have its servers.
    #[error("{1} cannot be the service of `{0}`")]
    AlpnService(String, ServiceKey),
    /// The client's own address, by the kernel's TCP.
    #[error("the kernel's TCP cannot speak to servers from the client's own address")]
    Transparent,
    /// Something about requests, and there are none to see.
    #[error("`{0}` is about requests of HTTP/1.1, which is not among the protocols that are offered")]
    NoRequests(&'static str),
    /// Fields that clients could write themselves, in requests that nobody here reads.
    #[error(
        "requests by `{0}` pass unread, so clients could write themselves what identity forwarded tells servers"
    )]
    Forgeable(String),
    /// Connections that many clients use, and every one says whose it is.
    #[error("connections that go from client to client cannot say, by identity {0}, whose they are")]
    SharedIdentity(ClientIdentity),
    /// More idle connections than anybody means.
    #[error("{0} idle connections to each server are too many")]
    Pool(u32),
    /// Plain HTTP where TLS is spoken, or nowhere.
    #[error("port {0} cannot be the one of plain HTTP")]
    Redirect(u16),
    /// The setting is out of its range.
    #[error("`{0}` is out of range")]
    Limit(&'static str),
}

impl TlsFlaw {
    /// The setting that it is about, as the configuration calls it; `tls` is all of them.
    pub const fn setting(&self) -> &'static str {
        match self {
            Self::NotTcp(_) => "tls",
            Self::PortZero | Self::OtherPort(_) => "port",
            Self::Vip(_) | Self::HasVip => "vips",
            Self::NoCertificate => "cert",
            Self::Alpn(_) => "alpn",
            Self::NotOffered(_) | Self::AlpnService(..) => "alpn_service",
            Self::Transparent | Self::Forgeable(_) => "identity",
            Self::NoRequests(setting) | Self::Limit(setting) => setting,
            Self::SharedIdentity(_) | Self::Pool(_) => "pool",
            Self::Redirect(_) => "redirect_http",
        }
    }

    /// What to do about it.
    pub fn way_out(&self) -> String {
        match self {
            Self::NotTcp(_) => "take a TCP service, or a mark that TCP has".to_owned(),
            Self::PortZero => "write a port from 1 to 65535".to_owned(),
            Self::OtherPort(port) => format!("leave the port out, or write {port}"),
            Self::Vip(_) => "write addresses of hosts, of the family of the service".to_owned(),
            Self::HasVip => "leave them out: only a mark may need them".to_owned(),
            Self::NoCertificate => "name a certificate and its key".to_owned(),
            Self::Alpn(_) => {
                "HTTP/1.1 is called http/1.1 and HTTP/2 is called h2; a name has 1 to 255 bytes and comes once"
                    .to_owned()
            }
            Self::NotOffered(name) => format!("offer `{name}` too (alpn), or leave its service out"),
            Self::AlpnService(..) => "name another service, of TCP, or a mark: tcp/10.0.0.1:8443".to_owned(),
            Self::Transparent => "take the stack `userspace`, or another identity".to_owned(),
            Self::NoRequests(_) => "offer http/1.1 too (alpn), or leave it out".to_owned(),
            Self::Forgeable(name) => {
                format!("do not offer `{name}`, give it servers of its own (alpn_service), or take another identity")
            }
            Self::SharedIdentity(_) => {
                "take the identity `forwarded`, which each request has, or no pool".to_owned()
            }
            Self::Pool(_) => format!("write 0 to {}", TlsFront::MAX_POOL),
            Self::Redirect(_) => "write another port than that of TLS, as a rule 80".to_owned(),
            Self::Limit(name) => TlsLimits::RANGES.iter().find(|range| range.0 == *name).map_or_else(
                String::new,
                |(_, range)| format!("write {} to {}", range.start(), range.end()),
            ),
        }
    }
}

impl TlsFront {
    /// The most idle connections that are kept to a server.
    pub const MAX_POOL: u32 = 10_000;

    /// What makes no sense about it as the front of that service; all of it.
    pub fn flaws(&self, key: &ServiceKey) -> Vec<TlsFlaw> {
        let mut flaws = Vec::new();
        match *key {
            ServiceKey::Addr { proto, .. } if proto != Proto::Tcp => flaws.push(TlsFlaw::NotTcp(proto)),
            ServiceKey::Addr { l4_port, .. } if l4_port != 0 && l4_port != self.port => {
                flaws.push(TlsFlaw::OtherPort(l4_port));
            }
            ServiceKey::Addr { .. } | ServiceKey::Mark { .. } => {}
        }
        if self.port == 0 {
            flaws.push(TlsFlaw::PortZero);
        }
        if key.vip().is_some() && !self.vips.is_empty() {
            flaws.push(TlsFlaw::HasVip);
        }
        let stray = self.vips.iter().find(|vip| !is_host(**vip) || Family::from(**vip) != key.family());
        flaws.extend(stray.copied().map(TlsFlaw::Vip));
        if self.certs.is_empty() {
            flaws.push(TlsFlaw::NoCertificate);
        }
        self.flaws_of_protocols(key, &mut flaws);
        self.flaws_of_servers(&mut flaws);
        let senseless = self.redirect_http.filter(|port| *port == self.port || *port == 0);
        flaws.extend(senseless.map(TlsFlaw::Redirect));
        let limits = TlsLimits::RANGES.iter().zip(self.limits.in_order());
        flaws
            .extend(limits.filter(|((_, range), n)| !range.contains(n)).map(|((s, _), _)| TlsFlaw::Limit(s)));
        flaws
    }

    fn flaws_of_protocols(&self, key: &ServiceKey, flaws: &mut Vec<TlsFlaw>) {
        for (i, name) in self.alpn.iter().enumerate() {
            // Names beginning so are registered (RFC 7301 section 6), and others of them nobody speaks over TCP.
            let nobodys = name.starts_with("http") && !name.starts_with("http/1.") || name == "h3";
            if !(1..=255).contains(&name.len()) || nobodys || self.alpn[..i].contains(name) {
                flaws.push(TlsFlaw::Alpn(name.clone()));
            }
        }
        for (name, service) in &self.by_alpn {
            if !self.alpn.contains(name) {
                flaws.push(TlsFlaw::NotOffered(name.clone()));
            } else if service == key || service.proto().is_some_and(|proto| proto != Proto::Tcp) {
                flaws.push(TlsFlaw::AlpnService(name.clone(), *service));
            }
        }
    }

    fn flaws_of_servers(&self, flaws: &mut Vec<TlsFlaw>) {
        // Without any offer clients speak HTTP/1.1 if they speak HTTP.
        let requests = self.alpn.is_empty() || self.alpn.iter().any(|name| name.starts_with("http/1."));
        if self.identity == ClientIdentity::Transparent && self.stack == TlsStack::Kernel {
            flaws.push(TlsFlaw::Transparent);
        }
        if self.identity == ClientIdentity::Forwarded && !requests {
            flaws.push(TlsFlaw::NoRequests("identity"));
        }
        let unread =
            |name: &&String| !name.starts_with("http/1.") && self.by_alpn.iter().all(|(own, _)| own != *name);
        if self.identity == ClientIdentity::Forwarded
            && requests
            && let Some(name) = self.alpn.iter().find(unread)
        {
            flaws.push(TlsFlaw::Forgeable(name.clone()));
        }
        if self.pool > 0 && !requests {
            flaws.push(TlsFlaw::NoRequests("pool"));
        }
        if self.pool > Self::MAX_POOL {
            flaws.push(TlsFlaw::Pool(self.pool));
        }
        match self.identity {
            ClientIdentity::None | ClientIdentity::Forwarded => {}
            whose @ (ClientIdentity::Transparent | ClientIdentity::ProxyV1 | ClientIdentity::ProxyV2) => {
                if self.pool > 0 {
                    flaws.push(TlsFlaw::SharedIdentity(whose));
                }
            }
        }
    }
}
