//! Who calls, and whether he may change things.

use axum::extract::FromRequestParts;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::serve::IncomingStream;
use tokio::net::UnixListener;
use tracing::debug;

use super::refusal::Refusal;
use super::{Backend, Shared};
use crate::api::error::{ErrorCode, Failure};

/// Who called, as the kernel says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// `None`: the kernel would not say.
    uid: Option<u32>,
    pid: Option<i32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let cred = stream.io().peer_cred();
        cred.map_or(Self { uid: None, pid: None }, |c| Self { uid: Some(c.uid()), pid: c.pid() })
    }
}

/// A caller who may change things.
pub(super) struct Writer {
    pub(super) uid: u32,
    pub(super) pid: Option<i32>,
}

impl<B: Backend> FromRequestParts<Shared<B>> for Writer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared<B>) -> Result<Self, Refusal> {
        let peer = parts.extensions.get::<ConnectInfo<Peer>>().map(|c| c.0);
        match peer.and_then(|p| Some(Self { uid: p.uid?, pid: p.pid })) {
            Some(writer) if may_write(writer.uid, shared.owner) => Ok(writer),
            _ => {
                debug!(?peer, "refused a change");
                let text = "only root and the user that runs the engine may change it".to_owned();
                Err(Refusal::new(StatusCode::FORBIDDEN, text, ErrorCode::Other(Failure::PermissionDenied)))
            }
        }
    }
}

const fn may_write(uid: u32, owner: u32) -> bool {
    uid == 0 || uid == owner
}

#[cfg(test)]
mod tests {
    use super::may_write;

    #[test]
    fn root_and_the_engines_user_may_change_things() {
        for (uid, owner, allowed) in
            [(0, 0, true), (0, 1000, true), (1000, 1000, true), (1000, 0, false), (7, 8, false)]
        {
            assert_eq!(may_write(uid, owner), allowed, "uid {uid}, engine of {owner}");
        }
    }
}
