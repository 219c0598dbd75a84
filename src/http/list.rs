//! Many files, or what is at a path: stat, directories, patterns.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::access::Purpose;
use super::failure::Failure;
use super::files::{Params, answer, params, put_value, viewing};
use super::routes::App;
use crate::client::Stat;

/// Entries of a page where nothing else is said, and at most.
const LIMIT: u32 = 1_000;
const LIMIT_MAX: u32 = 10_000;

/// Bytes of values after which a page ends.
const PAGE_BYTES_MAX: usize = 8 << 20;

/// What may be asked of a path.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedStat {
    path: String,
    rev: Option<i64>,
    #[serde(default)]
    local: bool,
}

/// What may be asked of a directory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedDir {
    path: String,
    rev: Option<i64>,
    #[serde(default)]
    local: bool,
    #[serde(default)]
    offset: u32,
    limit: Option<u32>,
}

/// What may be asked of a pattern.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedWalk {
    pattern: String,
    rev: Option<i64>,
    #[serde(default)]
    local: bool,
    #[serde(default)]
    offset: u32,
    limit: Option<u32>,
    #[serde(default)]
    values: bool,
    /// Bytes of each value to tell at most, with `values`; all if absent.
    cut: Option<usize>,
}

/// The first bytes of a value, as many as were asked for. Text is not cut within a character.
fn beginning(value: &[u8], cut: Option<usize>) -> &[u8] {
    let cut = cut.unwrap_or(usize::MAX);
    if value.len() <= cut {
        return value;
    }
    match std::str::from_utf8(value) {
        Ok(text) => {
            let whole = (0..=cut).rev().find(|at| text.is_char_boundary(*at));
            &value[..whole.unwrap_or(0)]
        }
        Err(_) => &value[..cut],
    }
}

fn limit(asked: Option<u32>) -> Result<u32, Failure> {
    match asked.unwrap_or(LIMIT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => {
            let message = format!("limit is between 1 and {LIMIT_MAX}");
            Err(Failure::bad_request(message))
        }
    }
}

pub(super) async fn stat(
    State(app): State<Arc<App>>,
    query: Params<AskedStat>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let caller = app.access.caller(&headers)?;
    let asked = params(query)?;
    let client = app.access.client(caller, Purpose::Read).await?;
    let client = viewing(client, asked.rev, asked.local)?;
    let stat = client.stat(&asked.path).await;
    let stat = stat.map_err(|error| Failure::of(error, caller))?;
    let path = asked.path;
    Ok(answer(&match stat {
        Stat::Missing => json!({ "path": path, "type": "missing" }),
        Stat::File { rev, len } => {
            json!({ "path": path, "type": "file", "rev": rev.0, "len": len })
        }
        Stat::Dir { entries } => json!({ "path": path, "type": "dir", "entries": entries }),
    }))
}

pub(super) async fn dir(
    State(app): State<Arc<App>>,
    query: Params<AskedDir>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let caller = app.access.caller(&headers)?;
    let asked = params(query)?;
    let limit = limit(asked.limit)?;
    let failed = |error| Failure::of(error, caller);
    let client = app.access.client(caller, Purpose::Read).await?;
    let client = viewing(client, asked.rev, asked.local)?;
    let names = client.names(&asked.path).await.map_err(failed)?;
    let mut names = names.skip(asked.offset);
    let rev = names.rev().0;
    let (mut page, mut next) = (Vec::new(), None);
    while let Some(name) = names.next().await.map_err(failed)? {
        if page.len() == limit as usize {
            next = Some(asked.offset + limit);
            break;
        }
        page.push(Value::from(name));
    }
    Ok(answer(&json!({
        "path": asked.path, "rev": rev, "names": page, "next": next,
    })))
}

pub(super) async fn walk(
    State(app): State<Arc<App>>,
    query: Params<AskedWalk>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let caller = app.access.caller(&headers)?;
    let asked = params(query)?;
    let limit = limit(asked.limit)? as usize;
    let failed = |error| Failure::of(error, caller);
    let client = app.access.client(caller, Purpose::Read).await?;
    let client = viewing(client, asked.rev, asked.local)?;
    let walk = client.walk_all(&asked.pattern).await.map_err(failed)?;
    let mut walk = walk.skip(asked.offset);
    let rev = walk.rev().0;
    let (mut page, mut bytes, mut next) = (Vec::new(), 0, None);
    while let Some(entry) = walk.next().await.map_err(failed)? {
        if page.len() == limit || bytes > PAGE_BYTES_MAX {
            next = Some(asked.offset as usize + page.len());
            break;
        }
        let mut fields = Map::new();
        fields.insert("path".into(), entry.path.into());
        fields.insert("rev".into(), entry.rev.0.into());
        fields.insert("len".into(), entry.value.len().into());
        if asked.values {
            let told = beginning(&entry.value, asked.cut);
            bytes += told.len();
            put_value(&mut fields, told);
        }
        page.push(Value::from(fields));
    }
    Ok(answer(&json!({
        "pattern": asked.pattern, "rev": rev, "files": page, "next": next,
    })))
}
