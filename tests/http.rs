//! The HTTP API of real processes.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes and talks to them"
)]

#[path = "http/node.rs"]
mod node;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use doozer::status::{Health, Status};
use node::{Answer, Events, Node, PATIENCE, free_port};
use serde_json::json;

#[test]
fn files_are_written_read_and_deleted_as_they_are() {
    let node = Node::alone();
    let rev = node.put("/app/master", "web-1");
    let read = node.get("/api/v1/files/app/master");
    assert_eq!((read.status, read.text().as_str()), (200, "web-1"));
    assert!(
        read.head.contains(&format!("etag: \"{rev}\"")),
        "{}",
        read.head
    );
    assert!(read.head.contains("x-content-type-options: nosniff"));
    let accepting = node.ask(
        "GET",
        "/api/v1/files/app/master",
        &["Accept: application/json"],
        b"",
    );
    let expected = json!({ "path": "/app/master", "rev": rev, "text": "web-1" });
    assert_eq!(accepting.json(), expected);

    let bytes = [0, 0xff, 0xfe, b'\n'];
    let written = node.ask("PUT", "/api/v1/files/bin", &["If-None-Match: *"], &bytes);
    assert_eq!(written.status, 200);
    assert_eq!(node.get("/api/v1/files/bin").body, bytes);
    assert_eq!(
        node.get("/api/v1/files/bin?format=json").json()["base64"],
        "AP/+Cg=="
    );

    let later = node.put("/app/master", "web-2");
    let past = node.get(&format!("/api/v1/files/app/master?rev={rev}"));
    assert_eq!(past.text(), "web-1");
    assert_eq!(
        node.get("/api/v1/files/app/master?local=true").text(),
        "web-2"
    );

    let path = "/api/v1/files/app/master";
    let stale = node.ask("PUT", path, &[&format!("If-Match: \"{rev}\"")], b"x");
    assert_eq!(stale.error(), (412, "REV_MISMATCH".into()));
    assert_eq!(stale.json()["error"]["rev"], later);
    let stale = node.ask("PUT", &format!("{path}?rev={rev}"), &[], b"x");
    assert_eq!(stale.error(), (409, "REV_MISMATCH".into()));
    let stale = node.ask("DELETE", &format!("{path}?rev={rev}"), &[], b"");
    assert_eq!(stale.error(), (409, "REV_MISMATCH".into()));
    let there = node.ask("PUT", "/api/v1/files/bin", &["If-None-Match: *"], b"x");
    assert_eq!(there.error(), (412, "REV_MISMATCH".into()));
    let fresh = node.ask("DELETE", path, &[&format!("If-Match: \"{later}\"")], b"");
    assert_eq!((fresh.status, fresh.body.len()), (204, 0));
    assert_eq!(node.get(path).error(), (404, "NOENT".into()));
    // What was meant for the file that is gone does not bring it back.
    for method in ["PUT", "DELETE"] {
        let late = node.ask(method, path, &[&format!("If-Match: \"{later}\"")], b"x");
        assert_eq!(late.error(), (412, "REV_MISMATCH".into()), "{method}");
    }
    assert_eq!(node.get(path).error(), (404, "NOENT".into()));
}

#[test]
fn mistakes_are_told_by_the_names_of_the_protocol() {
    let node = Node::start(1, free_port(), &["-max-value", "1K"], &[]);
    node.put("/a/b", "x");
    let get = |path: &str| node.get(path).error();
    assert_eq!(get("/api/v1/files/a"), (409, "ISDIR".into()));
    assert_eq!(get("/api/v1/files/none"), (404, "NOENT".into()));
    assert_eq!(get("/api/v1/dir?path=/none"), (404, "NOENT".into()));
    assert_eq!(get("/api/v1/dir?path=/a/b"), (409, "NOTDIR".into()));
    assert_eq!(get("/api/v1/walk?pattern=x").0, 400);
    assert_eq!(
        get("/api/v1/walk?pattern=/**&limit=0"),
        (400, "BAD_REQUEST".into())
    );
    assert_eq!(get("/api/v1/walk?patern=/**"), (400, "BAD_REQUEST".into()));
    assert_eq!(get("/api/v1/watch?pattern=x").0, 400);
    assert_eq!(get("/nothing"), (404, "NOT_FOUND".into()));
    assert_eq!(get("/api/v1/files/caf%ff"), (400, "BAD_REQUEST".into()));
    for path in [
        "files/a/b?rev=0",
        "files/a/b?rev=-1",
        "files/a/b?rev=9223372036854775807",
        "dir?path=/&offset=4294967295",
        "dir?path=/&limit=10001",
        "watch?pattern=/**&from=18446744073709551615",
    ] {
        let path = format!("/api/v1/{path}");
        assert_eq!(get(&path), (400, "BAD_REQUEST".into()), "{path}");
    }
    let last = "Last-Event-ID: 18446744073709551615";
    let back = node.ask("GET", "/api/v1/watch?pattern=/**", &[last], b"");
    assert_eq!(back.error(), (400, "BAD_REQUEST".into()));
    let put = |path: &str, headers: &[&str], body: &[u8]| {
        let path = format!("/api/v1/files{path}");
        node.ask("PUT", &path, headers, body).error()
    };
    assert_eq!(put("/bad_name", &[], b"x"), (400, "BAD_PATH".into()));
    assert_eq!(put("/a/b/c", &[], b"x"), (409, "NOTDIR".into()));
    assert_eq!(put("/a", &[], b"x"), (409, "ISDIR".into()));
    assert_eq!(put("/big", &[], &[0; 1025]), (413, "OTHER".into()));
    assert_eq!(
        put("/a/b", &["If-Match: x"], b"x"),
        (400, "BAD_REQUEST".into())
    );
    assert_eq!(
        put("/a/b?rev=3", &["If-Match: 3"], b"x"),
        (400, "BAD_REQUEST".into())
    );
    assert_eq!(put("/ctl/err", &[], b"x").0, 409);
    let posted = node.ask("POST", "/api/v1/status", &[], b"");
    assert_eq!(posted.error(), (405, "METHOD_NOT_ALLOWED".into()));
}

#[test]
fn a_revision_that_has_not_come_is_waited_for() {
    let node = Node::start(1, free_port(), &["-request-timeout", "2"], &[]);
    let rev = node.put("/x", "1");
    std::thread::scope(|scope| {
        let path = format!("/api/v1/files/x?rev={}", rev + 1);
        let node = &node;
        let waiting = scope.spawn(move || node.get(&path));
        sleep(Duration::from_millis(200));
        assert_eq!(node.put("/x", "2"), rev + 1);
        let read = waiting.join().expect("an answer");
        assert_eq!((read.status, read.text().as_str()), (200, "2"));
    });
    let never = node.get("/api/v1/stat?path=/x&rev=1000000");
    assert_eq!(never.error(), (503, "UNAVAILABLE".into()));
    let text = never.text();
    assert!(text.contains("has not come within 2s"), "{text}");
}

#[test]
fn lists_come_in_pages_of_one_revision() {
    let node = Node::alone();
    for n in 0..25 {
        node.put(&format!("/list/{n:02}"), &n.to_string());
    }
    let first = node
        .get("/api/v1/walk?pattern=/list/*&limit=10&values=true")
        .json();
    let rev = first["rev"].as_u64().expect("a revision");
    node.put("/list/00a", "later");
    let (mut seen, mut page) = (Vec::new(), first);
    loop {
        let files = page["files"].as_array().expect("files").clone();
        seen.extend(
            files
                .iter()
                .map(|file| file["text"].as_str().map(str::to_owned)),
        );
        let Some(next) = page["next"].as_u64() else {
            break;
        };
        let path =
            format!("/api/v1/walk?pattern=/list/*&limit=10&values=true&offset={next}&rev={rev}");
        page = node.get(&path).json();
    }
    let expected: Vec<_> = (0..25).map(|n: u32| Some(n.to_string())).collect();
    assert_eq!(seen, expected);
    let names = node.get("/api/v1/dir?path=/list&offset=1&limit=2").json();
    assert_eq!(
        (&names["names"], &names["next"]),
        (&json!(["00a", "01"]), &json!(3))
    );
    let stat = node.get("/api/v1/stat?path=/list").json();
    assert_eq!(
        stat,
        json!({ "path": "/list", "type": "dir", "entries": 26 })
    );
    let stat = node.get("/api/v1/stat?path=/list/07").json();
    assert_eq!((&stat["type"], &stat["len"]), (&json!("file"), &json!(1)));
    let stat = node.get("/api/v1/stat?path=/none").json();
    assert_eq!(stat["type"], "missing");
}

#[test]
fn watches_go_on_where_they_were_and_say_what_is_forgotten() {
    let node = Node::start(1, free_port(), &["-hist", "40"], &[]);
    let first = node.put("/app/a", "1");
    let mut live = node.watch("pattern=/app/*", &[]);
    let mut past = node.watch(&format!("pattern=/app/*&from={first}"), &[]);
    assert_eq!(past.next()["rev"], first);
    // From here on the live one has begun, too: it is told of nothing before.
    sleep(Duration::from_millis(300));
    node.put("/other", "x");
    let second = node.put("/app/b", "2");
    let gone = node.ask("DELETE", "/api/v1/files/app/a", &[], b"");
    assert_eq!(gone.status, 204);
    for events in [&mut live, &mut past] {
        let set = events.next();
        let expected = json!({ "rev": second, "path": "/app/b", "change": "set", "text": "2" });
        assert_eq!(set, expected);
        let del = events.next();
        assert_eq!(
            (&del["change"], &del["path"]),
            (&json!("del"), &json!("/app/a"))
        );
    }
    let mut back = node.watch("pattern=/app/*", &[&format!("Last-Event-ID: {first}")]);
    assert_eq!(back.next()["rev"], second);
    for n in 0..60 {
        node.put("/busy", &n.to_string());
    }
    let late = node.get(&format!("/api/v1/watch?pattern=/app/*&from={first}"));
    assert_eq!(late.error(), (410, "TOO_LATE".into()));
    let late = node.get(&format!("/api/v1/files/app/b?rev={first}"));
    assert_eq!(late.error(), (410, "TOO_LATE".into()));
}

#[test]
fn who_watches_what_is_quiet_hears_how_far_it_is_although_others_write() {
    let node = Node::alone();
    let mut quiet = node.watch("pattern=/quiet", &[]);
    let first = quiet.next_id();
    let rev = node.put("/busy", "x");
    // Every second from here on the node writes of itself.
    let later = quiet.next_id();
    assert!(first < rev && rev < later, "{first} {rev} {later}");
    let mut back = node.watch("pattern=/quiet", &[&format!("Last-Event-ID: {later}")]);
    assert_eq!(back.next_id(), later);
}

#[test]
fn many_watchers_get_every_event_in_order() {
    let node = Node::alone();
    let mut watchers: Vec<Events> = (0..50)
        .map(|_| node.watch("pattern=/n/*&from=1", &[]))
        .collect();
    let writes = 200;
    for n in 0..writes {
        node.put(&format!("/n/{}", n % 7), &n.to_string());
    }
    for events in &mut watchers {
        for n in 0..writes {
            assert_eq!(events.next()["text"], n.to_string());
        }
    }
}

#[test]
fn watchers_get_every_event_where_a_connection_may_have_few_requests_open() {
    let node = Node::start(1, free_port(), &["-max-requests", "20"], &[]);
    let first = node.put("/n/first", "x");
    let mut live = node.watch(&format!("pattern=/n/*&from={first}"), &[]);
    assert_eq!(live.next()["text"], "x");
    let writes = 100;
    for round in 0..3 {
        for n in 0..writes {
            node.put("/n/x", &format!("{round}.{n}"));
        }
        for n in 0..writes {
            assert_eq!(live.next()["text"], format!("{round}.{n}"));
        }
        let mut past = node.watch(&format!("pattern=/n/x&from={first}"), &[]);
        for round in 0..=round {
            for n in 0..writes {
                assert_eq!(past.next()["text"], format!("{round}.{n}"));
            }
        }
    }
}

#[test]
fn a_secret_is_needed_where_one_is_set_and_the_read_only_one_never_writes() {
    let secrets = [("DOOZER_RWSECRET", "rw"), ("DOOZER_ROSECRET", "ro")];
    let node = Node::start(1, free_port(), &[], &secrets);
    let [rw, ro, wrong] = ["rw", "ro", "nope"].map(|s| format!("Authorization: Bearer {s}"));
    let file = "/api/v1/files/x";
    let code =
        |method: &str, path: &str, headers: &[&str]| node.ask(method, path, headers, b"v").status;
    assert_eq!(code("PUT", file, &[&rw]), 200);
    for (headers, expected) in [
        (&[][..], 401),
        (&[wrong.as_str()], 401),
        (&["Authorization: Basic cnc6cnc="], 401),
        (&[ro.as_str()], 200),
        (&[rw.as_str()], 200),
    ] {
        for path in [
            file,
            "/api/v1/status",
            "/api/v1/members",
            "/api/v1/walk?pattern=/**",
            "/api/v1/dir?path=/",
            "/api/v1/stat?path=/x",
            "/metrics",
        ] {
            assert_eq!(code("GET", path, headers), expected, "{path} {headers:?}");
        }
    }
    assert_eq!(code("GET", "/api/v1/watch?pattern=/**", &[]), 401);
    assert_eq!(code("GET", "/api/v1/watch?pattern=/**&from=1", &[]), 401);
    for method in ["PUT", "DELETE"] {
        assert_eq!(code(method, file, &[]), 401);
        assert_eq!(code(method, file, &[&wrong]), 401);
        assert_eq!(code(method, file, &[&ro]), 403);
    }
    // Nobody waits for a value that will not be written.
    let long = "Content-Length: 1000000";
    let begin = Instant::now();
    assert_eq!(code("PUT", file, &[long]), 401);
    assert_eq!(code("PUT", file, &[long, &ro]), 403);
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    assert_eq!(node.ask("GET", file, &[&ro], b"").text(), "v");
    assert_eq!(code("DELETE", file, &[&rw]), 204);
    // What says nothing about the files is open.
    assert_eq!(code("GET", "/healthz", &[]), 200);
    let denied = node.get(file);
    assert!(
        denied.head.contains("www-authenticate: bearer"),
        "{}",
        denied.head
    );
}

#[test]
fn pages_of_others_are_kept_out() {
    let node = Node::alone();
    let code = |headers: &[&str]| node.ask("PUT", "/api/v1/files/x", headers, b"v").status;
    assert_eq!(code(&["Origin: http://evil.example"]), 403);
    assert_eq!(code(&["Host: evil.example:8000"]), 403);
    assert_eq!(
        code(&["Host: evil.example", "Origin: http://evil.example"]),
        403
    );
    assert_eq!(code(&[&format!("Origin: http://{}", node.web)]), 200);
    assert_eq!(code(&["Host: localhost:8000"]), 200);
    // Whatever can be read without a secret could be read by pages whose name leads here.
    let [rw, ro] = [("DOOZER_RWSECRET", "rw"), ("DOOZER_ROSECRET", "ro")];
    for (secrets, expected) in [(vec![rw], 403), (vec![rw, ro], 401)] {
        let node = Node::start(1, free_port(), &[], &secrets);
        let read = |host: &str| node.ask("GET", "/api/v1/walk?pattern=/**", &[host], b"");
        assert_eq!(read("Host: evil.example:8000").status, expected);
    }
}

#[test]
fn any_node_serves_and_one_without_a_majority_says_so() {
    let port = free_port();
    let arguments = ["-request-timeout", "1", "-timeout", "60"];
    let first = Node::start(1, port, &arguments, &[]);
    let mut nodes = vec![first];
    for host in 2..=4 {
        let mut args = arguments.to_vec();
        let through = nodes[0].addr.clone();
        args.extend(["-a", &through]);
        nodes.push(Node::start(host, port, &args, &[]));
    }
    nodes[0].put("/ctl/cal/1", "");
    nodes[0].put("/ctl/cal/2", "");
    let members = |answer: &Answer| {
        let status: Option<Status> = serde_json::from_slice(&answer.body).ok();
        status.map_or(0, |status| status.members().count())
    };
    nodes[0].until("/api/v1/status", |answer| members(answer) == 3);
    let who = nodes[0].get("/api/v1/members").json();
    let count = |what: &str| who[what].as_array().map(Vec::len);
    assert_eq!((count("members"), count("standbys")), (Some(3), Some(1)));
    assert_eq!(who["vacancies"], json!([]));
    let is_member = |node: &Node| node.metric("doozer_member") == 1.0;
    let begin = Instant::now();
    while nodes.iter().filter(|node| is_member(node)).count() < 3 {
        assert!(begin.elapsed() < PATIENCE);
        sleep(Duration::from_millis(20));
    }
    nodes.sort_by_key(|node| !is_member(node));

    // The last one is the standby. What is written through it is read anywhere.
    let mut events = nodes[3].watch("pattern=/x", &[]);
    sleep(Duration::from_millis(300));
    let rev = nodes[3].put("/x", "through the standby");
    assert_eq!(events.next()["rev"], rev);
    for node in &nodes {
        assert_eq!(node.get("/api/v1/files/x").text(), "through the standby");
        assert_eq!(node.get("/readyz").status, 200);
        let status: Status = serde_json::from_slice(&node.get("/api/v1/status").body).unwrap();
        assert_eq!(
            (status.health, status.processes.len()),
            (Health::Healthy, 4)
        );
        assert_eq!(node.metric("doozer_majority_heard"), 1.0);
        assert_eq!(
            node.get("/metrics")
                .text()
                .matches("doozer_peer_heard{")
                .count(),
            3
        );
    }

    nodes[1].kill();
    nodes[2].kill();
    nodes[0].until("/readyz", |answer| answer.status == 503);
    assert_eq!(nodes[0].get("/readyz").error(), (503, "NOT_READY".into()));
    assert_eq!(nodes[0].get("/healthz").status, 200);
    let written = nodes[0].ask("PUT", "/api/v1/files/x", &[], b"never");
    assert_eq!(written.error(), (503, "OTHER".into()));
    assert!(written.text().contains("no majority"), "{}", written.text());
    let read = nodes[0].get("/api/v1/files/x");
    assert_eq!(read.error().0, 503);
    let copy = nodes[0].get("/api/v1/files/x?local=true");
    assert_eq!(copy.text(), "through the standby");
    let status = nodes[0].get("/api/v1/status");
    assert_eq!(status.status, 200);
    assert_eq!(nodes[0].metric("doozer_majority_heard"), 0.0);
}

#[test]
fn without_w_it_is_at_port_8000_or_the_next_that_is_free() {
    let mut children = Vec::new();
    for host in [19, 19, 20] {
        let addr = format!("127.0.0.{host}:{}", free_port());
        let child = Command::new(env!("CARGO_BIN_EXE_doozerd"))
            .args(["-l", &addr])
            .env_remove("DOOZER_RWSECRET")
            .env_remove("DOOZER_ROSECRET")
            .env_remove("DOOZER_BOOT_URI")
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("doozerd starts");
        // The pipe stays open: who logs into a closed one ends.
        let mut log = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let lines = log.by_ref().map_while(Result::ok);
        let line = lines.into_iter().find(|line| line.contains("web view"));
        children.push((child, line.expect("it says where"), log));
    }
    let said: Vec<&str> = children.iter().map(|(_, line, _)| line.as_str()).collect();
    assert!(
        said[0].ends_with("web view at http://127.0.0.19:8000/"),
        "{said:?}"
    );
    assert!(
        said[1].ends_with("web view at http://127.0.0.19:8001/"),
        "{said:?}"
    );
    assert!(
        said[2].ends_with("web view at http://127.0.0.20:8000/"),
        "{said:?}"
    );
    // An address that was asked for and is taken is a mistake.
    let refused = Command::new(env!("CARGO_BIN_EXE_doozerd"))
        .args([
            "-l",
            &format!("127.0.0.19:{}", free_port()),
            "-w",
            "127.0.0.19:8000",
        ])
        .output()
        .expect("doozerd runs");
    for (child, ..) in &mut children {
        let _ = child.kill();
        let _ = child.wait();
    }
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains("give another address with -w"), "{error}");
}
