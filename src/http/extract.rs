//! What handlers take out of a request: who asks, the parameters, the path of a file. What is wrong
//! with any of these is told in the one shape of errors.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::access::Caller;
use super::failure::Failure;
use super::routes::App;

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Caller, Failure> {
        app.access.caller(&parts.headers)
    }
}

/// The parameters of a request, each known and well-formed.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Params<T>, Failure> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Params(asked)),
            Err(error) => Err(Failure::bad_request(error.body_text())),
        }
    }
}

/// The path of the file that a request is about, with its leading slash.
pub(super) struct FilePath(pub(super) String);

impl FromRequestParts<Arc<App>> for FilePath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<FilePath, Failure> {
        match Path::<String>::from_request_parts(parts, app).await {
            Ok(Path(path)) => Ok(FilePath(format!("/{path}"))),
            Err(_) => Err(Failure::bad_request("paths are UTF-8, percent-encoded")),
        }
    }
}
