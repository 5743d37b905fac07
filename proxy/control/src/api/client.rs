//! The caller's side of the control socket.

mod blocking;

use std::io;
use std::ops::ControlFlow;
use std::time::Instant;

use axum::body::Bytes;
use axum::http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sched::{Op, OpError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connections::{ConnPage, ConnQuery};
use super::drain::{DrainList, DrainOrder, DrainView};
use super::edits::{Applied, Apply, ApplyMode, Reloaded};
use super::error::{ErrorBody, ErrorCode, Failure};
use super::explain::{DropList, ExplainOrder, TraceOrder};
use super::health::{HealthList, ServerHealth, ServerOrder};
use super::marks::MarkList;
use super::services::ServiceList;
use super::socket::{SOCKET_NAME, connect_named};
use super::status::Status;
use super::tls::{TlsList, TlsReloaded};
use crate::settings::{Settings, SettingsChange};

pub use blocking::Blocking;

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens in this network namespace.
    #[error("no engine is running in this network namespace; start one with `ulvs run --detach`")]
    NoEngine,
    /// The caller may not do that.
    #[error("permission denied: {0}")]
    Permission(String),
    /// An edit was refused, and with it the whole list.
    #[error("{error}")]
    Refused {
        /// Its place in the list, from 0.
        index: usize,
        /// Why.
        error: OpError,
    },
    /// The engine says no; its text is for people.
    #[error("{0}")]
    Failed(String),
    /// The talk itself went wrong.
    #[error("cannot talk to the engine: {0}")]
    Talk(String),
}

/// A connection to the engine of this network namespace.
#[derive(Debug)]
pub struct Client {
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Client {
    /// Connects to the engine of the current thread's network namespace.
    pub async fn connect() -> Result<Self, ClientError> {
        Self::connect_to(SOCKET_NAME).await
    }

    pub(super) async fn connect_to(name: &str) -> Result<Self, ClientError> {
        let stream = connect_named(name).map_err(|e| match e.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => ClientError::NoEngine,
            _ => talk(e),
        })?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(talk)?;
        // Ends with the sender. Its error, if any, is the request's error too.
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// The engine at a glance.
    pub async fn status(&mut self) -> Result<Status, ClientError> {
        self.get("/v1/status").await
    }

    /// The table of services.
    pub async fn services(&mut self) -> Result<ServiceList, ClientError> {
        self.get("/v1/services").await
    }

    /// The mark rules.
    pub async fn marks(&mut self) -> Result<MarkList, ClientError> {
        self.get("/v1/marks").await
    }

    /// One page of the connection table.
    pub async fn connections(&mut self, query: &ConnQuery) -> Result<ConnPage, ClientError> {
        let query = serde_urlencoded::to_string(query).map_err(talk)?;
        self.get(&format!("/v1/connections?{query}")).await
    }

    /// Applies edits as one swap of the table.
    pub async fn apply(&mut self, mode: ApplyMode, ops: Vec<Op>) -> Result<Applied, ClientError> {
        self.post("/v1/apply", &Apply { mode, ops }).await
    }

    /// The settings in force.
    pub async fn settings(&mut self) -> Result<Settings, ClientError> {
        self.get("/v1/settings").await
    }

    /// Changes settings, all of them or none; returns them as they are then.
    pub async fn set(&mut self, change: &SettingsChange) -> Result<Settings, ClientError> {
        self.post("/v1/settings", change).await
    }

    /// Begins to drain a server, or ends it.
    pub async fn drain(&mut self, order: &DrainOrder) -> Result<DrainView, ClientError> {
        self.post("/v1/drain", order).await
    }

    /// How far all drains have come.
    pub async fn drains(&mut self) -> Result<DrainList, ClientError> {
        self.get("/v1/drains").await
    }

    /// Why packets have been dropped.
    pub async fn drops(&mut self) -> Result<DropList, ClientError> {
        self.get("/v1/drops").await
    }

    /// What would become of a packet.
    pub async fn explain(&mut self, order: &ExplainOrder) -> Result<serde_json::Value, ClientError> {
        self.post("/v1/explain", order).await
    }

    /// Hands each packet to come to `each`, a line of JSON, until that or the engine has had enough, or until then.
    pub async fn trace(
        &mut self,
        order: &TraceOrder,
        until: Option<Instant>,
        each: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let body = serde_json::to_vec(order).map_err(talk)?;
        let response = self.request(Method::POST, "/v1/trace", body.into()).await?;
        follow(response, until, each).await
    }

    /// How the servers are that are looked after.
    pub async fn health(&mut self) -> Result<HealthList, ClientError> {
        self.get("/v1/health").await
    }

    /// Says what a server is to be taken for; returns when that has been done.
    pub async fn server(&mut self, order: &ServerOrder) -> Result<ServerHealth, ClientError> {
        self.post("/v1/server", order).await
    }

    /// Hands each event to come to `each`, a line of JSON, until that or the engine has had enough.
    pub async fn events(&mut self, each: impl FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), ClientError> {
        let response = self.request(Method::GET, "/v1/events", Bytes::new()).await?;
        follow(response, None, each).await
    }

    /// The fronts at which TLS ends.
    pub async fn tls(&mut self) -> Result<TlsList, ClientError> {
        self.get("/v1/tls").await
    }

    /// Makes the engine read certificates and the other files of fronts again.
    pub async fn reload_tls(&mut self) -> Result<TlsReloaded, ClientError> {
        self.post("/v1/tls/reload", &()).await
    }

    /// Makes the engine read its configuration file again.
    pub async fn reload(&mut self) -> Result<Reloaded, ClientError> {
        self.post("/v1/reload", &()).await
    }

    /// Asks the engine to end; returns before it has.
    pub async fn stop(&mut self) -> Result<(), ClientError> {
        let _: serde_json::Value = self.post("/v1/stop", &()).await?;
        Ok(())
    }

    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(talk)?;
        self.send(Method::POST, path, body.into()).await
    }

    async fn send<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let response = self.request(method, path, body).await?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(talk)?.to_bytes();
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(talk);
        }
        Err(refusal(status, &body))
    }

    async fn request(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "ulvs")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(talk)?;
        self.sender.send_request(request).await.map_err(talk)
    }
}

/// Hands each line of an answer to `each`, until that or the engine has had enough, or until then.
async fn follow(
    mut response: Response<Incoming>,
    until: Option<Instant>,
    mut each: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), ClientError> {
    let status = response.status();
    if !status.is_success() {
        let body = response.into_body().collect().await.map_err(talk)?.to_bytes();
        return Err(refusal(status, &body));
    }
    let mut left = Vec::new();
    loop {
        let next = response.body_mut().frame();
        let next = match until {
            Some(until) => tokio::time::timeout_at(until.into(), next).await.unwrap_or_default(),
            None => next.await,
        };
        let Some(frame) = next else { return Ok(()) };
        // The engine ends in the middle of it: that is all there is.
        let Ok(frame) = frame else { return Ok(()) };
        left.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        while let Some(end) = left.iter().position(|byte| *byte == b'\n') {
            if each(&left[..end]).is_break() {
                return Ok(());
            }
            left.drain(..=end);
        }
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(ErrorBody { code: ErrorCode::Op(error), index, .. }) => {
            ClientError::Refused { index: index.unwrap_or_default(), error }
        }
        Ok(ErrorBody { code: ErrorCode::Other(Failure::PermissionDenied), error, .. }) => {
            ClientError::Permission(error)
        }
        Ok(body) => ClientError::Failed(body.error),
        Err(_) => ClientError::Talk(format!("it answered {status}")),
    }
}

fn talk(e: impl std::error::Error) -> ClientError {
    let cause = e.source().map(|s| format!(": {s}")).unwrap_or_default();
    ClientError::Talk(format!("{e}{cause}"))
}
