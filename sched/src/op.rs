//! The edits of a [`ServiceTable`](crate::ServiceTable), and why they are refused.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::counted::counted;
use crate::marks::{MarkCounts, MarkRule};
use crate::model::{DestKey, DestSpec, Family, Fitness, Health, ServiceKey, ServiceSpec, Share, TlsFront};

/// One edit. A list of them is applied as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "op")]
pub enum Op {
    /// `ipvsadm -A` (its servers may come with it).
    AddService {
        /// The new service.
        service: ServiceSpec,
    },
    /// `ipvsadm -E`: everything but the servers, the local addresses, the front and the checks; `dests`, `lips`, `tls` and
    /// `health` of the spec are ignored.
    EditService {
        /// The new settings, under the same key.
        service: ServiceSpec,
    },
    /// `ipvsadm -D`.
    DelService {
        /// Which.
        key: ServiceKey,
    },
    /// `ipvsadm -a`.
    AddDest {
        /// To which service.
        key: ServiceKey,
        /// The new server.
        dest: DestSpec,
    },
    /// `ipvsadm -e`.
    EditDest {
        /// In which service.
        key: ServiceKey,
        /// The new settings, under the same address.
        dest: DestSpec,
    },
    /// `ipvsadm -d`.
    DelDest {
        /// From which service.
        key: ServiceKey,
        /// Which server.
        addr: DestKey,
    },
    /// `ipvsadm -P` (DPVS): a local address for FullNAT.
    AddLip {
        /// For which service, or for all that have none of their own.
        key: Option<ServiceKey>,
        /// The address.
        lip: IpAddr,
    },
    /// `ipvsadm -Q` (DPVS).
    DelLip {
        /// From which service, or from those that are everybody's.
        key: Option<ServiceKey>,
        /// The address.
        lip: IpAddr,
    },
    /// `ulvs tls`: has TLS end at the director, or no longer. Connections that have begun go on.
    SetTls {
        /// Of which service.
        key: ServiceKey,
        /// How.
        tls: Option<Arc<TlsFront>>,
    },
    /// Has the servers checked, in another way than before, or no longer.
    SetHealth {
        /// Of which service.
        key: ServiceKey,
        /// How.
        health: Option<Arc<Health>>,
    },
    /// What the control plane makes of a server; its settings stay what they are.
    SetFitness {
        /// In which service.
        key: ServiceKey,
        /// Which server.
        addr: DestKey,
        /// What it makes of it.
        fitness: Fitness,
    },
    /// The sorry server serves, and nobody else; or the others do.
    SetSorry {
        /// Of which service.
        key: ServiceKey,
        /// Whether it serves.
        on: bool,
    },
    /// `ipvsadm -C`: the services, and the local addresses.
    Flush,
    /// `ipvsadm -Z`: one service, or all.
    Zero {
        /// Which, or all.
        key: Option<ServiceKey>,
    },
    /// `iptables -t mangle -A PREROUTING`, or `-I`.
    AddMark {
        /// The rule.
        rule: MarkRule,
        /// Its place among the rules of its family, from 0; the end if there is none.
        #[serde(default)]
        at: Option<usize>,
        /// What it has counted already.
        #[serde(default)]
        counts: MarkCounts,
    },
    /// `iptables -t mangle -D PREROUTING` with the rule itself: the first one that is like it.
    DelMark {
        /// The rule.
        rule: MarkRule,
    },
    /// `iptables -t mangle -D PREROUTING` with a number.
    DelMarkAt {
        /// Of which chain.
        family: Family,
        /// Its place, from 0.
        at: usize,
    },
    /// `iptables -t mangle -F`.
    FlushMarks {
        /// Which chain.
        family: Family,
    },
    /// `iptables -t mangle -Z`.
    ZeroMarks {
        /// Which chain.
        family: Family,
        /// One rule by its place, from 0, or the whole chain.
        #[serde(default)]
        at: Option<usize>,
    },
}

/// What it does, in words: for logs and for whoever asked for a reload.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddService { service } => {
                let servers = counted(service.dests.len(), "server");
                write!(f, "add {}, {}, {servers}", service.key, service.scheduler)
            }
            Self::EditService { service } => write!(f, "edit {}: {}", service.key, service.scheduler),
            Self::DelService { key } => write!(f, "delete {key}"),
            Self::AddDest { key, dest } => {
                write!(f, "add server {} to {key}, weight {}", dest.addr, dest.weight.0)
            }
            Self::EditDest { key, dest } => {
                write!(f, "edit server {} of {key}: weight {}", dest.addr, dest.weight.0)
            }
            Self::DelDest { key, addr } => write!(f, "delete server {addr} from {key}"),
            Self::AddLip { key: Some(key), lip } => write!(f, "add local address {lip} to {key}"),
            Self::AddLip { key: None, lip } => write!(f, "add local address {lip}"),
            Self::DelLip { key: Some(key), lip } => write!(f, "delete local address {lip} from {key}"),
            Self::DelLip { key: None, lip } => write!(f, "delete local address {lip}"),
            Self::SetTls { key, tls: Some(tls) } => {
                let certs = counted(tls.certs.len(), "certificate");
                write!(f, "TLS for {key} ends here: port {}, {certs}", tls.port)
            }
            Self::SetTls { key, tls: None } => write!(f, "TLS for {key} ends here no longer"),
            Self::SetHealth { key, health: Some(_) } => {
                write!(f, "servers of {key} are checked in another way")
            }
            Self::SetHealth { key, health: None } => write!(f, "servers of {key} are checked no longer"),
            Self::SetFitness { key, addr, fitness } => {
                write!(f, "server {addr} of {key}: ")?;
                match fitness.share {
                    Share::In => f.write_str("in"),
                    Share::Inhibited => f.write_str("inhibited"),
                    Share::Out => f.write_str("out"),
                }?;
                fitness.weight.map_or(Ok(()), |weight| write!(f, ", weight {}", weight.0))
            }
            Self::SetSorry { key, on: true } => write!(f, "the sorry server of {key} serves"),
            Self::SetSorry { key, on: false } => write!(f, "the servers of {key} serve again"),
            Self::Flush => f.write_str("delete everything"),
            Self::Zero { key: Some(key) } => write!(f, "zero the counters of {key}"),
            Self::Zero { key: None } => f.write_str("zero all counters"),
            Self::AddMark { rule, at: None, .. } => write!(f, "add rule: {rule}"),
            Self::AddMark { rule, at: Some(at), .. } => write!(f, "add rule as number {}: {rule}", at + 1),
            Self::DelMark { rule } => write!(f, "delete rule: {rule}"),
            Self::DelMarkAt { at, .. } => write!(f, "delete rule number {}", at + 1),
            Self::FlushMarks { .. } => f.write_str("delete all rules"),
            Self::ZeroMarks { .. } => f.write_str("zero the counters of rules"),
        }
    }
}

/// Why an [`Op`] was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum OpError {
    /// `-A` of a service that is there (EEXIST).
    #[error("Service already exists")]
    ServiceExists,
    /// `-E`, `-D`, `-Z` of a service that is not (ESRCH).
    #[error("No such service")]
    NoSuchService,
    /// `-a`, `-e`, `-d` on a service that is not (ESRCH).
    #[error("Service not defined")]
    ServiceNotDefined,
    /// `-a` of a server that is there (EEXIST).
    #[error("Destination already exists")]
    DestExists,
    /// `-e`, `-d` of a server that is not (ENOENT).
    #[error("No such destination")]
    NoSuchDest,
    /// `-P` of a local address that is there.
    #[error("Local address already exists")]
    LipExists,
    /// `-Q` of a local address that is not.
    #[error("No such local address")]
    NoSuchLip,
    /// A local address of another family than the service.
    #[error("Local address and service are of different address families")]
    LipFamilyMismatch,
    /// An unknown scheduler (ENOENT).
    #[error("Scheduler or persistence engine not found")]
    NoSuchScheduler,
    /// Server and VIP of different families need a tunnel (EINVAL).
    #[error("Different address family is allowed only for tunneling servers")]
    FamilyMismatch,
    /// A weight above 2^31 - 1, or a lower threshold above the upper one (ERANGE).
    #[error("Numerical result out of range")]
    OutOfRange,
    /// All ports, but clients would not come back to their server (EINVAL).
    #[error("Zero port specified for non-persistent service")]
    PortZero,
    /// An address that cannot be a VIP or a server (EINVAL).
    #[error("Invalid operation.  Possibly wrong module version, address not unicast, ...")]
    Invalid,
    /// TLS cannot end here: the front makes no sense. [`crate::TlsFront::flaws`] says why.
    #[error("TLS cannot end there: see its port, addresses, certificates and how servers learn of clients")]
    InvalidTls,
    /// A service of TCP at the very port where a front sends plain HTTP to https
    /// ([`crate::TlsFront::redirect_http`]): whichever of the two came second.
    #[error(
        "{service} and the redirect to https of {front} cannot have the same port: take another one for one of them, or \
         end the redirect first, `ulvs tls add {} --redirect-http none`", .front.word()
    )]
    RedirectAtService {
        /// The service that has the port.
        service: ServiceKey,
        /// The service whose front redirects.
        front: ServiceKey,
    },
    /// Health that no service could have: [`crate::Health::is_sound`] says what it takes.
    #[error(
        "Health makes no sense: a quorum is 1 at least, hysteresis smaller than it, panic 100 at most, and a window \
         remembers 1 to 64 answers and asks for 1 failure at least, but no more than it remembers"
    )]
    InvalidHealth,
    /// TLS that does not end here anyway.
    #[error("TLS does not end at this service")]
    NoTls,
    /// A mark rule that can match nothing: addresses of another family, ports without a protocol that has them, a
    /// list of ports that is empty or too long. [`crate::marks::flaw`] says which.
    #[error("Not a rule that can match: see its addresses, protocol and ports")]
    InvalidMarkRule,
    /// A mark rule to delete that is not there.
    #[error("Bad rule (does a matching rule exist in that chain?).")]
    NoSuchMarkRule,
    /// A place behind the last mark rule.
    #[error("Index of rule too big.")]
    NoSuchMarkPlace,
}
