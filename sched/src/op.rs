//! The edits of a [`ServiceTable`](crate::ServiceTable), and why they are refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{DestKey, DestSpec, ServiceKey, ServiceSpec};

/// One edit. A list of them is applied as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "op")]
pub enum Op {
    /// `ipvsadm -A` (its servers may come with it).
    AddService {
        /// The new service.
        service: ServiceSpec,
    },
    /// `ipvsadm -E`: everything but the servers; `dests` of the spec is ignored.
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
    /// `ipvsadm -C`.
    Flush,
    /// `ipvsadm -Z`: one service, or all.
    Zero {
        /// Which, or all.
        key: Option<ServiceKey>,
    },
}

/// What it does, in words: for logs and for whoever asked for a reload.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddService { service } => {
                write!(f, "add {}, {}, {} servers", service.key, service.scheduler, service.dests.len())
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
            Self::Flush => f.write_str("delete everything"),
            Self::Zero { key: Some(key) } => write!(f, "zero the counters of {key}"),
            Self::Zero { key: None } => f.write_str("zero all counters"),
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
    /// An unknown scheduler (ENOENT).
    #[error("Scheduler or persistence engine not found")]
    NoSuchScheduler,
    /// Server and VIP of different families need a tunnel (EINVAL).
    #[error("Different address family is allowed only for tunneling servers")]
    FamilyMismatch,
    /// A weight above 2^31 - 1, or a lower threshold above the upper one (ERANGE).
    #[error("Numerical result out of range")]
    OutOfRange,
    /// An address that cannot be a VIP or a server (EINVAL).
    #[error("Invalid operation.  Possibly wrong module version, address not unicast, ...")]
    Invalid,
}
