//! Many files, or what is at a path: stat, directories, patterns.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::access::Caller;
use super::extract::Params;
use super::failure::Failure;
use super::files::{answer, put_value};
use super::routes::App;
use crate::client::Stat;

/// Entries of a page where nothing else is said, and at most.
const LIMIT: u32 = 1_000;
const LIMIT_MAX: u32 = 10_000;

/// Entries that may be passed over: as many as the protocol has numbers for.
const OFFSET_MAX: u32 = i32::MAX as u32;

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

/// A part of a list.
#[derive(Clone, Copy)]
struct Page {
    offset: u32,
    limit: usize,
}

impl Page {
    fn of(offset: u32, limit: Option<u32>) -> Result<Page, Failure> {
        let limit = limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let message = format!("limit is between 1 and {LIMIT_MAX}");
            return Err(Failure::bad_request(message));
        }
        if offset > OFFSET_MAX {
            let message = format!("offset is at most {OFFSET_MAX}");
            return Err(Failure::bad_request(message));
        }
        Ok(Page {
            offset,
            limit: limit as usize,
        })
    }

    /// Where the page after this one begins, which has so many entries.
    fn next(self, entries: usize) -> usize {
        self.offset as usize + entries
    }
}

pub(super) async fn stat(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(asked): Params<AskedStat>,
) -> Result<Response, Failure> {
    let client = app.reader(caller, asked.rev, asked.local).await?;
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
    caller: Caller,
    Params(asked): Params<AskedDir>,
) -> Result<Response, Failure> {
    let page = Page::of(asked.offset, asked.limit)?;
    let failed = |error| Failure::of(error, caller);
    let client = app.reader(caller, asked.rev, asked.local).await?;
    let listed = client.names(&asked.path).await.map_err(failed)?;
    let mut listed = listed.skip(page.offset);
    let rev = listed.rev().0;
    let (mut names, mut next) = (Vec::new(), None);
    while let Some(name) = listed.next().await.map_err(failed)? {
        if names.len() == page.limit {
            next = Some(page.next(names.len()));
            break;
        }
        names.push(Value::from(name));
    }
    Ok(answer(&json!({
        "path": asked.path, "rev": rev, "names": names, "next": next,
    })))
}

pub(super) async fn walk(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(asked): Params<AskedWalk>,
) -> Result<Response, Failure> {
    let page = Page::of(asked.offset, asked.limit)?;
    let failed = |error| Failure::of(error, caller);
    let client = app.reader(caller, asked.rev, asked.local).await?;
    let walk = client.walk_all(&asked.pattern).await.map_err(failed)?;
    let mut walk = walk.skip(page.offset);
    let rev = walk.rev().0;
    let (mut files, mut bytes, mut next) = (Vec::new(), 0, None);
    while let Some(entry) = walk.next().await.map_err(failed)? {
        if files.len() == page.limit || bytes > PAGE_BYTES_MAX {
            next = Some(page.next(files.len()));
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
        files.push(Value::from(fields));
    }
    Ok(answer(&json!({
        "pattern": asked.pattern, "rev": rev, "files": files, "next": next,
    })))
}
