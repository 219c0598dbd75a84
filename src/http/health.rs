//! Whether the process works, takes part, and how its cluster is.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::access::Caller;
use super::failure::Failure;
use super::files::answer;
use super::page;
use super::routes::App;
use crate::client;
use crate::runtime::Measures;
use crate::status::{LAG_MAX, Process, Role, Status};

/// The process lives: its node's thread answers.
pub(super) async fn healthz(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    app.measures().await?;
    Ok(answer(&json!({ "healthy": true })))
}

/// The process is in its cluster, hears a majority, and has caught up.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let measures = app.desk.measure().await;
    match measures
        .as_ref()
        .map_or(Some("the node does not answer"), unready)
    {
        None => Ok(answer(&json!({ "ready": true }))),
        Some(reason) => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Err(Failure::new(status, "NOT_READY", reason))
        }
    }
}

/// Why clients had better go elsewhere.
fn unready(measures: &Measures) -> Option<&'static str> {
    let inside = &measures.inside;
    let report = &inside.report;
    if !inside.is_ready {
        Some("the node has no copy of the store yet, or is not registered")
    } else if report.leaving {
        Some("the node is leaving the cluster")
    } else if !report.has_majority() {
        Some("the node does not hear a majority of the members")
    } else if report.seen.saturating_sub(report.applied) > LAG_MAX {
        Some("the node has not caught up")
    } else {
        None
    }
}

/// What the caller may do.
pub(super) async fn access(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Response, Failure> {
    let (may_read, may_write) = app.access.rights(caller);
    Ok(answer(&json!({ "read": may_read, "write": may_write })))
}

/// How the cluster is: what `doozer status --json` prints.
pub(super) async fn status(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Response, Failure> {
    let status = ask(&app, caller).await?;
    page::learn(&app, &status);
    let status = serde_json::to_value(status);
    let status = status.map_err(|error| Failure::unavailable(error.to_string()))?;
    Ok(answer(&status))
}

/// Who belongs to the cluster, and how each of them is.
pub(super) async fn members(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Response, Failure> {
    let status = ask(&app, caller).await?;
    let (members, standbys): (Vec<Process>, Vec<Process>) = status
        .processes
        .into_iter()
        .partition(|process| process.role == Role::Member);
    Ok(answer(&json!({
        "cluster": status.cluster,
        "members": members,
        "standbys": standbys,
        "vacancies": status.vacancies,
    })))
}

async fn ask(app: &App, caller: Caller) -> Result<Status, Failure> {
    app.access.check_reads(caller)?;
    let status = client::status(&app.access.uri(caller)?, None).await;
    status.map_err(|error| Failure::of(error, caller))
}
