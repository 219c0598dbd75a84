//! What is in the picture: a cluster, its files, and a browser that is used by one test at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doozer::status::{Health, Status};

use super::driver::Browser;
use super::node::{self, Node, free_port};

/// One browser at a time: what is measured is the page, not how many of them fit into a machine.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Three members and as many standbys.
pub fn cluster(standbys: u8, args: &[&str], secrets: &[(&str, &str)]) -> Vec<Node> {
    let port = free_port();
    let bearer: Vec<String> = secrets
        .first()
        .map(|(_, secret)| format!("Authorization: Bearer {secret}"))
        .into_iter()
        .collect();
    let headers: Vec<&str> = bearer.iter().map(String::as_str).collect();
    let mut nodes = vec![Node::start(1, port, args, secrets)];
    let up = |node: &Node, members: usize, processes: usize| {
        let begin = std::time::Instant::now();
        loop {
            let answer = node.ask("GET", "/api/v1/status", &headers, b"");
            let status: Option<Status> = serde_json::from_slice(&answer.body).ok();
            if status.is_some_and(|status| {
                let counts = (status.members().count(), status.processes.len());
                status.health == Health::Healthy && counts == (members, processes)
            }) {
                return;
            }
            assert!(begin.elapsed() < node::PATIENCE, "{}", answer.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    for host in 2..=3 + standbys {
        let mut all = args.to_vec();
        let first = nodes[0].addr.clone();
        all.extend(["-a", &first]);
        let slot = host - 1;
        if host <= 3 {
            let path = format!("/api/v1/files/ctl/cal/{slot}");
            let added = nodes[0].ask("PUT", &path, &headers, b"");
            assert_eq!(added.status, 200, "{}", added.text());
        }
        nodes.push(Node::start(host, port, &all, secrets));
        up(&nodes[0], usize::from(host.min(3)), usize::from(host));
    }
    nodes
}

pub fn page(node: &Node, view: &str) -> String {
    format!("http://{}/#{view}", node.web)
}

/// Files as people have them.
pub fn furnish(node: &Node) {
    let files = [
        ("/app/master", "web-1"),
        ("/message", "hello"),
        ("/config/checkout/currency", "EUR"),
        (
            "/config/checkout/limits",
            r#"{"per-order": 250, "per-day": 4000, "regions": ["eu", "us"], "strict": true}"#,
        ),
        ("/config/search/replicas", "3"),
        ("/config/search/timeout", "250ms"),
        ("/services/web/web-1", "10.0.3.1:8080"),
        ("/services/web/web-2", "10.0.3.2:8080"),
        ("/services/web/web-3", "10.0.3.3:8080"),
        ("/services/db/shard-1", "10.0.5.1:5432"),
        ("/services/db/shard-2", "10.0.5.2:5432"),
        ("/locks/nightly-backup", "db-2 since 02:00"),
        ("/flags/new-basket", "on"),
        ("/flags/dark-launch", "off"),
        ("/config/search/replicas", "5"),
    ];
    for (path, value) in files {
        node.put(path, value);
    }
}

/// For pictures: lets colours and places come to rest.
pub fn settle() {
    std::thread::sleep(Duration::from_millis(1_100));
}

/// Nothing went wrong, and nobody else was asked for anything.
pub fn is_clean(browser: &Browser) {
    is_clean_but_for(browser, "nobody");
}

pub fn is_clean_but_for(browser: &Browser, host: &str) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let strangers = browser.text(&format!(
        "performance.getEntriesByType('resource').map((entry) => new URL(entry.name))\
         .filter((url) => url.origin !== location.origin && url.host !== '{host}')"
    ));
    assert_eq!(strangers, "");
}
