//! What comes with the page, and what it asks for that others ask for less: seen without a browser.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes and talks to them"
)]

#[path = "http/node.rs"]
mod node;

use node::{Node, free_port};
use serde_json::json;

#[test]
fn the_page_may_run_its_own_scripts_and_talk_to_its_cluster_and_no_more() {
    let first = Node::alone();
    let second = Node::start(2, free_port(), &["-a", &first.addr], &[]);
    let page = first.get("/");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("<title>Doozer</title>"));
    let policy = header(&page.head, "content-security-policy");
    let mut allowed: Vec<&str> = policy.split("; ").collect();
    let at = allowed
        .iter()
        .position(|rule| rule.starts_with("connect-src"));
    let connect = allowed.remove(at.expect("whom it may talk to"));
    let expected = [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ];
    assert_eq!(allowed, expected);
    let mut hosts: Vec<&str> = connect.split(' ').skip(2).collect();
    hosts.sort_unstable();
    let [one, two] = [&first, &second].map(|node| format!("http://{}", node.web));
    assert_eq!(hosts, [one, two]);
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "deny"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(header(&page.head, name), value);
    }
    let dir = first.get("/ctl/node/");
    assert_eq!(dir.status, 307, "{}", dir.text());
    assert_eq!(header(&dir.head, "location"), "/#?filter=/ctl/node/**");
    for wrong in ["/ctl/node", "/api/v1/none", "//", "/a//", "/%3Cb%3E/"] {
        assert_eq!(first.get(wrong).status, 404, "{wrong}");
    }
    // Everything that it names is there, with the type that browsers insist on.
    for part in page
        .text()
        .split('"')
        .filter(|part| part.starts_with("/page/"))
    {
        let file = first.get(part);
        assert_eq!(file.status, 200, "{part}");
        let kind = match part.rsplit_once('.') {
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(header(&file.head, "content-type"), kind, "{part}");
    }
    assert_eq!(
        first.get("/page/none.js").error(),
        (404, "NOT_FOUND".into())
    );
}

#[test]
fn pages_of_others_may_ask_whether_a_process_is_ready_and_nothing_else() {
    let node = Node::alone();
    let theirs = ["Origin: http://elsewhere.example"];
    for path in ["/readyz", "/healthz"] {
        let answer = node.ask("GET", path, &theirs, b"");
        assert_eq!(answer.status, 200);
        assert_eq!(header(&answer.head, "access-control-allow-origin"), "*");
    }
    for path in ["/", "/api/v1/status", "/api/v1/history", "/metrics"] {
        let answer = node.ask("GET", path, &theirs, b"");
        assert_eq!(answer.status, 403, "{path}");
        assert!(!answer.head.contains("access-control"), "{}", answer.head);
    }
}

#[test]
fn the_past_says_how_far_back_it_goes_and_when_it_was() {
    let node = Node::start(1, free_port(), &["-hist", "20"], &[]);
    for n in 0..40 {
        node.put("/x", &n.to_string());
    }
    let history = node.get("/api/v1/history").json();
    let [oldest, rev, now] = ["oldest", "rev", "now"].map(|name| history[name].as_u64().unwrap());
    assert_eq!(rev - oldest, 19);
    assert_eq!(
        node.get(&format!("/api/v1/stat?path=/x&rev={oldest}"))
            .status,
        200
    );
    let before = format!("/api/v1/stat?path=/x&rev={}", oldest - 1);
    assert_eq!(node.get(&before).error(), (410, "TOO_LATE".into()));
    let times = history["times"].as_array().expect("notes");
    let last = times.last().expect("at least that of now");
    assert_eq!(last[0], rev);
    let at = last[1].as_u64().expect("a time");
    assert!(at <= now && now - at < 5_000, "{history}");
}

#[test]
fn what_a_secret_is_good_for_is_told() {
    let secrets = [("DOOZER_RWSECRET", "rw"), ("DOOZER_ROSECRET", "ro")];
    let node = Node::start(1, free_port(), &[], &secrets);
    let rights = |headers: &[&str]| node.ask("GET", "/api/v1/access", headers, b"");
    let may = |read: bool, write: bool| json!({ "read": read, "write": write });
    assert_eq!(rights(&[]).json(), may(false, false));
    assert_eq!(
        rights(&["Authorization: Bearer ro"]).json(),
        may(true, false)
    );
    assert_eq!(
        rights(&["Authorization: Bearer rw"]).json(),
        may(true, true)
    );
    assert_eq!(rights(&["Authorization: Bearer no"]).status, 401);
    assert_eq!(node.get("/api/v1/history").status, 401);
    assert_eq!(node.get("/").status, 200);
    let open = Node::alone();
    assert_eq!(open.get("/api/v1/access").json(), may(true, true));
}

#[test]
fn values_may_be_cut_and_never_within_a_character() {
    let node = Node::alone();
    node.put("/a", "été");
    node.put("/b", "short");
    let put = node.ask("PUT", "/api/v1/files/c", &[], &[0xff; 9]);
    assert_eq!(put.status, 200);
    let files = node.get("/api/v1/walk?pattern=/?&values=true&cut=4").json()["files"].clone();
    let told = ["text", "text", "base64"];
    let told: Vec<_> = (0..3)
        .map(|n| (&files[n][told[n]], &files[n]["len"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("ét"), &json!(5)),
            (&json!("shor"), &json!(5)),
            (&json!("/////w=="), &json!(9)),
        ]
    );
}

#[test]
fn status_says_where_the_pages_are_and_who_hears_whom() {
    let first = Node::alone();
    let second = Node::start(2, free_port(), &["-a", &first.addr], &[]);
    let status = first.until("/api/v1/status", |answer| {
        let processes = &answer.json()["processes"];
        let measured = |n: usize| processes[n]["links"][0]["round_trip_us"].is_u64();
        measured(0) && measured(1)
    });
    let processes = status.json()["processes"].clone();
    for (process, node) in [(&processes[0], &first), (&processes[1], &second)] {
        assert_eq!(process["web"], node.web);
        assert_eq!(process["durable"], false);
        assert_eq!(process["links"][0]["heard"], true);
    }
    assert_eq!(processes[0]["links"][0]["to"], processes[1]["id"]);
}

fn header(head: &str, name: &str) -> String {
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in {head}"))
        .to_owned()
}
