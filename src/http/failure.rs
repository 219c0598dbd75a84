//! The one shape in which errors are told.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::access::{Caller, SECRET_NEEDED};
use crate::client::{Error, Refusal, Stat};
use crate::core::protocol::client::{ErrorCode, Verb};

/// Why a request is not answered as asked: `{"error": {"code", "message", "status", ...}}`.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    code: String,
    message: String,
    /// With REV_MISMATCH: the revision of the file that is there; 0 if there is none.
    rev: Option<u64>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Failure {
        Failure {
            status,
            code: code.into(),
            message: message.into(),
            rev: None,
        }
    }

    /// The request is none that is understood.
    pub(super) fn bad_request(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// The node cannot answer now.
    pub(super) fn unavailable(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", message)
    }

    /// A secret is needed, or another one.
    pub(super) fn denied(caller: Caller, message: impl Into<String>) -> Failure {
        match caller {
            Caller::Anonymous => Failure::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message),
            _ => Failure::new(StatusCode::FORBIDDEN, "FORBIDDEN", message),
        }
    }

    /// What came of asking the node.
    pub(super) fn of(error: Error, caller: Caller) -> Failure {
        let message = error.to_string();
        match error {
            Error::Refused(refusal) => Failure::of_refusal(refusal, caller, message),
            Error::TooLate { .. } => Failure::new(StatusCode::GONE, "TOO_LATE", message),
            Error::NoMember { .. } => {
                Failure::new(StatusCode::SERVICE_UNAVAILABLE, "READONLY", message)
            }
            Error::OutcomeUnknown { .. } => {
                Failure::new(StatusCode::SERVICE_UNAVAILABLE, "OUTCOME_UNKNOWN", message)
            }
            _ => Failure::unavailable(message),
        }
    }

    fn of_refusal(refusal: Refusal, caller: Caller, message: String) -> Failure {
        let detail = refusal.detail.as_deref().unwrap_or_default();
        let status = match refusal.code {
            ErrorCode::RevMismatch | ErrorCode::Notdir | ErrorCode::Isdir => StatusCode::CONFLICT,
            ErrorCode::TooLate => StatusCode::GONE,
            ErrorCode::Noent | ErrorCode::Range => StatusCode::NOT_FOUND,
            ErrorCode::Readonly => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Other if detail == "permission denied" => {
                return Failure::denied(caller, SECRET_NEEDED);
            }
            ErrorCode::Other => status_of_text(detail, refusal.verb),
            _ => StatusCode::BAD_REQUEST,
        };
        let rev = match refusal.found {
            Some(Stat::File { rev, .. }) => Some(rev.0),
            Some(Stat::Missing) => Some(0),
            Some(Stat::Dir { .. }) | None => None,
        };
        Failure {
            rev,
            ..Failure::new(status, &refusal.code.to_string(), message)
        }
    }

    /// A condition that came as a header does not hold.
    pub(super) fn into_precondition(mut self) -> Failure {
        if self.code == "REV_MISMATCH" {
            self.status = StatusCode::PRECONDITION_FAILED;
        }
        self
    }

    /// The error as it is written.
    pub(super) fn json(&self) -> Value {
        let mut error = json!({
            "code": self.code,
            "message": self.message,
            "status": self.status.as_u16(),
        });
        if let Some(rev) = self.rev {
            error["rev"] = rev.into();
        }
        json!({ "error": error })
    }
}

/// OTHER says in words what it is. What a node cannot do now is told apart from what it never will.
fn status_of_text(detail: &str, verb: Option<Verb>) -> StatusCode {
    let passes = [
        "no majority of the members answered",
        "too many writes wait",
        "this node has no copy of the store yet",
    ];
    let is_write = matches!(verb, Some(Verb::Set | Verb::Del));
    if passes.iter().any(|text| detail.starts_with(text)) {
        StatusCode::SERVICE_UNAVAILABLE
    } else if detail.starts_with("the value has") {
        StatusCode::PAYLOAD_TOO_LARGE
    } else if is_write && !detail.starts_with("the path has") {
        StatusCode::CONFLICT
    } else {
        StatusCode::BAD_REQUEST
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        let body = format!("{}\n", self.json());
        let mut response = (self.status, [(header::CONTENT_TYPE, json)], body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
