//! What there is, and what goes for all of it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Mutex;

use super::access::Access;
use super::desk::Desk;
use super::failure::Failure;
use super::feed::Feed;
use super::past::Past;
use super::{files, health, list, metrics, page, past, watch};

/// What all handlers share.
pub(super) struct App {
    pub(super) access: Access,
    pub(super) desk: Desk,
    /// What happens in the store, for all who watch.
    pub(super) feed: Mutex<std::sync::Weak<Feed>>,
    /// Which revision was the present when.
    pub(super) past: Past,
    /// Where the web views of the cluster were when that was last asked.
    pub(super) webs: std::sync::Mutex<Vec<String>>,
    pub(super) value_bytes_max: usize,
    names: Vec<String>,
}

impl App {
    pub(super) fn new(
        access: Access,
        desk: Desk,
        names: Vec<String>,
        value_bytes_max: usize,
    ) -> App {
        App {
            access,
            desk,
            feed: Mutex::default(),
            past: Past::default(),
            webs: std::sync::Mutex::default(),
            value_bytes_max,
            names,
        }
    }
}

/// All routes.
pub(super) fn router(app: Arc<App>) -> Router {
    let files = get(files::read).put(files::write).delete(files::delete);
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/api/v1/access", get(health::access))
        .route("/api/v1/status", get(health::status))
        .route("/api/v1/files/{*path}", files)
        .route("/api/v1/stat", get(list::stat))
        .route("/api/v1/dir", get(list::dir))
        .route("/api/v1/walk", get(list::walk))
        .route("/api/v1/watch", get(watch::watch))
        .route("/api/v1/history", get(past::history))
        .merge(page::routes())
        .fallback(nothing)
        .method_not_allowed_fallback(not_so)
        .layer(from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

async fn nothing() -> Failure {
    let message = "there is nothing at this path; docs/http.md tells what there is";
    Failure::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
}

async fn not_so() -> Failure {
    let message = "what is at this path does not take this method";
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Failure::new(status, "METHOD_NOT_ALLOWED", message)
}

/// What pages of any origin may ask: it says nothing of files, and lets the page of a member that is
/// gone find another one.
const PUBLIC: [&str; 2] = ["/healthz", "/readyz"];

/// Keeps pages of other origins out, and tells browsers to trust nothing more than they have to.
async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let is_public = PUBLIC.contains(&request.uri().path());
    let checked = match is_public {
        true => Ok(()),
        false => check_origin(&app, request.headers()),
    };
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    let headers = response.headers_mut();
    if is_public {
        let any = HeaderValue::from_static("*");
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    } else {
        let policy = HeaderValue::from_static("same-origin");
        headers.insert("cross-origin-resource-policy", policy);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    let policies = headers.entry(header::CONTENT_SECURITY_POLICY);
    policies.or_insert(policy);
    response
}

/// Refuses what a page of another origin asks for. Without a secret that includes pages that have
/// got a name of their own to lead to this address: only names that it is known by will do.
fn check_origin(app: &App, headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if let Some(origin) = text(header::ORIGIN)
        && origin.split_once("://").map(|(_, host)| host) != Some(host)
    {
        let message = format!("pages of {origin} may not use this node");
        return Err(Failure::new(StatusCode::FORBIDDEN, "FORBIDDEN", message));
    }
    if app.access.is_open() && !is_known(host, &app.names) {
        let message = format!(
            "this node is not known as {host}: use its address, or a name of -w, -l or --advertise"
        );
        return Err(Failure::new(StatusCode::FORBIDDEN, "FORBIDDEN", message));
    }
    Ok(())
}

/// Whether a `Host` is an address, `localhost`, or one of these names.
fn is_known(host: &str, names: &[String]) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let is_ip = |text: &str| text.parse::<IpAddr>().is_ok();
    is_ip(name.trim_start_matches('[').trim_end_matches(']'))
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_the_machine_is_known_by_will_do() {
        let names = ["db1.example".to_owned()];
        for host in [
            "127.0.0.1:8000",
            "[::1]:8000",
            "localhost",
            "DB1.example:80",
        ] {
            assert!(is_known(host, &names), "{host}");
        }
        for host in [
            "",
            "evil.example:8000",
            "db1.example.evil.example",
            "127.0.0.1.nip.io",
        ] {
            assert!(!is_known(host, &names), "{host}");
        }
    }
}
