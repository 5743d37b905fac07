//! The daemon's side of the control socket.

mod caller;
mod refusal;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tracing::info;

use self::caller::{Peer, Writer};
use self::refusal::Refusal;
use super::backend::Backend;
use super::connections::{ConnPage, ConnQuery};
use super::drain::{DrainList, DrainOrder, DrainView};
use super::edits::{Applied, Apply, Reloaded};
use super::error::{ErrorCode, Failure};
use super::explain::{DropList, ExplainOrder, Lines, TraceOrder};
use super::health::{HealthList, ServerHealth, ServerOrder};
use super::marks::MarkList;
use super::services::ServiceList;
use super::socket::ControlSocket;
use super::status::Status;
use super::tls::{TlsList, TlsReloaded};
use crate::settings::{Settings, SettingsChange};

/// The largest request, in bytes: some hundred thousand edits.
const MAX_BODY: usize = 64 << 20;

/// How long requests in progress may take to finish at shutdown. A client that dawdles does not keep the engine alive.
const GRACE: Duration = Duration::from_secs(1);

/// Serves the control socket until `shutdown` resolves, then lets the requests in progress finish, briefly. Needs a tokio
/// runtime with IO and time.
pub async fn serve<B: Backend>(
    socket: ControlSocket,
    backend: Arc<B>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let state = Shared { backend, owner: socket.owner };
    let app = Router::new()
        .route("/v1/status", get(status::<B>))
        .route("/v1/services", get(services::<B>))
        .route("/v1/marks", get(marks::<B>))
        .route("/v1/connections", get(connections::<B>))
        .route("/v1/apply", post(apply::<B>))
        .route("/v1/settings", get(settings::<B>).post(set::<B>))
        .route("/v1/drain", post(drain::<B>))
        .route("/v1/drains", get(drains::<B>))
        .route("/v1/health", get(health::<B>))
        .route("/v1/server", post(server::<B>))
        .route("/v1/events", get(events::<B>))
        .route("/v1/drops", get(drops::<B>))
        .route("/v1/explain", post(explain::<B>))
        .route("/v1/trace", post(trace::<B>))
        .route("/v1/tls", get(tls::<B>))
        .route("/v1/tls/reload", post(reload_tls::<B>))
        .route("/v1/reload", post(reload::<B>))
        .route("/v1/stop", post(stop::<B>))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state)
        .into_make_service_with_connect_info::<Peer>();
    let (ending, ended) = oneshot::channel();
    let signal = async move {
        shutdown.await;
        let _ = ending.send(());
    };
    let too_late = async move {
        let _ = ended.await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = axum::serve(socket.listener, app).with_graceful_shutdown(signal) => result,
        () = too_late => Ok(()),
    }
}

struct Shared<B> {
    backend: Arc<B>,
    owner: u32,
}

impl<B> Clone for Shared<B> {
    fn clone(&self) -> Self {
        Self { backend: Arc::clone(&self.backend), owner: self.owner }
    }
}

async fn status<B: Backend>(State(shared): State<Shared<B>>) -> Json<Status> {
    Json(shared.backend.status())
}

async fn services<B: Backend>(State(shared): State<Shared<B>>) -> Json<ServiceList> {
    Json(shared.backend.services())
}

async fn marks<B: Backend>(State(shared): State<Shared<B>>) -> Json<MarkList> {
    Json(shared.backend.marks())
}

async fn connections<B: Backend>(
    State(shared): State<Shared<B>>,
    query: Result<Query<ConnQuery>, QueryRejection>,
) -> Result<Json<ConnPage>, Refusal> {
    let Query(query) = query.map_err(|e| Refusal::bad_request(StatusCode::BAD_REQUEST, e.body_text()))?;
    Ok(Json(shared.backend.connections(&query)))
}

async fn apply<B: Backend>(
    writer: Writer,
    State(shared): State<Shared<B>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Applied>, Refusal> {
    let request: Apply = understood(body)?;
    let edits = request.ops.len();
    let applied = shared.backend.apply(request).await?;
    let refused = applied.failures.len();
    info!(
        edits,
        refused,
        generation = applied.generation,
        uid = writer.uid,
        pid = writer.pid,
        "table changed"
    );
    Ok(Json(applied))
}

async fn settings<B: Backend>(State(shared): State<Shared<B>>) -> Json<Settings> {
    Json(shared.backend.settings())
}

async fn set<B: Backend>(
    writer: Writer,
    State(shared): State<Shared<B>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Settings>, Refusal> {
    let change: SettingsChange = understood(body)?;
    let settings = shared.backend.set(change).await?;
    info!(uid = writer.uid, pid = writer.pid, "settings changed");
    Ok(Json(settings))
}

/// The request's body, whatever the content type says: `curl -d` names another one.
fn understood<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Refusal> {
    let body = body.map_err(|e| Refusal::bad_request(e.status(), e.body_text()))?;
    serde_json::from_slice(&body).map_err(|e| {
        Refusal::bad_request(StatusCode::BAD_REQUEST, format!("cannot understand the request: {e}"))
    })
}

async fn drain<B: Backend>(
    writer: Writer,
    State(shared): State<Shared<B>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<DrainView>, Refusal> {
    let order: DrainOrder = understood(body)?;
    let view = shared.backend.drain(order).await?;
    info!(
        service = %order.service,
        server = %order.server,
        deadline = order.deadline,
        undo = order.undo,
        uid = writer.uid,
        pid = writer.pid,
        "drain"
    );
    Ok(Json(view))
}

async fn drains<B: Backend>(State(shared): State<Shared<B>>) -> Json<DrainList> {
    Json(shared.backend.drains().await)
}

async fn health<B: Backend>(State(shared): State<Shared<B>>) -> Json<HealthList> {
    Json(shared.backend.health().await)
}

async fn server<B: Backend>(
    writer: Writer,
    State(shared): State<Shared<B>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ServerHealth>, Refusal> {
    let order: ServerOrder = understood(body)?;
    let view = shared.backend.server(order).await?;
    info!(
        service = %order.service,
        server = %order.server,
        to = ?order.to,
        uid = writer.uid,
        pid = writer.pid,
        "by hand"
    );
    Ok(Json(view))
}

async fn events<B: Backend>(State(shared): State<Shared<B>>) -> Result<Response, Refusal> {
    let lines = shared.backend.events();
    let lines = lines.map_err(|text| Refusal::bad_request(StatusCode::SERVICE_UNAVAILABLE, text))?;
    Ok(streamed(lines))
}

async fn drops<B: Backend>(State(shared): State<Shared<B>>) -> Json<DropList> {
    Json(shared.backend.drops())
}

async fn explain<B: Backend>(
    State(shared): State<Shared<B>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<serde_json::Value>, Refusal> {
    let order: ExplainOrder = understood(body)?;
    let told = shared.backend.explain(order);
    told.map(Json).map_err(|text| Refusal::bad_request(StatusCode::BAD_REQUEST, text))
}

/// Packets are somebody's: those who may change things may look at them.
async fn trace<B: Backend>(
    writer: Writer,
    State(shared): State<Shared<B>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let order: TraceOrder = understood(body)?;
    info!(
        filter = order.filter,
        snaplen = order.snaplen,
        uid = writer.uid,
        pid = writer.pid,
        "packets are traced"
    );
    let lines = shared.backend.trace(order);
    let lines = lines.map_err(|text| Refusal::bad_request(StatusCode::BAD_REQUEST, text))?;
    Ok(streamed(lines))
}

/// Lines as they come, until the caller hangs up.
fn streamed(lines: Lines) -> Response {
    let next =
        |mut lines: Lines| async { lines.next().await.map(|line| (Ok::<_, Infallible>(line + "\n"), lines)) };
    let body = Body::from_stream(futures_util::stream::unfold(lines, next));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

async fn tls<B: Backend>(State(shared): State<Shared<B>>) -> Json<TlsList> {
    Json(shared.backend.tls())
}

async fn reload_tls<B: Backend>(
    writer: Writer,
    State(shared): State<Shared<B>>,
) -> Result<Json<TlsReloaded>, Refusal> {
    let failed =
        |text| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text, ErrorCode::Other(Failure::System));
    let reloaded = shared.backend.reload_tls().await.map_err(failed)?;
    info!(fronts = reloaded.fronts.len(), uid = writer.uid, pid = writer.pid, "certificates read again");
    Ok(Json(reloaded))
}

async fn reload<B: Backend>(_: Writer, State(shared): State<Shared<B>>) -> Result<Json<Reloaded>, Refusal> {
    let unusable =
        |text| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text, ErrorCode::Other(Failure::BadConfig));
    shared.backend.reload().await.map(Json).map_err(unusable)
}

async fn stop<B: Backend>(writer: Writer, State(shared): State<Shared<B>>) -> Json<serde_json::Value> {
    info!(uid = writer.uid, pid = writer.pid, "asked to stop");
    shared.backend.stop();
    Json(serde_json::json!({}))
}

async fn not_found() -> Refusal {
    Refusal::bad_request(StatusCode::NOT_FOUND, "no such resource; try /v1/status".to_owned())
}

async fn wrong_method() -> Refusal {
    Refusal::bad_request(StatusCode::METHOD_NOT_ALLOWED, "this resource has another method".to_owned())
}
