//! Answers that are no success.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::api::error::{ApplyError, ErrorBody, ErrorCode, Failure, SetError};

/// An answer that is not a success.
pub(super) struct Refusal(StatusCode, ErrorBody);

impl Refusal {
    pub(super) const fn new(status: StatusCode, error: String, code: ErrorCode) -> Self {
        Self(status, ErrorBody { error, code, index: None })
    }

    pub(super) const fn bad_request(status: StatusCode, error: String) -> Self {
        Self::new(status, error, ErrorCode::Other(Failure::BadRequest))
    }
}

impl From<ApplyError> for Refusal {
    fn from(e: ApplyError) -> Self {
        let text = e.to_string();
        match e {
            ApplyError::Refused { index, error } => Self(
                StatusCode::CONFLICT,
                ErrorBody { error: text, code: ErrorCode::Op(error), index: Some(index) },
            ),
            ApplyError::Files { index, .. } => {
                let code = ErrorCode::Other(Failure::BadFiles);
                let index = Some(index);
                Self(StatusCode::UNPROCESSABLE_ENTITY, ErrorBody { error: text, code, index })
            }
            ApplyError::System(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, text, ErrorCode::Other(Failure::System))
            }
        }
    }
}

impl From<SetError> for Refusal {
    fn from(e: SetError) -> Self {
        let text = e.to_string();
        match e {
            SetError::Refused(_) => {
                Self::new(StatusCode::CONFLICT, text, ErrorCode::Other(Failure::BadSetting))
            }
            SetError::System(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, text, ErrorCode::Other(Failure::System))
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}
