//! What the daemon does for those who call it.

use std::future::Future;

use super::connections::{ConnPage, ConnQuery};
use super::drain::{DrainList, DrainOrder, DrainView};
use super::edits::{Applied, Apply, Reloaded};
use super::error::{ApplyError, SetError};
use super::explain::{DropList, ExplainOrder, Lines, TraceOrder};
use super::health::{HealthList, ServerHealth, ServerOrder};
use super::marks::MarkList;
use super::services::ServiceList;
use super::status::Status;
use super::tls::{TlsList, TlsReloaded};
use crate::settings::{Settings, SettingsChange};

/// What the daemon does for its clients. Reading must not stop traffic: [`Backend::connections`] is asked page by
/// page so that no lock on the connection table is held for long.
pub trait Backend: Send + Sync + 'static {
    /// The engine at a glance.
    fn status(&self) -> Status;

    /// The table of services with their counters.
    fn services(&self) -> ServiceList;

    /// The mark rules with their counters.
    fn marks(&self) -> MarkList;

    /// A part of the connection table that `query.matches`. `query.cursor` is 0 or the `next` of the page
    /// before. A connection that exists from the first page to the last is on exactly one of them.
    fn connections(&self, query: &ConnQuery) -> ConnPage;

    /// Applies edits as one swap of the table.
    fn apply(&self, request: Apply) -> impl Future<Output = Result<Applied, ApplyError>> + Send;

    /// The settings in force.
    fn settings(&self) -> Settings;

    /// Changes settings, all of them or none; returns them as they are then.
    fn set(&self, change: SettingsChange) -> impl Future<Output = Result<Settings, SetError>> + Send;

    /// Begins to drain a server, or ends it. The view is that of the drain after it has begun, or before it ended. The only
    /// refusals are those of edits.
    fn drain(&self, order: DrainOrder) -> impl Future<Output = Result<DrainView, ApplyError>> + Send;

    /// How far all drains have come.
    fn drains(&self) -> impl Future<Output = DrainList> + Send;

    /// How the servers are that are looked after.
    fn health(&self) -> impl Future<Output = HealthList> + Send;

    /// Somebody says what a server is to be taken for. The answer is how it is when that has been done. The only refusals
    /// are those of edits.
    fn server(&self, order: ServerOrder) -> impl Future<Output = Result<ServerHealth, ApplyError>> + Send;

    /// What happens to servers and services from now on. The error is for people: too many ask already.
    fn events(&self) -> Result<Lines, String>;

    /// What would become of a packet. The error is for people: it cannot be read.
    fn explain(&self, order: ExplainOrder) -> Result<serde_json::Value, String>;

    /// The packets to come. The error is for people: the filter makes no sense, or too many ask already.
    fn trace(&self, order: TraceOrder) -> Result<Lines, String>;

    /// Why packets have been dropped.
    fn drops(&self) -> DropList;

    /// The fronts at which TLS ends, with what they have done.
    fn tls(&self) -> TlsList;

    /// Reads certificates and the other files of fronts again. A front whose files are of no use goes on with what it had, and
    /// says so; the error is for when nothing was tried.
    fn reload_tls(&self) -> impl Future<Output = Result<TlsReloaded, String>> + Send;

    /// Reads the configuration file again. The error is for people and names file and line; nothing was changed.
    fn reload(&self) -> impl Future<Output = Result<Reloaded, String>> + Send;

    /// Asks the daemon to end; returns at once.
    fn stop(&self);
}
