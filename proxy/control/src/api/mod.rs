//! The control socket: HTTP and JSON over an abstract unix socket, one per network namespace.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/services` | [`ServiceList`] |
//! | `GET /v1/marks` | [`MarkList`] |
//! | `GET /v1/connections?vip=…&client=…&dest=…&proto=…&cursor=…&limit=…` | [`ConnPage`] |
//! | `POST /v1/apply` with [`Apply`] | [`Applied`] |
//! | `GET /v1/settings` | [`Settings`] |
//! | `POST /v1/settings` with [`SettingsChange`] | [`Settings`] as they are then |
//! | `GET /v1/drops` | [`DropList`] |
//! | `POST /v1/explain` with [`ExplainOrder`] | what would become of the packet, and why; nothing changes |
//! | `POST /v1/trace` with [`TraceOrder`] | a line of JSON for each packet as it comes, until the caller hangs up |
//! | `GET /v1/drains` | [`DrainList`] |
//! | `POST /v1/drain` with [`DrainOrder`] | [`DrainView`], at the beginning or the end of the drain |
//! | `GET /v1/health` | [`HealthList`] |
//! | `POST /v1/server` with [`ServerOrder`] | [`ServerHealth`], when it has been done |
//! | `GET /v1/events` | an [`EventLine`] of JSON for each change of a server's or service's health, until the caller hangs up |
//! | `GET /v1/tls` | [`TlsList`] |
//! | `POST /v1/tls/reload` | [`TlsReloaded`]: certificates and other files were read again |
//! | `POST /v1/reload` | [`Reloaded`] |
//! | `POST /v1/stop` | `{}` |
//!
//! Everybody in the namespace may read; only root and the user that runs the engine may change things. A refusal
//! is an [`ErrorBody`] with a matching HTTP status. By hand:
//! `curl --abstract-unix-socket ulvs/control http://ulvs/v1/status`.

mod backend;
mod client;
mod connections;
mod drain;
mod edits;
mod error;
mod explain;
mod health;
mod marks;
mod server;
mod services;
mod socket;
mod status;
mod tls;
pub(crate) mod word;

pub use backend::Backend;
pub use client::{Blocking, Client, ClientError};
pub use connections::{ConnPage, ConnQuery, ConnView};
pub use drain::{DrainList, DrainOrder, DrainView};
pub use edits::{Applied, Apply, ApplyMode, OpFailure, Reloaded};
pub use error::{ApplyError, ErrorBody, ErrorCode, Failure, SetError};
pub use explain::{DropList, DropView, ExplainOrder, LastDrop, Lines, TraceOrder};
pub use health::{CheckView, EventLine, HealthList, ServerHealth, ServerOrder, ServerWord, ServiceHealth};
pub use marks::{MarkChain, MarkList, MarkView};
pub use server::serve;
pub use services::{DestView, ServiceList, ServiceView};
pub use socket::{BindError, ControlSocket, SOCKET_NAME};
pub use status::{LocalPortsView, Status};
pub use tls::{CertView, TlsList, TlsReload, TlsReloaded, TlsView};

pub use crate::settings::{Settings, SettingsChange, Timeouts};

#[cfg(test)]
mod tests;
