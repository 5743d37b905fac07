//! The same for programs without a runtime.

use std::future::Future;
use std::ops::ControlFlow;
use std::time::Instant;

use sched::Op;

use super::{Client, ClientError, talk};
use crate::api::connections::{ConnPage, ConnQuery};
use crate::api::drain::{DrainList, DrainOrder, DrainView};
use crate::api::edits::{Applied, ApplyMode, Reloaded};
use crate::api::explain::{DropList, ExplainOrder, TraceOrder};
use crate::api::health::{HealthList, ServerHealth, ServerOrder};
use crate::api::marks::MarkList;
use crate::api::services::ServiceList;
use crate::api::status::Status;
use crate::api::tls::{TlsList, TlsReloaded};
use crate::settings::{Settings, SettingsChange};

/// A [`Client`] for programs without a runtime: the command line.
#[derive(Debug)]
pub struct Blocking {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Blocking {
    /// Connects to the engine of the current thread's network namespace.
    pub fn connect() -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(talk)?;
        let client = runtime.block_on(Client::connect())?;
        Ok(Self { runtime, client })
    }

    /// The engine at a glance.
    pub fn status(&mut self) -> Result<Status, ClientError> {
        self.run(|c| c.status())
    }

    /// The table of services.
    pub fn services(&mut self) -> Result<ServiceList, ClientError> {
        self.run(|c| c.services())
    }

    /// The mark rules.
    pub fn marks(&mut self) -> Result<MarkList, ClientError> {
        self.run(|c| c.marks())
    }

    /// One page of the connection table.
    pub fn connections(&mut self, query: &ConnQuery) -> Result<ConnPage, ClientError> {
        self.run(|c| c.connections(query))
    }

    /// Applies edits as one swap of the table.
    pub fn apply(&mut self, mode: ApplyMode, ops: Vec<Op>) -> Result<Applied, ClientError> {
        self.run(|c| c.apply(mode, ops))
    }

    /// The settings in force.
    pub fn settings(&mut self) -> Result<Settings, ClientError> {
        self.run(|c| c.settings())
    }

    /// Changes settings, all of them or none; returns them as they are then.
    pub fn set(&mut self, change: &SettingsChange) -> Result<Settings, ClientError> {
        self.run(|c| c.set(change))
    }

    /// Begins to drain a server, or ends it.
    pub fn drain(&mut self, order: &DrainOrder) -> Result<DrainView, ClientError> {
        self.run(|c| c.drain(order))
    }

    /// How far all drains have come.
    pub fn drains(&mut self) -> Result<DrainList, ClientError> {
        self.run(|c| c.drains())
    }

    /// Why packets have been dropped.
    pub fn drops(&mut self) -> Result<DropList, ClientError> {
        self.run(|c| c.drops())
    }

    /// What would become of a packet.
    pub fn explain(&mut self, order: &ExplainOrder) -> Result<serde_json::Value, ClientError> {
        self.run(|c| c.explain(order))
    }

    /// Hands each packet to come to `each`, a line of JSON, until that or the engine has had enough.
    pub fn trace(
        &mut self,
        order: &TraceOrder,
        until: Option<Instant>,
        each: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        self.run(|c| c.trace(order, until, each))
    }

    /// How the servers are that are looked after.
    pub fn health(&mut self) -> Result<HealthList, ClientError> {
        self.run(|c| c.health())
    }

    /// Says what a server is to be taken for; returns when that has been done.
    pub fn server(&mut self, order: &ServerOrder) -> Result<ServerHealth, ClientError> {
        self.run(|c| c.server(order))
    }

    /// Hands each event to come to `each`, a line of JSON, until that or the engine has had enough.
    pub fn events(&mut self, each: impl FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), ClientError> {
        self.run(|c| c.events(each))
    }

    /// The fronts at which TLS ends.
    pub fn tls(&mut self) -> Result<TlsList, ClientError> {
        self.run(|c| c.tls())
    }

    /// Makes the engine read certificates and the other files of fronts again.
    pub fn reload_tls(&mut self) -> Result<TlsReloaded, ClientError> {
        self.run(|c| c.reload_tls())
    }

    /// Makes the engine read its configuration file again.
    pub fn reload(&mut self) -> Result<Reloaded, ClientError> {
        self.run(|c| c.reload())
    }

    /// Asks the engine to end; returns before it has.
    pub fn stop(&mut self) -> Result<(), ClientError> {
        self.run(|c| c.stop())
    }

    fn run<'a, T, F: Future<Output = T> + 'a>(&'a mut self, request: impl FnOnce(&'a mut Client) -> F) -> T {
        self.runtime.block_on(request(&mut self.client))
    }
}
