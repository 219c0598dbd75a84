//! What the `doozer` command prints and how it exits, against a server in this process.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests with real processes"
)]

mod fake;

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use doozer::core::protocol::client::Verb;
use fake::{Cluster, Mood, Server};

/// What a command gave.
struct Done {
    out: String,
    err: String,
    code: i32,
}

fn doozer(args: &[&str], stdin: &[u8], uri: &str) -> Done {
    let mut child = command(args, uri).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // A command that fails early does not read.
    let _ = input.write_all(stdin);
    drop(input);
    let output = child.wait_with_output().unwrap();
    Done {
        out: output.stdout.iter().map(|byte| char::from(*byte)).collect(),
        err: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap(),
    }
}

fn command(args: &[&str], uri: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doozer"));
    command
        .args(args)
        .env("DOOZER_URI", uri)
        .env_remove("DOOZER_BOOT_URI");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A command line, its standard input, standard output, the beginning of standard error, and the
/// exit code.
type Row<'a> = (&'a [&'a str], &'a str, &'a str, &'a str, i32);

fn check(uri: &str, rows: &[Row<'_>]) {
    for (args, stdin, out, err, code) in rows {
        let done = doozer(args, stdin.as_bytes(), uri);
        assert_eq!(done.out, *out, "{args:?}: {}", done.err);
        assert!(done.err.starts_with(err), "{args:?}: {}", done.err);
        assert!(
            !err.is_empty() || done.err.is_empty(),
            "{args:?}: {}",
            done.err
        );
        assert_eq!(done.code, *code, "{args:?}: {}", done.err);
    }
}

#[test]
fn verbs_print_what_scripts_expect() {
    let cluster = Cluster::of(&[("/ctl/name", "local")]);
    let server = Server::start(&cluster, Mood::Member);
    check(
        &server.uri(),
        &[
            (&["rev"], "", "1\n", "", 0),
            (&["self"], "", "AAAAAAAAAAAAAAAA", "", 0),
            (&["add", "/a"], "hello\n", "2\n", "", 0),
            (&["get", "/a"], "", "hello\n", "", 0),
            (&["get", "--long", "/a"], "", "2 6\nhello\n\n", "", 0),
            (&["stat", "/a"], "", "2 6\n", "", 0),
            (&["stat", "/"], "", "d 2\n", "", 0),
            (&["set", "/a", "2"], "two", "3\n", "", 0),
            (&["set", "/a", "-1"], "", "4\n", "", 0),
            (&["get", "/a"], "", "", "", 0),
            (&["touch", "/a"], "", "", "", 0),
            (&["touch", "/t"], "", "", "", 0),
            (&["stat", "/t"], "", "6 0\n", "", 0),
            (&["del", "/t", "6"], "", "", "", 0),
            (&["nop"], "", "", "", 0),
            (&["rev"], "", "8\n", "", 0),
            (&["-r", "3", "wait", "/a"], "", "/a 3 set 3\ntwo\n", "", 0),
            (&["wait", "-r", "7", "/**"], "", "/t 7 del 0\n\n", "", 0),
            (&["wait", "/**"], "", "/ 8  0\n\n", "", 0),
        ],
    );
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(doozer(&["set", "/bin", "0"], &bytes, &server.uri()).code, 0);
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    check(&server.uri(), &[(&["get", "/bin"], "", &text, "", 0)]);
}

#[test]
fn failures_say_what_happened_and_exit_as_documented() {
    let cluster = Cluster::of(&[("/a", "1"), ("/d/f", "2")]);
    let server = Server::start(&cluster, Mood::Member);
    let mismatch = "Error: REV_MISMATCH: /a is at rev 1, you gave 0; see what is there with: \
                    doozer get --long /a\n";
    check(
        &server.uri(),
        &[
            (&["status"], "", "", "Error: cannot reach 127.0.0.1:", 2),
            (&["add", "/a"], "x", "", mismatch, 1),
            (&["set", "/a", "0"], "x", "", mismatch, 1),
            (&["del", "/a", "0"], "", "", mismatch, 1),
            (
                &["set", "/d", "-1"],
                "x",
                "",
                "Error: ISDIR: /d is a directory\n",
                2,
            ),
            (&["set", "/a/b", "0"], "x", "", "Error: NOTDIR: ", 2),
            (
                &["set", "/bad_x", "0"],
                "x",
                "",
                "Error: BAD_PATH: \"/bad_x\" ",
                2,
            ),
            (
                &["set", "/a", "abc"],
                "x",
                "",
                "Error: \"abc\" is not a revision",
                2,
            ),
            (
                &["del", "/a", "9999999999999999999"],
                "",
                "",
                "Error: \"9999",
                2,
            ),
            (
                &["get", "/d"],
                "",
                "",
                "Error: ISDIR: /d is a directory\n",
                2,
            ),
            (
                &["get", "/no"],
                "",
                "",
                "No such file or directory: /no\n",
                2,
            ),
            (
                &["stat", "/no"],
                "",
                "",
                "No such file or directory: /no\n",
                2,
            ),
            (
                &["find", "/no"],
                "",
                "",
                "No such file or directory: /no\n",
                2,
            ),
            (
                &["find", "/a_"],
                "",
                "",
                "No such file or directory: /a_\n",
                2,
            ),
            (
                &["wait", "/_"],
                "",
                "",
                "Error: OTHER: invalid glob pattern: /_\n",
                2,
            ),
            (
                &["watch", "/_"],
                "",
                "",
                "Error: OTHER: invalid glob pattern: /_\n",
                2,
            ),
            (
                &["wait", "-t", "50ms", "/x"],
                "",
                "",
                "Error: wait timeout\n",
                2,
            ),
        ],
    );
    cluster.forget_before(9);
    check(
        &server.uri(),
        &[
            (&["-r", "1", "wait", "/**"], "", "", "Error: TOO_LATE: ", 2),
            (&["-r", "1", "watch", "/**"], "", "", "Error: TOO_LATE: ", 2),
            (&["-r", "1", "find", "/"], "", "", "Error: TOO_LATE: ", 2),
        ],
    );
}

#[test]
fn mistakes_on_the_command_line_exit_with_127_and_bad_flags_with_2() {
    let uri = "doozer:?ca=127.0.0.1:1";
    let cases: [(&[&str], &str, i32); 8] = [
        (
            &[],
            "doozer: missing command\nUse: doozer [options] <command> ",
            127,
        ),
        (&["bogus"], "Unknown command: bogus\nUse: doozer ", 127),
        (&["ls", "/"], "Unknown command: ls\nUse: ", 127),
        (&["-zz"], "flag provided but not defined: -zz\nUse: ", 2),
        (
            &["get", "-zz", "/a"],
            "flag provided but not defined: -zz\nUse: ",
            2,
        ),
        (&["rev", "-a"], "flag needs an argument: -a\nUse: ", 2),
        (&["bench"], "bench: wrong number of arguments\n", 127),
        (
            &["get", "/a", "/b"],
            "get: wrong number of arguments\n",
            127,
        ),
    ];
    for (args, err, code) in cases {
        let done = doozer(args, b"", uri);
        assert!(done.err.starts_with(err), "{args:?}: {}", done.err);
        assert_eq!(done.code, code, "{args:?}");
    }
    for (command, operands) in [("rev", ""), ("set", "PATH REV"), ("wait", "PATTERN")] {
        let done = doozer(&[command, "1", "2", "3"], b"", uri);
        let first = format!("Use: doozer [options] {command} [options] {operands}\n\n");
        assert!(done.out.starts_with(&first), "{}", done.out);
        assert_eq!(done.err, format!("{command}: wrong number of arguments\n"));
        assert_eq!(done.code, 127);
    }
    for (flag, value) in [("-t", "xx"), ("-r", "zz")] {
        let done = doozer(&["wait", flag, value, "/a"], b"", uri);
        let expected = format!("invalid value \"{value}\" for flag {flag}: parse error\nUse: ");
        assert!(done.err.starts_with(&expected), "{}", done.err);
        assert_eq!((done.out.as_str(), done.code), ("", 2));
    }
}

#[test]
fn help_is_there_for_every_command() {
    let uri = "doozer:?ca=127.0.0.1:1";
    let usage = doozer(&["-h"], b"", uri);
    assert_eq!((usage.out.as_str(), usage.code), ("", 0));
    for command in [
        "add",
        "bench",
        "completions",
        "del",
        "find",
        "get",
        "help",
        "nop",
        "rev",
        "self",
        "set",
        "stat",
        "touch",
        "wait",
        "watch",
    ] {
        assert!(
            usage.err.contains(&format!("\n  {command} ")),
            "{command}: {}",
            usage.err
        );
        let help = doozer(&["help", command], b"", uri);
        let first = format!("Use: doozer [options] {command} [options] ");
        assert!(help.out.starts_with(&first), "{}", help.out);
        assert!(help.out.contains("Example"), "{command} has no example");
        assert_eq!((help.err.as_str(), help.code), ("", 0));
        assert_eq!(doozer(&[command, "-h"], b"", uri).out, help.out);
    }
    let nosuch = doozer(&["help", "nosuch"], b"", uri);
    assert_eq!(nosuch.out, "Use: doozer [options] nosuch [options] \n\n");
    assert_eq!(nosuch.code, 0);
    let version = doozer(&["-v"], b"", uri);
    assert_eq!(
        version.out,
        format!("doozer {}\n", env!("CARGO_PKG_VERSION"))
    );
    let script = doozer(&["completions", "bash"], b"", uri);
    assert!(script.out.contains("--json"), "{}", script.err);
}

#[test]
fn find_lists_directories_before_what_is_in_them() {
    let cluster = Cluster::of(&[("/f/a", "1"), ("/f/b-c", "2"), ("/f/b/x", "3"), ("/g", "")]);
    let server = Server::start(&cluster, Mood::Member);
    let tree = "/f\n/f/a\n/f/b\n/f/b/x\n/f/b-c\n";
    let json = "{\"path\":\"/f/b\",\"type\":\"dir\"}\n\
                {\"path\":\"/f/b/x\",\"type\":\"file\",\"rev\":3,\"len\":1}\n";
    check(
        &server.uri(),
        &[
            (&["find", "/f"], "", tree, "", 0),
            (&["find", "/"], "", &format!("/\n{tree}/g\n"), "", 0),
            (&["find", "/f/a"], "", "/f/a\n", "", 0),
            (&["find", "--json", "/f/b"], "", json, "", 0),
        ],
    );
}

#[test]
fn json_is_one_object_per_line() {
    let cluster = Cluster::of(&[("/a", "é\n"), ("/d/f", "")]);
    let server = Server::start(&cluster, Mood::Member);
    doozer(&["add", "/bin"], &[0xff, 0, 1], &server.uri());
    check(
        &server.uri(),
        &[
            (&["--json", "rev"], "", "{\"rev\":3}\n", "", 0),
            (
                &["self", "-json"],
                "",
                "{\"id\":\"AAAAAAAAAAAAAAAA\"}\n",
                "",
                0,
            ),
            (
                &["get", "--json", "/bin"],
                "",
                "{\"path\":\"/bin\",\"rev\":3,\"value_base64\":\"/wAB\"}\n",
                "",
                0,
            ),
            (
                &["stat", "--json", "/a"],
                "",
                "{\"path\":\"/a\",\"type\":\"file\",\"rev\":1,\"len\":3}\n",
                "",
                0,
            ),
            (
                &["stat", "--json", "/d"],
                "",
                "{\"path\":\"/d\",\"type\":\"dir\",\"entries\":1}\n",
                "",
                0,
            ),
            (
                &["add", "--json", "/n"],
                "1",
                "{\"path\":\"/n\",\"rev\":4}\n",
                "",
                0,
            ),
            (
                &["wait", "--json", "/n"],
                "",
                "{\"path\":\"/n\",\"rev\":4,\"op\":\"set\",\"value\":\"1\"}\n",
                "",
                0,
            ),
        ],
    );
}

#[test]
fn addresses_come_from_flags_and_the_environment() {
    let cluster = Cluster::of(&[("/a", "1")]);
    cluster.put("/ctl/ns/app/ID", "127.0.0.1:1");
    let server = Server::start(&cluster, Mood::Member);
    cluster.put("/ctl/ns/app/ME", &server.addr.to_string());
    let (uri, addr) = (server.uri(), server.addr.to_string());
    let both = format!("doozer:?ca=127.0.0.1:1&ca={addr}");
    let refused = "Error: cannot reach 127.0.0.1:1: connection refused; is doozerd running at \
                   127.0.0.1:1? give another with -a doozer:?ca=HOST:PORT\n";
    check(
        "doozer:?ca=127.0.0.1:1",
        &[
            (&["rev"], "", "", refused, 2),
            (&["-a", &uri, "rev"], "", "3\n", "", 0),
            (&["rev", "-a", &addr], "", "3\n", "", 0),
            (&["-a", &both, "rev"], "", "3\n", "", 0),
            (
                &["-a", "doozer:?cn=app", "-b", &uri, "rev"],
                "",
                "3\n",
                "",
                0,
            ),
            (
                &["-a", "doozer:?cn=no", "-b", &uri, "rev"],
                "",
                "",
                "Error: unknown cluster",
                2,
            ),
            (
                &["-a", "doozer:?cn=app", "rev"],
                "",
                "",
                "Error: invalid uri",
                2,
            ),
            (&["-a", "", "rev"], "", "", "Error: invalid uri", 2),
            (
                &["-a", "doozer?:ca=h:1", "rev"],
                "",
                "",
                "Error: invalid uri",
                2,
            ),
            (&["-a", "doozer:?", "rev"], "", "", "Error: invalid uri", 2),
            (
                &["-a", "doozer:?ca=%zz", "rev"],
                "",
                "",
                "Error: invalid URL escape \"%zz\"",
                2,
            ),
            (
                &["-a", "doozer:?ca=", "rev"],
                "",
                "",
                "Error: missing address",
                2,
            ),
        ],
    );
    let local = doozer(&["--local", "get", "/a"], b"", &uri);
    assert_eq!((local.out.as_str(), local.code), ("1", 0));
    assert_eq!(cluster.seen(Verb::Get).last().unwrap().local, Some(true));
}

#[test]
fn secrets_and_standbys_are_told_apart() {
    let cluster = Cluster::of(&[("/a", "1")]);
    let closed = Server::start(&cluster, Mood::Secret("rw"));
    let denied = "Error: OTHER: permission denied";
    let uri = closed.uri();
    let (right, wrong) = (format!("{uri}&sk=rw"), format!("{uri}&sk=bad"));
    check(
        &uri,
        &[
            (&["get", "/a"], "", "", denied, 2),
            (&["rev"], "", "1\n", "", 0),
            (&["-a", &right, "get", "/a"], "", "1", "", 0),
            (&["-a", &wrong, "rev"], "", "", denied, 2),
        ],
    );
    let standby = Server::start(&cluster, Mood::Standby);
    let readonly = "Error: READONLY: no member of the cluster could be reached";
    check(
        &standby.uri(),
        &[
            (&["set", "/a", "-1"], "2", "", readonly, 2),
            (&["nop"], "", "", readonly, 2),
            (&["touch", "/a"], "", "", readonly, 2),
            (&["get", "/a"], "", "1", "", 0),
        ],
    );
}

#[test]
fn watch_prints_every_change_as_it_happens() {
    let cluster = Cluster::of(&[("/w/a", "1")]);
    let server = Server::start(&cluster, Mood::Member);
    let mut child = command(&["watch", "-r", "1", "/w/*"], &server.uri())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut expect = |text: &str| {
        let mut bytes = vec![0; text.len()];
        out.read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
    };
    expect("/w/a 1 set 1\n1\n");
    cluster.put("/x", "unseen");
    cluster.put("/w/b", "two\nlines");
    expect("/w/b 3 set 9\ntwo\nlines\n");
    // Nobody reads any more: the command ends, and does not complain.
    drop(out);
    cluster.put("/w/c", "3");
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(String::from_utf8(done.stderr).unwrap(), "");
}

#[test]
fn bench_measures_every_workload() {
    let cluster = Cluster::new();
    let servers = [Mood::Member, Mood::Member].map(|mood| Server::start(&cluster, mood));
    let uri = format!("{}&ca={}", servers[0].uri(), servers[1].addr);
    for workload in ["fill", "set", "get", "get-local", "mixed", "cas", "watch"] {
        let flags = "--keys 50 --connections 2 --inflight 4 --duration 200ms --warmup 0.05";
        let mut args = vec!["bench", workload];
        args.extend(flags.split(' '));
        let done = doozer(&args, b"", &uri);
        assert_eq!(done.code, 0, "{workload}: {}", done.err);
        let result: serde_json::Value = serde_json::from_str(&done.out).expect(&done.out);
        assert_eq!(result["workload"], workload);
        assert_eq!(result["errors"], 0, "{}", done.out);
        assert!(result["ops"].as_u64().unwrap() >= 1, "{}", done.out);
        assert!(
            result["latency_us"]["p99.9"].as_f64().unwrap() > 0.0,
            "{}",
            done.out
        );
        if workload == "fill" {
            assert_eq!(result["ops"], 50);
        }
        if workload == "cas" {
            assert_eq!(result["lost_increments"], 0);
        }
    }
}
