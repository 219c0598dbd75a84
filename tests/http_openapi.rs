//! The description of the HTTP API, against a real cluster: each path, method and status that it has
//! is asked for, and each answer is what it says. That it has every route, a test beside the routes
//! sees to.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes and talks to them"
)]

#[path = "http/node.rs"]
mod node;
#[path = "http/schema.rs"]
mod schema;

use std::collections::BTreeSet;

use node::{Answer, Node, free_port};
use schema::Schemas;
use serde_json::{Value, json};

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// A cluster of one that anybody may use, which forgets soon and takes small values only.
    Open,
    /// One that wants a secret, and also knows one that only reads.
    Closed,
    /// One whose process has not started, as there is nobody to let it in.
    Early,
    /// A member without a majority.
    Cut,
}

/// A request, and the status that its answer has.
struct Case {
    who: Who,
    method: &'static str,
    /// The path in the description.
    path: &'static str,
    status: u16,
    /// The path that is asked for.
    target: &'static str,
    headers: &'static [&'static str],
    body: &'static [u8],
}

const READER: &[&str] = &["Authorization: Bearer ro"];
const WRONG: &[&str] = &["Authorization: Bearer wrong"];
const STRANGER: &[&str] = &["Origin: http://evil.example"];
/// Who says so and sends less is waited for.
const LONGER: &[&str] = &["Content-Length: 2"];
const BIG: &[u8] = &[0; 1025];

const fn get(who: Who, path: &'static str, status: u16, target: &'static str) -> Case {
    ask(who, "GET", path, status, target, &[], b"")
}

const fn ask(
    who: Who,
    method: &'static str,
    path: &'static str,
    status: u16,
    target: &'static str,
    headers: &'static [&'static str],
    body: &'static [u8],
) -> Case {
    Case {
        who,
        method,
        path,
        status,
        target,
        headers,
        body,
    }
}

const FILE: &str = "/api/v1/files/{path}";
const ACCESS: &str = "/api/v1/access";
const HISTORY: &str = "/api/v1/history";
const STATUS: &str = "/api/v1/status";
const MEMBERS: &str = "/api/v1/members";
const OPENAPI: &str = "/api/v1/openapi.json";
const STAT: &str = "/api/v1/stat";
const DIR: &str = "/api/v1/dir";
const WALK: &str = "/api/v1/walk";
const WATCH: &str = "/api/v1/watch";

/// At least one for each status of each method of each path. `/a/text` and `/a/bin` are there, and
/// revision 1 is forgotten.
const CASES: &[Case] = {
    use Who::{Closed, Cut, Early, Open};
    &[
        get(Open, "/healthz", 200, "/healthz"),
        get(Early, "/healthz", 503, "/healthz"),
        get(Open, "/readyz", 200, "/readyz"),
        get(Cut, "/readyz", 503, "/readyz"),
        get(Early, "/readyz", 503, "/readyz"),
        get(Open, "/metrics", 200, "/metrics"),
        get(Closed, "/metrics", 401, "/metrics"),
        ask(Open, "GET", "/metrics", 403, "/metrics", STRANGER, b""),
        get(Early, "/metrics", 503, "/metrics"),
        get(Open, OPENAPI, 200, OPENAPI),
        get(Closed, OPENAPI, 200, OPENAPI),
        get(Open, ACCESS, 200, ACCESS),
        get(Closed, ACCESS, 200, ACCESS),
        ask(Closed, "GET", ACCESS, 200, ACCESS, READER, b""),
        ask(Closed, "GET", ACCESS, 401, ACCESS, WRONG, b""),
        ask(Open, "GET", ACCESS, 403, ACCESS, STRANGER, b""),
        get(Open, HISTORY, 200, HISTORY),
        get(Closed, HISTORY, 401, HISTORY),
        ask(Open, "GET", HISTORY, 403, HISTORY, STRANGER, b""),
        get(Early, HISTORY, 503, HISTORY),
        get(Open, STATUS, 200, STATUS),
        get(Cut, STATUS, 200, STATUS),
        ask(Closed, "GET", STATUS, 200, STATUS, READER, b""),
        get(Closed, STATUS, 401, STATUS),
        ask(Open, "GET", STATUS, 403, STATUS, STRANGER, b""),
        get(Early, STATUS, 503, STATUS),
        get(Open, MEMBERS, 200, MEMBERS),
        get(Cut, MEMBERS, 200, MEMBERS),
        get(Closed, MEMBERS, 401, MEMBERS),
        ask(Open, "GET", MEMBERS, 403, MEMBERS, STRANGER, b""),
        get(Early, MEMBERS, 503, MEMBERS),
        get(Open, FILE, 200, "/api/v1/files/a/text"),
        get(Open, FILE, 200, "/api/v1/files/a/text?format=json"),
        get(
            Open,
            FILE,
            200,
            "/api/v1/files/a%2Fbin?format=json&local=true",
        ),
        get(Cut, FILE, 200, "/api/v1/files/x?local=true"),
        get(Open, FILE, 400, "/api/v1/files/a/text?format=xml"),
        get(Open, FILE, 400, "/api/v1/files/caf%ff"),
        get(Closed, FILE, 401, "/api/v1/files/x"),
        ask(Open, "GET", FILE, 403, "/api/v1/files/x", STRANGER, b""),
        get(Open, FILE, 404, "/api/v1/files/none"),
        get(Open, FILE, 409, "/api/v1/files/a"),
        get(Open, FILE, 410, "/api/v1/files/a/text?rev=1"),
        get(Open, FILE, 503, "/api/v1/files/a/text?rev=1000000"),
        get(Cut, FILE, 503, "/api/v1/files/x"),
        ask(Open, "PUT", FILE, 200, "/api/v1/files/b", &[], b"1"),
        ask(Open, "PUT", FILE, 400, "/api/v1/files/b_", &[], b"1"),
        ask(Open, "PUT", FILE, 400, "/api/v1/files/b?rev=-2", &[], b"1"),
        ask(Closed, "PUT", FILE, 401, "/api/v1/files/b", &[], b"1"),
        ask(Closed, "PUT", FILE, 403, "/api/v1/files/b", READER, b"1"),
        ask(Open, "PUT", FILE, 403, "/api/v1/files/b", STRANGER, b"1"),
        ask(Open, "PUT", FILE, 409, "/api/v1/files/b?rev=1", &[], b"1"),
        ask(Open, "PUT", FILE, 409, "/api/v1/files/a", &[], b"1"),
        ask(
            Open,
            "PUT",
            FILE,
            412,
            "/api/v1/files/b",
            &["If-Match: \"1\""],
            b"1",
        ),
        ask(
            Open,
            "PUT",
            FILE,
            412,
            "/api/v1/files/b",
            &["If-None-Match: *"],
            b"1",
        ),
        ask(Open, "PUT", FILE, 413, "/api/v1/files/b", &[], BIG),
        ask(Cut, "PUT", FILE, 503, "/api/v1/files/b", &[], b"1"),
        ask(
            Open,
            "DELETE",
            FILE,
            400,
            "/api/v1/files/b?local=true",
            &[],
            b"",
        ),
        ask(Closed, "DELETE", FILE, 401, "/api/v1/files/b", &[], b""),
        ask(Closed, "DELETE", FILE, 403, "/api/v1/files/b", READER, b""),
        ask(Open, "DELETE", FILE, 409, "/api/v1/files/a", &[], b""),
        ask(
            Open,
            "DELETE",
            FILE,
            412,
            "/api/v1/files/b",
            &["If-Match: 1"],
            b"",
        ),
        ask(Cut, "DELETE", FILE, 503, "/api/v1/files/b", &[], b""),
        ask(Open, "DELETE", FILE, 204, "/api/v1/files/b", &[], b""),
        get(Open, STAT, 200, "/api/v1/stat?path=/a"),
        get(Open, STAT, 200, "/api/v1/stat?path=/a/text"),
        get(Open, STAT, 200, "/api/v1/stat?path=/none"),
        get(Open, STAT, 400, "/api/v1/stat"),
        get(Closed, STAT, 401, "/api/v1/stat?path=/"),
        ask(Open, "GET", STAT, 403, "/api/v1/stat?path=/", STRANGER, b""),
        get(Open, STAT, 410, "/api/v1/stat?path=/&rev=1"),
        get(Cut, STAT, 503, "/api/v1/stat?path=/"),
        get(Open, DIR, 200, "/api/v1/dir?path=/a"),
        get(Open, DIR, 200, "/api/v1/dir?path=/a&limit=1"),
        get(Open, DIR, 400, "/api/v1/dir?path=/a&limit=0"),
        get(Closed, DIR, 401, "/api/v1/dir?path=/"),
        ask(Open, "GET", DIR, 403, "/api/v1/dir?path=/", STRANGER, b""),
        get(Open, DIR, 404, "/api/v1/dir?path=/none"),
        get(Open, DIR, 409, "/api/v1/dir?path=/a/text"),
        get(Open, DIR, 410, "/api/v1/dir?path=/&rev=1"),
        get(Cut, DIR, 503, "/api/v1/dir?path=/"),
        get(Open, WALK, 200, "/api/v1/walk?pattern=/a/*"),
        get(
            Open,
            WALK,
            200,
            "/api/v1/walk?pattern=/**&values=true&limit=3",
        ),
        get(
            Open,
            WALK,
            200,
            "/api/v1/walk?pattern=/**&values=true&cut=2",
        ),
        get(Open, WALK, 400, "/api/v1/walk?pattern=a"),
        get(Closed, WALK, 401, "/api/v1/walk?pattern=/**"),
        ask(
            Open,
            "GET",
            WALK,
            403,
            "/api/v1/walk?pattern=/**",
            STRANGER,
            b"",
        ),
        get(Open, WALK, 410, "/api/v1/walk?pattern=/**&rev=1"),
        get(Cut, WALK, 503, "/api/v1/walk?pattern=/**"),
        get(Open, WATCH, 400, "/api/v1/watch?pattern=a"),
        get(Closed, WATCH, 401, "/api/v1/watch?pattern=/**"),
        ask(
            Open,
            "GET",
            WATCH,
            403,
            "/api/v1/watch?pattern=/**",
            STRANGER,
            b"",
        ),
        get(Open, WATCH, 410, "/api/v1/watch?pattern=/**&from=1"),
        get(Early, WATCH, 503, "/api/v1/watch?pattern=/**"),
        // Takes so long that the one that cannot start gives up meanwhile.
        ask(Open, "PUT", FILE, 408, "/api/v1/files/b", LONGER, b"1"),
    ]
};

#[test]
fn every_answer_that_is_described_is_given_as_described() {
    let open = Node::start(
        1,
        free_port(),
        &["-hist", "40", "-max-value", "1K", "-request-timeout", "1"],
        &[],
    );
    for n in 0..50 {
        open.put("/busy", &n.to_string());
    }
    open.put("/a/text", "hello");
    let written = open.ask("PUT", "/api/v1/files/a/bin", &[], &[0xff, 0]);
    assert_eq!(written.status, 200);
    let secrets = [("DOOZER_RWSECRET", "rw"), ("DOOZER_ROSECRET", "ro")];
    let closed = Node::start(1, free_port(), &[], &secrets);
    let nowhere = format!("127.0.0.9:{}", free_port());
    let early = Node::starting(1, free_port(), &["-a", &nowhere], &[]);
    early.until("/healthz", |_| true);
    let cut = cut_off();
    let document = open.get(OPENAPI).json();
    let api = Api::new(&document);

    let mut answered = BTreeSet::new();
    for case in CASES {
        let node = match case.who {
            Who::Open => &open,
            Who::Closed => &closed,
            Who::Early => &early,
            Who::Cut => &cut,
        };
        let answer = node.ask(case.method, case.target, case.headers, case.body);
        let what = format!("{} {} of {:?}", case.method, case.target, case.who);
        assert_eq!(answer.status, case.status, "{what}: {}", answer.text());
        let checked = api.check(case.method, case.path, &answer);
        checked.unwrap_or_else(|error| panic!("{what}: {error}"));
        answered.insert(key(case.method, case.path, case.status));
    }

    // A stream does not end: it is read up to what is looked for.
    let written = open.put("/a/text", "bye");
    let mut events = open.watch(&format!("pattern=/a/*&from={written}"), &[]);
    let event = events.next();
    assert_eq!(event["rev"], written);
    let schema = &document["components"]["schemas"]["Event"];
    api.schemas.check(&event, schema).expect("an event");
    answered.insert(key("GET", WATCH, 200));

    let manual = include_str!("../docs/http.md");
    for path in document["paths"].as_object().expect("paths").keys() {
        let plain = path.split('{').next().expect("its beginning");
        let shown = format!("http://127.0.0.1:8000{plain}");
        assert!(manual.contains(&shown), "no curl for {path}");
    }
    let missing: Vec<&String> = api.described.difference(&answered).collect();
    assert!(
        missing.is_empty(),
        "described, and not asked for: {missing:#?}"
    );
}

#[test]
fn a_schema_refuses_what_it_should() {
    let document = json!({ "components": { "schemas": { "Number": { "type": "integer" } } } });
    let schemas = Schemas(&document);
    let schema = json!({
        "type": "object",
        "required": ["n"],
        "properties": { "n": { "$ref": "#/components/schemas/Number" }, "of": { "enum": ["x"] } },
        "additionalProperties": false,
    });
    assert_eq!(
        schemas.check(&json!({ "n": 1, "of": "x" }), &schema),
        Ok(())
    );
    for wrong in [
        json!({}),
        json!([]),
        json!({ "n": "1" }),
        json!({ "n": 1, "of": "y" }),
        json!({ "n": 1, "more": 2 }),
    ] {
        assert!(schemas.check(&wrong, &schema).is_err(), "{wrong}");
    }
    let one = json!({ "oneOf": [{ "type": "string" }, { "const": "x" }] });
    assert!(schemas.check(&json!("y"), &one).is_ok());
    assert!(schemas.check(&json!("x"), &one).is_err());
}

/// What the document says about answers.
struct Api<'a> {
    schemas: Schemas<'a>,
    described: BTreeSet<String>,
}

impl<'a> Api<'a> {
    fn new(document: &'a Value) -> Api<'a> {
        assert_eq!(document["openapi"], "3.1.0");
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            let methods = methods.as_object().expect("methods").iter();
            for (method, operation) in methods.filter(|(name, _)| *name != "parameters") {
                for status in operation["responses"].as_object().expect("answers").keys() {
                    let status = status.parse().expect("a status");
                    described.insert(key(&method.to_uppercase(), path, status));
                }
            }
        }
        Api {
            schemas: Schemas(document),
            described,
        }
    }

    /// What is wrong with an answer.
    fn check(&self, method: &str, path: &str, answer: &Answer) -> Result<(), String> {
        let operation = &self.schemas.0["paths"][path][method.to_lowercase()];
        let described = &operation["responses"][answer.status.to_string()];
        if described.is_null() {
            return Err(format!("{} is not described", answer.status));
        }
        let described = self.schemas.resolve(described);
        for name in described["headers"].as_object().into_iter().flatten() {
            let line = format!("\n{}:", name.0.to_lowercase());
            if !answer.head.contains(&line) {
                return Err(format!("no header {}", name.0));
            }
        }
        let Some(contents) = described["content"].as_object() else {
            return match answer.body.is_empty() {
                true => Ok(()),
                false => Err("a body".into()),
            };
        };
        let mut kinds = answer.head.lines();
        let kind = kinds.find_map(|line| line.strip_prefix("content-type: "));
        let kind = kind.unwrap_or_default();
        let name = kind.split(';').next().unwrap_or_default();
        let content = contents.get(name);
        let content = content.ok_or_else(|| format!("{kind} is not described"))?;
        match name {
            "application/json" => self.schemas.check(&answer.json(), &content["schema"]),
            _ => Ok(()),
        }
    }
}

fn key(method: &str, path: &str, status: u16) -> String {
    format!("{method} {path} {status}")
}

/// A member of three, of whom the others have ended.
fn cut_off() -> Node {
    let port = free_port();
    let args = ["-request-timeout", "1", "-timeout", "60"];
    let first = Node::start(1, port, &args, &[]);
    let through = first.addr.clone();
    let mut args = args.to_vec();
    args.extend(["-a", &through]);
    let mut others = [2, 3].map(|host| Node::start(host, port, &args, &[]));
    first.put("/x", "here");
    first.put("/ctl/cal/1", "");
    first.put("/ctl/cal/2", "");
    first.until(MEMBERS, |answer| {
        answer.status == 200
            && answer.json()["members"]
                .as_array()
                .is_some_and(|m| m.len() == 3)
    });
    others.iter_mut().for_each(Node::kill);
    first.until("/readyz", |answer| answer.status == 503);
    first
}
