//! Who serves a new flow: services, real servers and the algorithms that choose between them.
//!
//! Pure: no clock, no randomness, no IO. The engine asks `pick`, the control plane edits a [`ServiceTable`]
//! through [`Op`]s and swaps the result in; what outlives a snapshot (scheduler state, counters, the list of
//! removed servers) is shared behind `Arc`s.

#![forbid(unsafe_code)]
#![warn(clippy::disallowed_methods)]
#![warn(missing_docs)]

mod account;
pub mod algo;
mod copies;
mod counted;
mod dest;
mod draft;
mod force;
mod lips;
pub mod marks;
mod model;
mod op;
mod ramp;
mod redirects;
mod service;
mod shards;
mod stats;
mod table;
mod trash;

pub use account::{Account, Out, Rank, Standing};
pub use algo::{Algorithm, Change, Flow, Knobs, Scheduler};
pub use copies::Copies;
pub use counted::counted;
pub use dest::{Dest, DestLive, Met, Path};
pub use marks::{MarkRule, Marks, PacketFacts};
pub use model::{
    BackendTls, BodyTest, CertFiles, Check, CheckKind, ClientAuth, ClientIdentity, Damping, DestKey,
    DestSpec, DnsRecord, ExecCheck, Family, FileCheck, Fitness, ForwardMethod, GrpcCheck, Health, HttpCheck,
    HttpUrl, HttpVersion, Initially, Mark, Mss, Need, Netmask, NoMss, NoService, NoSuchWord, Notify,
    NotifyCommand, OnDown, Passive, Persistence, PersistenceEngine, Proto, ProxyProtocol, SchedFlags,
    ServiceKey, ServiceSpec, Share, TcpOptions, Tickets, TlsCheck, TlsFlaw, TlsFront, TlsLimits, TlsProfile,
    TlsStack, Tunnel, TunnelChecksum, TunnelKind, UdpCheck, Via, Weight, Window,
};
pub use op::{Op, OpError};
pub use service::{Service, SvcLive};
pub use stats::{Counts, Direction, Estimator, Rates, Stats, Writer};
pub use table::{FTP, FTP_DATA, ReplySource, ServiceTable};
pub use trash::Trash;
