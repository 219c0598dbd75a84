//! The page that people look at. Its files are part of the program, so that it needs nothing else:
//! no build step, no other host, no internet.
//!
//! What it shows comes through the same addresses that everybody else uses. Two things are done for it
//! here. The policy that comes with it lets its browser run these scripts and no others, and talk to
//! this process and to the web views of the cluster, for which [`super::routes`] opens `/readyz`: a
//! page whose process is gone looks there for one that serves, and goes to it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::time::timeout;

use super::access::Caller;
use super::routes::App;
use crate::client;
use crate::core::store::Path;
use crate::status::Status;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($path:literal: $kind:ident),* $(,)?) => {
        &[$((concat!("/page/", $path), $kind, include_str!(concat!("web/", $path)))),*]
    };
}

/// Address, type, content.
const FILES: &[(&str, &str, &str)] = files![
    "icon.svg": SVG,
    "base.css": CSS,
    "cluster.css": CSS,
    "files.css": CSS,
    "api.js": SCRIPT,
    "app.js": SCRIPT,
    "away.js": SCRIPT,
    "cluster.js": SCRIPT,
    "diff.js": SCRIPT,
    "dom.js": SCRIPT,
    "file.js": SCRIPT,
    "json.js": SCRIPT,
    "keys.js": SCRIPT,
    "live.js": SCRIPT,
    "login.js": SCRIPT,
    "model.js": SCRIPT,
    "past.js": SCRIPT,
    "rate.js": SCRIPT,
    "status.js": SCRIPT,
    "stream.js": SCRIPT,
    "text.js": SCRIPT,
    "theme.js": SCRIPT,
    "tree.js": SCRIPT,
    "value.js": SCRIPT,
];

/// How long the page may wait for the addresses of the others.
const ASKING_MAX: Duration = Duration::from_millis(500);

/// Addresses of web views that the policy names at most: all members, and standbys.
const WEBS_MAX: usize = 32;

/// The addresses of the page.
pub(super) fn routes() -> Router<Arc<App>> {
    let mut router = Router::new().route("/", get(page));
    for (path, kind, text) in FILES {
        let kind = HeaderValue::from_static(kind);
        router = router.route(
            path,
            get(async move || ([(header::CONTENT_TYPE, kind)], *text)),
        );
    }
    router
}

/// Where the page shows the directory of this address, if it is one: `/a/b/`.
pub(super) fn place_of(address: &str) -> Option<String> {
    let dir = address.strip_suffix('/').filter(|dir| *dir != "/")?;
    Path::parse(dir.as_bytes()).ok()?;
    Some(format!("/#?filter={dir}/**"))
}

/// Remembers where the web views of the cluster are.
pub(super) fn learn(app: &App, status: &Status) {
    let webs = status
        .processes
        .iter()
        .filter_map(|process| process.web.clone());
    let webs: Vec<String> = webs.filter(|web| is_host(web)).take(WEBS_MAX).collect();
    // Whoever does not answer at the moment may be the one to go to later.
    let mut known = app.webs.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all = webs;
    for web in known.drain(..) {
        if all.len() < WEBS_MAX && !all.contains(&web) {
            all.push(web);
        }
    }
    *known = all;
}

/// Whether this may stand in a policy as a host with a port.
fn is_host(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".:-[]".contains(c);
    !text.is_empty() && text.chars().all(is_plain)
}

/// The addresses of web views as a policy has them, each after a space. Policies have no way to name an
/// IPv6 address: where there is one, they let the page talk to all that HTTP is spoken with.
fn sources(webs: &[String]) -> String {
    if webs.iter().any(|web| web.starts_with('[')) {
        return " http:".to_owned();
    }
    webs.iter().map(|web| format!(" http://{web}")).collect()
}

async fn page(State(app): State<Arc<App>>) -> Response {
    if webs(&app).is_empty()
        && let Ok(uri) = app.access.uri(Caller::Writer)
        && let Ok(Ok(status)) = timeout(ASKING_MAX, client::status(&uri, None)).await
    {
        learn(&app, &status);
    }
    let others = sources(&webs(&app));
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'{others}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    );
    let mut response = (
        [(header::CONTENT_TYPE, HeaderValue::from_static(HTML))],
        include_str!("web/index.html"),
    )
        .into_response();
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        (
            "permissions-policy",
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

fn webs(app: &App) -> Vec<String> {
    let webs = app.webs.lock();
    webs.unwrap_or_else(PoisonError::into_inner).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_get_into_the_policy() {
        for host in ["10.0.0.1:8000", "[::1]:8000", "db-1.example:80"] {
            assert!(is_host(host), "{host}");
        }
        for text in ["", "x; script-src *", "a b", "x'y"] {
            assert!(!is_host(text), "{text}");
        }
    }

    #[test]
    fn addresses_that_no_policy_can_name_are_let_in_by_what_is_spoken_there() {
        let sources =
            |webs: &[&str]| sources(&webs.iter().map(|&web| web.into()).collect::<Vec<_>>());
        assert_eq!(sources(&[]), "");
        let named = sources(&["10.0.0.1:8000", "db-1:80"]);
        assert_eq!(named, " http://10.0.0.1:8000 http://db-1:80");
        assert_eq!(sources(&["10.0.0.1:8000", "[::1]:8000"]), " http:");
    }

    #[test]
    fn the_page_asks_nobody_else() {
        let page = ("/", HTML, include_str!("web/index.html"));
        for (path, _, text) in FILES.iter().chain([&page]) {
            for (at, _) in text.match_indices("//") {
                let before = &text[..at];
                let is_url = before.ends_with("http:") || before.ends_with("https:");
                let rest = &text[at + 2..];
                let is_fine = rest.starts_with("www.w3.org/2000/svg") || rest.starts_with("${");
                assert!(
                    !is_url || is_fine,
                    "{path}: {}",
                    &rest[..rest.len().min(40)]
                );
            }
        }
    }

    #[test]
    fn all_files_of_the_page_are_served() {
        let all: String = FILES.iter().map(|(_, _, text)| *text).collect();
        let all = all + include_str!("web/index.html");
        for (path, ..) in FILES {
            let name = path.trim_start_matches("/page/");
            assert!(all.contains(name), "nobody asks for {name}");
        }
        for (at, _) in all.match_indices("from \"./") {
            let name = all[at + 8..].split('"').next().unwrap_or_default();
            assert!(
                FILES.iter().any(|(path, ..)| path.ends_with(name)),
                "{name} is missing"
            );
        }
    }
}
