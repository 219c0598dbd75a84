//! The one shape in which errors are told.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::access::{Caller, SECRET_NEEDED};
use crate::client::{Error, Refusal, Stat};
use crate::core::protocol::client::{ErrorCode, Verb, detail};

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
        let text = refusal.detail.as_deref().unwrap_or_default();
        let status = match refusal.code {
            ErrorCode::RevMismatch | ErrorCode::Notdir | ErrorCode::Isdir => StatusCode::CONFLICT,
            ErrorCode::TooLate => StatusCode::GONE,
            ErrorCode::Noent | ErrorCode::Range => StatusCode::NOT_FOUND,
            ErrorCode::Readonly => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Other if text == detail::PERMISSION_DENIED => {
                return Failure::denied(caller, SECRET_NEEDED);
            }
            ErrorCode::Other if text == detail::OUTCOME_UNKNOWN => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                return Failure::new(status, "OUTCOME_UNKNOWN", message);
            }
            ErrorCode::Other => status_of_text(text, refusal.verb),
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
fn status_of_text(text: &str, verb: Option<Verb>) -> StatusCode {
    let passes = [
        detail::NO_MAJORITY,
        detail::BACKLOG_FULL,
        detail::CONNECTION_FULL,
        detail::NO_COPY,
    ];
    let is_write = matches!(verb, Some(Verb::Set | Verb::Del));
    if passes.iter().any(|passing| text.starts_with(passing)) {
        StatusCode::SERVICE_UNAVAILABLE
    } else if text.starts_with(detail::VALUE_TOO_LARGE) {
        StatusCode::PAYLOAD_TOO_LARGE
    } else if is_write && !text.starts_with(detail::PATH_TOO_LONG) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The status and the name of what a node says in words.
    fn told(verb: Verb, text: &str) -> (u64, String) {
        let refusal = Refusal {
            code: ErrorCode::Other,
            detail: Some(text.to_owned()),
            verb: Some(verb),
            path: None,
            rev: None,
            found: None,
        };
        let error = &Failure::of(refusal.into(), Caller::Writer).json()["error"];
        let code = error["code"].as_str().unwrap_or_default();
        (error["status"].as_u64().unwrap_or(0), code.to_owned())
    }

    #[test]
    fn what_a_node_cannot_say_or_do_now_is_no_mistake_of_who_asks() {
        let unknown = told(Verb::Set, detail::OUTCOME_UNKNOWN);
        assert_eq!(unknown, (503, "OUTCOME_UNKNOWN".into()));
        for verb in [Verb::Get, Verb::Set] {
            for text in [
                detail::CONNECTION_FULL,
                detail::NO_MAJORITY,
                detail::NO_COPY,
            ] {
                let text = format!("{text}, and more");
                assert_eq!(told(verb, &text), (503, "OTHER".into()), "{text}");
            }
        }
        assert_eq!(told(Verb::Set, "another reason"), (409, "OTHER".into()));
        assert_eq!(told(Verb::Get, "another reason"), (400, "OTHER".into()));
        let denied = told(Verb::Get, detail::PERMISSION_DENIED);
        assert_eq!(denied, (403, "FORBIDDEN".into()));
    }
}
