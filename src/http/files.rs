//! One file: read, written, deleted.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::access::{Caller, Purpose};
use super::extract::{FilePath, Params};
use super::failure::Failure;
use super::routes::App;
use crate::client::{Client, Condition, Error};
use crate::core::id::Rev;

/// The revision of a file.
const REV_HEADER: HeaderName = HeaderName::from_static("doozer-rev");

/// What may be asked of a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Of reads: the state to read. Of writes: the condition.
    rev: Option<i64>,
    /// `raw` or `json`.
    format: Option<Format>,
    /// Read this node's own copy.
    #[serde(default)]
    local: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Raw,
    Json,
}

/// A value as JSON has it: `text` if it is UTF-8, `base64` otherwise.
pub(super) fn put_value(into: &mut Map<String, Value>, value: &[u8]) {
    match std::str::from_utf8(value) {
        Ok(text) => into.insert("text".into(), text.into()),
        Err(_) => into.insert("base64".into(), BASE64_STANDARD.encode(value).into()),
    };
}

/// A JSON answer.
pub(super) fn answer(value: &Value) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], format!("{value}\n")).into_response()
}

pub(super) async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    FilePath(path): FilePath,
    Params(asked): Params<Asked>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let client = app.reader(caller, asked.rev, asked.local).await?;
    let file = client.get(&path).await;
    let file = file.map_err(|error| Failure::of(error, caller))?;
    let Some(file) = file else {
        let message = format!("no such file: {path}");
        return Err(Failure::new(StatusCode::NOT_FOUND, "NOENT", message));
    };
    let format = match asked.format {
        Some(format) => format,
        None if accepts_json(&headers) => Format::Json,
        None => Format::Raw,
    };
    let mut response = match format {
        Format::Json => {
            let mut fields = Map::new();
            fields.insert("path".into(), path.into());
            fields.insert("rev".into(), file.rev.0.into());
            put_value(&mut fields, &file.value);
            answer(&fields.into())
        }
        Format::Raw => {
            let bytes = HeaderValue::from_static("application/octet-stream");
            ([(header::CONTENT_TYPE, bytes)], file.value).into_response()
        }
    };
    put_rev(response.headers_mut(), file.rev);
    Ok(response)
}

/// Whether whoever asks wants JSON, and says so by name.
fn accepts_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut kinds = accepted.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    kinds.any(|kind| {
        let name = kind.split(|byte| *byte == b';').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"application/json")
    })
}

pub(super) async fn write(
    State(app): State<Arc<App>>,
    caller: Caller,
    FilePath(path): FilePath,
    Params(asked): Params<Asked>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let condition = Given::of(&asked, &headers)?;
    // Before anything is kept for somebody who may not write.
    app.access.check_writes(caller)?;
    let value = app.bodies.read(body).await?;
    let client = app.access.client(caller, Purpose::Write).await?;
    let bytes = value.bytes.clone();
    let written = client.set(&path, bytes, condition.condition).await;
    let rev = match written {
        Ok(rev) => rev,
        Err(error) => return Err(condition.failure(&client, error, caller).await),
    };
    let mut response = answer(&json!({ "path": path, "rev": rev.0 }));
    put_rev(response.headers_mut(), rev);
    Ok(response)
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    FilePath(path): FilePath,
    Params(asked): Params<Asked>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    let condition = Given::of(&asked, &headers)?;
    let client = app.access.client(caller, Purpose::Write).await?;
    match client.del(&path, condition.condition).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(condition.failure(&client, error, caller).await),
    }
}

/// What the revision of a file must be for a write to happen, and how it was told.
struct Given {
    condition: Condition,
    is_header: bool,
}

impl Given {
    fn of(asked: &Asked, headers: &HeaderMap) -> Result<Given, Failure> {
        if asked.local || asked.format.is_some() {
            let message = "local and format are for reads; values are written as they are";
            return Err(Failure::bad_request(message));
        }
        let text = |name| headers.get(name).map(HeaderValue::as_bytes);
        let matches = text(header::IF_MATCH).map(rev_of_tag).transpose()?;
        let is_new = match text(header::IF_NONE_MATCH) {
            None => None,
            Some(b"*") => Some(0),
            Some(_) => return Err(Failure::bad_request("If-None-Match takes *")),
        };
        let all = [asked.rev, matches, is_new];
        let mut given = all.into_iter().flatten();
        let number = given.next().unwrap_or(Condition::ALWAYS.number());
        if given.next().is_some() {
            let message = "give one of rev, If-Match and If-None-Match";
            return Err(Failure::bad_request(message));
        }
        if number < Condition::ALWAYS.number() {
            let message = "rev is -1 (always), 0 (if there is no file) or a revision";
            return Err(Failure::bad_request(message));
        }
        let condition = match u64::try_from(number) {
            Ok(rev @ 1..) => Condition::from(Rev(rev)),
            _ => Condition::from_number(number),
        };
        Ok(Given {
            condition,
            is_header: asked.rev.is_none(),
        })
    }

    /// A write that did not happen, with what is there instead.
    async fn failure(&self, client: &Client, error: Error, caller: Caller) -> Failure {
        let failure = Failure::of(client.explain(error).await, caller);
        match self.is_header {
            true => failure.into_precondition(),
            false => failure,
        }
    }
}

/// The revision in `"27"`, or in `27`.
fn rev_of_tag(tag: &[u8]) -> Result<i64, Failure> {
    let text = std::str::from_utf8(tag).unwrap_or_default();
    match text.trim_matches('"').parse() {
        Ok(rev @ 1..) => Ok(rev),
        _ => Err(Failure::bad_request(
            "If-Match takes a revision, such as \"27\"",
        )),
    }
}

fn put_rev(headers: &mut HeaderMap, rev: Rev) {
    headers.insert(REV_HEADER, rev.0.into());
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{rev}\"")) {
        headers.insert(header::ETAG, tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_those_who_name_it() {
        let accepts = |text: &'static str| {
            let value = HeaderValue::from_static(text);
            accepts_json(&HeaderMap::from_iter([(header::ACCEPT, value)]))
        };
        assert!(accepts("application/json"));
        assert!(accepts("text/plain, Application/JSON ; q=0.5"));
        assert!(!accepts("*/*") && !accepts("application/jsonl"));
        assert!(!accepts_json(&HeaderMap::new()));
    }
}
