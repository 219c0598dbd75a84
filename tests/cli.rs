//! The `doozer` command against the real `doozerd`: the original's transcript, with the deviations
//! that are meant.
//!
//! Revisions move by themselves, as a server keeps house, so that rows name the revision of an
//! earlier answer (`$a`) instead of a number.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests with real processes"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to serve.
const START_MAX: Duration = Duration::from_secs(20);

/// A server process, killed when it is dropped.
struct Doozerd {
    process: Child,
    addr: String,
}

impl Doozerd {
    fn start(host: &str, args: &[&str], env: &[(&str, &str)]) -> Doozerd {
        let port = TcpListener::bind((host, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let addr = format!("{host}:{port}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_doozerd"));
        command.args(["-l", &addr, "-w", "false"]).args(args);
        for name in ["DOOZER_BOOT_URI", "DOOZER_RWSECRET", "DOOZER_ROSECRET"] {
            command.env_remove(name);
        }
        command
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let process = command.spawn().unwrap();
        let mut server = Doozerd { process, addr };
        server.await_answer();
        server
    }

    fn alone() -> Doozerd {
        Doozerd::start("127.0.0.1", &[], &[])
    }

    /// REV needs no secret, and is answered once the server serves.
    fn await_answer(&mut self) {
        let give_up = Instant::now() + START_MAX;
        while Instant::now() < give_up {
            if let Ok(mut stream) = TcpStream::connect(&self.addr) {
                stream
                    .set_read_timeout(Some(Duration::from_secs(2)))
                    .unwrap();
                let mut answer = [0; 4];
                if stream.write_all(&[0, 0, 0, 2, 0x10, 5]).is_ok()
                    && stream.read_exact(&mut answer).is_ok()
                {
                    return;
                }
            }
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("doozerd ended with {status}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("doozerd at {} does not answer", self.addr);
    }

    fn uri(&self) -> String {
        format!("doozer:?ca={}", self.addr)
    }
}

impl Drop for Doozerd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(uri: &str, args: &[&str]) -> Command {
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

struct Done {
    out: Vec<u8>,
    err: String,
    code: Option<i32>,
}

impl Done {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

fn doozer(uri: &str, args: &[&str], stdin: &[u8]) -> Done {
    let mut child = command(uri, args).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let _ = input.write_all(stdin);
    drop(input);
    let output = child.wait_with_output().unwrap();
    Done {
        out: output.stdout,
        err: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

/// Runs a transcript: one command per line, as `ARGS < STDIN => STDOUT` where it succeeds and
/// `ARGS < STDIN ! CODE STDERR...` where it fails. `\n` stands for a newline, `$name` for a number
/// that an earlier line gave, and `$name=` in the expectation takes a number.
fn transcript(uri: &str, lines: &str) {
    let mut numbers: BTreeMap<String, String> = BTreeMap::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (before, expected, fails) = match line.split_once(" ! ") {
            Some((before, expected)) => (before, expected, true),
            None => {
                let (before, expected) = line.split_once(" =>").expect(line);
                (
                    before,
                    expected.strip_prefix(' ').unwrap_or(expected),
                    false,
                )
            }
        };
        let (args, stdin) = before.split_once(" < ").unwrap_or((before, ""));
        let args: Vec<String> = args
            .split_whitespace()
            .map(|arg| known(arg, &numbers))
            .collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let done = doozer(uri, &args, stdin.replace("\\n", "\n").as_bytes());
        let context = format!("{line}: {:?} {:?} {:?}", done.text(), done.err, done.code);
        if fails {
            let (code, err) = expected.split_once(' ').expect(line);
            assert_eq!(done.code, Some(code.parse().unwrap()), "{context}");
            let err = known(err, &numbers);
            assert!(done.err.starts_with(&err), "{context}");
        } else if let Some(name) = expected
            .strip_prefix('$')
            .and_then(|name| name.strip_suffix('='))
        {
            assert_eq!(done.code, Some(0), "{context}");
            let number = done.text().trim_end().to_owned();
            assert!(
                number.parse::<u64>().is_ok_and(|number| number > 0),
                "{context}"
            );
            numbers.insert(name.to_owned(), number);
        } else {
            assert_eq!(done.code, Some(0), "{context}");
            let expected = known(&expected.replace("\\n", "\n"), &numbers);
            assert_eq!(done.text(), expected, "{context}");
            assert_eq!(done.err, "", "{context}");
        }
    }
}

/// The text with the numbers in place of their names. Longer names first, so that `$ab` is not
/// taken for `$a`.
fn known(text: &str, numbers: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (name, number) in numbers.iter().rev() {
        text = text.replace(&format!("${name}"), number);
    }
    text
}

#[test]
fn files_are_written_read_and_deleted() {
    let server = Doozerd::alone();
    transcript(
        &server.uri(),
        r#"
        rev => $start=
        add /a < hello\n => $a=
        add /a < again\n ! 1 Error: REV_MISMATCH: /a is at rev $a, you gave 0
        get /a => hello\n
        stat /a => $a 6\n
        set /a 0 < x ! 1 Error: REV_MISMATCH: /a is at rev $a, you gave 0
        set /a $a < two => $b=
        set /a -1 => $c=
        get /a =>
        stat /a => $c 0\n
        get -r 5 /a =>
        set /a abc < x ! 2 Error: "abc" is not a revision
        set /a 9999999999999999999 < x ! 2 Error: "9999999999999999999" is not a revision
        set /a < x ! 127 set: wrong number of arguments
        set /bad_x 0 < x ! 2 Error: BAD_PATH
        set /a/b 0 < x ! 2 Error: NOTDIR
        set /ctl 0 < x ! 2 Error: ISDIR
        get /ctl ! 2 Error: ISDIR
        get /missing ! 2 No such file or directory: /missing
        stat /missing ! 2 No such file or directory: /missing
        touch /t =>
        touch /t =>
        touch /ctl ! 2 Error: ISDIR
        touch /bad_ ! 2 Error: BAD_PATH
        del /t 0 ! 1 Error: REV_MISMATCH
        del /t -1 =>
        del /t 0 =>
        del /ctl -1 ! 2 Error: ISDIR
        del / 0 ! 2 Error: ISDIR
        nop =>
        rev extra ! 127 rev: wrong number of arguments
        "#,
    );
    let id = doozer(&server.uri(), &["self"], b"");
    assert_eq!(id.out.len(), 16, "{}", id.err);
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(
        doozer(&server.uri(), &["set", "/bin", "0"], &bytes).code,
        Some(0)
    );
    assert_eq!(doozer(&server.uri(), &["get", "/bin"], b"").out, bytes);
}

#[test]
fn trees_are_listed_depth_first() {
    let server = Doozerd::alone();
    transcript(
        &server.uri(),
        r#"
        set /f/b/x -1 < 1 => $x=
        set /f/a -1 < 2 => $a=
        set /f/b-c -1 < 3 => $c=
        find /f => /f\n/f/a\n/f/b\n/f/b/x\n/f/b-c\n
        find /f/a => /f/a\n
        find -r $a /f => /f\n/f/a\n/f/b\n/f/b/x\n
        -r $x find /f => /f\n/f/b\n/f/b/x\n
        find /missing ! 2 No such file or directory: /missing
        find /f/ ! 2 No such file or directory: /f/
        find /bad_ ! 2 No such file or directory: /bad_
        stat /f => d 3\n
        "#,
    );
    let id = doozer(&server.uri(), &["self"], b"").text();
    let ctl = doozer(&server.uri(), &["find", "/ctl"], b"").text();
    for path in [
        "/ctl",
        "/ctl/cal/0",
        "/ctl/name",
        &format!("/ctl/node/{id}/addr"),
    ] {
        assert!(ctl.lines().any(|line| line == path), "{path} in {ctl}");
    }
}

#[test]
fn changes_are_waited_for() {
    let server = Doozerd::alone();
    transcript(
        &server.uri(),
        r#"
        set /w/1 -1 < hello => $a=
        wait -r $a /w/* => /w/1 $a set 5\nhello\n
        -r 1 wait /w/* => /w/1 $a set 5\nhello\n
        -r 0 wait /ctl/name => /ctl/name 1 set 5\nlocal\n
        del /w/1 $a =>
        wait -t 300ms /never ! 2 Error: wait timeout
        wait /bad_ ! 2 Error: OTHER: invalid glob pattern: /bad_
        watch /bad_ ! 2 Error: OTHER: invalid glob pattern: /bad_
        "#,
    );
    let mut watch = command(&server.uri(), &["-r", "1", "watch", "/watch/*"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let a = doozer(&server.uri(), &["add", "/watch/a"], b"1").text();
    let b = doozer(&server.uri(), &["add", "/watch/b"], b"two\nlines").text();
    doozer(&server.uri(), &["del", "/watch/a", "-1"], b"");
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!(next(), format!("/watch/a {} set 1", a.trim()));
    assert_eq!(next(), "1");
    assert_eq!(next(), format!("/watch/b {} set 9", b.trim()));
    assert_eq!((next(), next()), ("two".to_owned(), "lines".to_owned()));
    let deleted = next();
    assert!(
        deleted.starts_with("/watch/a ") && deleted.ends_with(" del 0"),
        "{deleted}"
    );
    assert_eq!(next(), "");
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn servers_are_found_by_address_and_by_name() {
    let server = Doozerd::alone();
    let uri = server.uri();
    let id = doozer(&uri, &["self"], b"").text();
    let with_gone = format!("doozer:?ca=127.0.0.1:1&ca={}", server.addr);
    for args in [
        vec!["-a", &server.addr, "self"],
        vec!["-a", &with_gone, "self"],
        vec!["-a", "doozer:?cn=local", "-b", &uri, "self"],
        vec!["self", "-a", &uri],
    ] {
        let done = doozer("doozer:?ca=127.0.0.1:1", &args, b"");
        assert_eq!(done.text(), id, "{args:?}: {}", done.err);
    }
    let nope = doozer(&uri, &["-a", "doozer:?cn=nope", "-b", &uri, "self"], b"");
    assert!(
        nope.err.starts_with("Error: unknown cluster \"nope\""),
        "{}",
        nope.err
    );
    assert_eq!(nope.code, Some(2));
}

#[test]
fn secrets_open_what_they_should() {
    let secrets = [("DOOZER_RWSECRET", "rw"), ("DOOZER_ROSECRET", "ro")];
    let server = Doozerd::start("127.0.0.1", &[], &secrets);
    let denied = "Error: OTHER: permission denied";
    for (secret, may_read, may_write) in [
        ("", false, false),
        ("&sk=ro", true, false),
        ("&sk=rw", true, true),
        ("&sk=bad", false, false),
    ] {
        let uri = format!("{}{secret}", server.uri());
        let read = doozer(&uri, &["get", "/ctl/name"], b"");
        let write = doozer(&uri, &["set", "/s", "-1"], b"1");
        let expected = |may| if may { Some(0) } else { Some(2) };
        assert_eq!(read.code, expected(may_read), "{secret}: {}", read.err);
        assert_eq!(write.code, expected(may_write), "{secret}: {}", write.err);
        assert!(may_read || read.err.starts_with(denied), "{}", read.err);
        assert!(may_write || write.err.starts_with(denied), "{}", write.err);
    }
}

#[test]
fn a_standby_serves_reads_and_leads_writes_to_a_member() {
    let member = Doozerd::start("127.0.0.1", &[], &[]);
    let standby = Doozerd::start("127.0.0.2", &["-a", &member.addr], &[]);
    let uri = standby.uri();
    assert_eq!(doozer(&uri, &["get", "/ctl/name"], b"").text(), "local");
    let set = doozer(&uri, &["set", "/s", "-1"], b"1");
    assert_eq!(set.code, Some(0), "{}", set.err);
    assert_eq!(doozer(&uri, &["get", "/s"], b"").text(), "1");
    drop(member);
    let set = doozer(&uri, &["set", "/s", "-1"], b"2");
    assert_eq!(set.code, Some(2), "{}", set.err);
    assert!(set.err.starts_with("Error: READONLY"), "{}", set.err);
    let local = doozer(&uri, &["--local", "get", "/s"], b"");
    assert_eq!(local.text(), "1", "{}", local.err);
}

#[test]
fn bench_measures_a_real_server() {
    let server = Doozerd::alone();
    for workload in ["fill", "set", "get", "get-local", "mixed", "cas", "watch"] {
        let flags = "--keys 100 --connections 2 --inflight 8 --duration 300ms --warmup 0.1";
        let mut args = vec!["bench", workload];
        args.extend(flags.split(' '));
        let done = doozer(&server.uri(), &args, b"");
        assert_eq!(done.code, Some(0), "{workload}: {}", done.err);
        let result: serde_json::Value = serde_json::from_slice(&done.out).unwrap();
        assert_eq!(result["errors"], 0, "{result}");
        assert!(result["ops"].as_u64().unwrap() > 0, "{result}");
    }
}

#[test]
fn filling_is_given_up_when_the_server_has_gone() {
    let server = Doozerd::alone();
    let uri = server.uri();
    let filling = std::thread::spawn(move || {
        let flags = ["--keys", "9000000", "--connections", "2"];
        doozer(&uri, &[&["bench", "fill"], &flags[..]].concat(), b"")
    });
    let first = ["get", "/bench/0000/0000"];
    while doozer(&server.uri(), &first, b"").code != Some(0) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    drop(server);
    let done = filling.join().unwrap();
    assert_eq!(done.code, Some(2), "{}", done.err);
    assert!(
        done.err.contains("of 9000000 keys were not written"),
        "{}",
        done.err
    );
}
