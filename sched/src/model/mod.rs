//! The nouns of LVS as data: what a user writes down and a listing prints. Nothing here changes by itself.

mod dest;
mod health;
mod key;
mod persistence;
mod service;
mod tcp;
mod tls;

pub use dest::{DestKey, DestSpec, ForwardMethod, Tunnel, TunnelChecksum, TunnelKind, Weight};
pub use health::{
    BodyTest, Check, CheckKind, Damping, DnsRecord, ExecCheck, FileCheck, Fitness, GrpcCheck, Health,
    HttpCheck, HttpUrl, HttpVersion, Initially, Need, Notify, NotifyCommand, OnDown, Passive, Share,
    TlsCheck, UdpCheck, Via, Window,
};
pub(crate) use key::is_host;
pub use key::{Family, Mark, NoService, Proto, ServiceKey};
pub use persistence::{Netmask, Persistence, PersistenceEngine};
pub use service::{SchedFlags, ServiceSpec};
pub use tcp::{Mss, NoMss, ProxyProtocol, TcpOptions};
pub use tls::{
    BackendTls, CertFiles, ClientAuth, ClientIdentity, NoSuchWord, Tickets, TlsFlaw, TlsFront, TlsLimits,
    TlsProfile, TlsStack,
};
