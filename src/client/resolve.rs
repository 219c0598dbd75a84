//! Names and members: where a cluster's files say that its processes are.

use bytes::Bytes;

use super::call::Client;
use super::connection::Connection;
use super::error::Error;
use super::types::Entry;
use super::uri::Address;
use crate::core::protocol::client::{ErrorCode, Request, Response, Verb};

/// Slots of a cluster that are looked at. Clusters have a handful.
const MEMBERS_MAX: i32 = 64;
/// Names that an error message lists.
const NAMES_TOLD_MAX: usize = 10;

/// The addresses that a name service has for a cluster.
pub(super) async fn members_of(service: &Client, name: &str) -> Result<Vec<Address>, Error> {
    let pattern = format!("/ctl/ns/{name}/*");
    let mut walk = match service.walk_all(&pattern).await {
        Ok(walk) => walk,
        // The name has characters that no file can have.
        Err(Error::Refused(refusal)) if is_bad_pattern(refusal.code, &refusal.detail) => {
            return Err(unknown(service, name).await);
        }
        Err(error) => return Err(error),
    };
    let mut addresses = Vec::new();
    loop {
        match walk.next().await {
            Ok(Some(Entry { value, .. })) => addresses.extend(address(&value)),
            Ok(None) => break,
            Err(Error::Refused(refusal)) if is_bad_pattern(refusal.code, &refusal.detail) => break,
            Err(error) => return Err(error),
        }
    }
    match addresses.is_empty() {
        true => Err(unknown(service, name).await),
        false => Ok(addresses),
    }
}

fn is_bad_pattern(code: ErrorCode, detail: &Option<String>) -> bool {
    let detail = detail.as_deref().unwrap_or_default();
    code == ErrorCode::Other && detail.starts_with("invalid glob pattern")
}

async fn unknown(service: &Client, name: &str) -> Error {
    let mut known = Vec::new();
    if let Ok(mut names) = service.names("/ctl/ns").await {
        while let (Ok(Some(name)), true) = (names.next().await, known.len() < NAMES_TOLD_MAX) {
            known.push(name);
        }
    }
    let Some(service) = service.connected_to().await.or(service.addresses().pop()) else {
        return Error::Unreachable { tried: Vec::new() };
    };
    Error::UnknownName {
        name: name.to_owned(),
        service,
        known,
    }
}

/// The addresses of the members, as the server at the other end of a connection knows them. Its
/// own copy is good enough: what is stale is found out by trying.
pub(super) async fn members_seen_by(connection: &Connection) -> Vec<Address> {
    let mut members = Vec::new();
    for offset in 0..MEMBERS_MAX {
        let slot = ask(
            connection,
            Verb::Walk,
            "/ctl/cal/*".to_owned(),
            Some(offset),
        )
        .await;
        let Some(id) = slot.and_then(|slot| slot.value) else {
            break;
        };
        let Ok(id) = std::str::from_utf8(&id) else {
            continue;
        };
        if id.is_empty() {
            continue;
        }
        let file = ask(connection, Verb::Get, format!("/ctl/node/{id}/addr"), None).await;
        members.extend(
            file.and_then(|file| file.value)
                .and_then(|addr| address(&addr)),
        );
    }
    members
}

async fn ask(
    connection: &Connection,
    verb: Verb,
    path: String,
    offset: Option<i32>,
) -> Option<Response> {
    let request = Request {
        verb: Some(verb as i32),
        path: Some(path.into()),
        offset,
        local: Some(true),
        ..Request::default()
    };
    let response = connection.start(request).await.ok()?.answer().await.ok()?;
    response.error().is_none().then_some(response)
}

fn address(value: &Bytes) -> Option<Address> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if text.is_empty() {
        return None;
    }
    text.parse().ok()
}
