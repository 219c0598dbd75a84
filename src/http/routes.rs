//! What there is, and what goes for all of it.

use std::net::IpAddr;
use std::sync::{Arc, Weak};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, delete, get, put};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::access::{Access, Caller};
use super::body::Bodies;
use super::desk::Desk;
use super::failure::Failure;
use super::feed::Feed;
use super::past::Past;
use super::tally::Tally;
use super::{files, health, list, metrics, page, past, watch};
use crate::runtime::Measures;

/// What [`table`] has, in OpenAPI 3.1.
const OPENAPI: &str = include_str!("openapi.json");

/// What all handlers share.
pub(super) struct App {
    pub(super) access: Access,
    pub(super) desk: Desk,
    /// What happens in the store, for all who watch.
    pub(super) shared_feed: Mutex<Weak<Feed>>,
    /// The thread of those who watch.
    pub(super) watching: Handle,
    pub(super) tally: Tally,
    /// Which revision was the present when.
    pub(super) past: Past,
    /// Where the web views of the cluster were when that was last asked.
    pub(super) webs: std::sync::Mutex<Vec<String>>,
    pub(super) bodies: Bodies,
    names: Vec<String>,
}

impl App {
    pub(super) fn new(
        access: Access,
        desk: Desk,
        watching: Handle,
        names: Vec<String>,
        value_bytes_max: usize,
    ) -> App {
        App {
            access,
            desk,
            shared_feed: Mutex::default(),
            watching,
            tally: Tally::default(),
            past: Past::default(),
            webs: std::sync::Mutex::default(),
            bodies: Bodies::new(value_bytes_max),
            names,
        }
    }

    /// How the process is.
    ///
    /// # Errors
    ///
    /// When its node does not say so in time.
    pub(super) async fn measures(&self) -> Result<Measures, Failure> {
        let measures = self.desk.measure().await;
        measures.ok_or_else(|| Failure::unavailable("the node does not answer"))
    }
}

/// What there is but for the page: methods, paths, handlers. `openapi.json` describes each, and a test sees to that.
fn table() -> Vec<(Method, &'static str, MethodRouter<Arc<App>>)> {
    let file = "/api/v1/files/{*path}";
    vec![
        (Method::GET, "/healthz", get(health::healthz)),
        (Method::GET, "/readyz", get(health::readyz)),
        (Method::GET, "/metrics", get(metrics::metrics)),
        (Method::GET, "/api/v1/openapi.json", get(openapi)),
        (Method::GET, "/api/v1/access", get(health::access)),
        (Method::GET, "/api/v1/status", get(health::status)),
        (Method::GET, "/api/v1/members", get(health::members)),
        (Method::GET, file, get(files::read)),
        (Method::PUT, file, put(files::write)),
        (Method::DELETE, file, delete(files::delete)),
        (Method::GET, "/api/v1/stat", get(list::stat)),
        (Method::GET, "/api/v1/dir", get(list::dir)),
        (Method::GET, "/api/v1/walk", get(list::walk)),
        (Method::GET, "/api/v1/watch", get(watch::watch)),
        (Method::GET, "/api/v1/history", get(past::history)),
    ]
}

/// All routes.
pub(super) fn router(app: Arc<App>) -> Router {
    let routes = table().into_iter();
    routes
        .fold(Router::new(), |router, (_, path, handler)| {
            router.route(path, handler)
        })
        .merge(page::routes())
        .fallback(nothing)
        .method_not_allowed_fallback(not_so)
        .layer(from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

/// The description of the API for programs. Says nothing about the cluster, and is open.
async fn openapi() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], OPENAPI).into_response()
}

/// Where nothing is. The original has a page for each directory, whose address ends in a slash: such
/// addresses lead to the page here, which shows that directory.
async fn nothing(method: Method, uri: Uri) -> Response {
    if let Some(place) = page::place_of(uri.path())
        && method == Method::GET
    {
        return Redirect::temporary(&place).into_response();
    }
    let message = "there is nothing at this path; docs/http.md tells what there is";
    Failure::new(StatusCode::NOT_FOUND, "NOT_FOUND", message).into_response()
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
    app.tally.answer(response.status().as_u16());
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

/// Refuses what a page of another origin asks for. Where nobody needs a secret to read, that includes
/// pages that have got a name of their own to lead to this address: only names that it is known by will do.
fn check_origin(app: &App, headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if let Some(origin) = text(header::ORIGIN)
        && origin.split_once("://").map(|(_, host)| host) != Some(host)
    {
        let message = format!("pages of {origin} may not use this node");
        return Err(Failure::new(StatusCode::FORBIDDEN, "FORBIDDEN", message));
    }
    if app.access.check_reads(Caller::Anonymous).is_ok() && !is_known(host, &app.names) {
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
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_description_has_every_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                if method != "parameters" {
                    described.insert((method.to_uppercase(), path.clone()));
                }
            }
        }
        let routes = table().into_iter();
        let routes = routes.map(|(method, path, _)| (method.to_string(), path.replace("{*", "{")));
        assert_eq!(routes.collect::<BTreeSet<_>>(), described);
    }

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
