//! How `doozerd` starts and ends, seen from a shell: exit codes and what it prints.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "runs real processes and occupies real ports"
)]

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// `doozerd` with nothing of this environment that it would heed.
fn doozerd(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doozerd"));
    command.args(args).stdin(Stdio::null());
    for name in ["DOOZER_BOOT_URI", "DOOZER_RWSECRET", "DOOZER_ROSECRET"] {
        command.env_remove(name);
    }
    command
}

fn run(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// The one line with which a start fails.
fn failure(args: &[&str]) -> String {
    let (code, stdout, stderr) = run(&mut doozerd(args));
    assert_eq!((code, stdout.as_str()), (1, ""), "{args:?}: {stderr}");
    let line = stderr.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "{args:?}: {stderr}");
    line.strip_prefix("doozerd: ").unwrap().to_owned()
}

#[test]
fn the_version_and_help_go_to_stdout() {
    for flag in ["-v", "--v", "-version", "--version"] {
        let (code, stdout, stderr) = run(&mut doozerd(&[flag]));
        let version = format!("doozerd {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            (code, stdout, stderr),
            (0, version, String::new()),
            "{flag}"
        );
    }
    for flag in ["-h", "-help", "--help"] {
        let (code, stdout, _) = run(&mut doozerd(&[flag]));
        assert_eq!(code, 0, "{flag}");
        let stdout = Vec::from_iter(stdout.split_whitespace()).join(" ");
        for part in [
            "Examples:",
            "127.0.0.1:8046",
            "-l, --listen",
            "--hist ",
            "[default: 60]",
        ] {
            assert!(stdout.contains(part), "{flag}: no {part:?} in {stdout}");
        }
    }
}

#[test]
fn bad_flags_exit_with_2_and_usage() {
    for args in [
        &["-bogus"][..],
        &["stray"],
        &["-pulse", "x"],
        &["-hist", "0"],
        &["-l"],
    ] {
        let (code, stdout, stderr) = run(&mut doozerd(args));
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}");
        assert!(stderr.contains("--help"), "{args:?}: {stderr}");
    }
}

#[test]
fn addresses_that_cannot_be_an_identity_are_refused() {
    assert!(failure(&["-l", ""]).starts_with("-l is empty"));
    assert!(failure(&["-l", "0.0.0.0:8046"]).contains("give an address of this machine"));
    assert!(failure(&["-l", "[::]:8046"]).contains("give an address of this machine"));
    assert!(failure(&["-l", "host.invalid:8046"]).starts_with("-l host.invalid:8046: cannot"));
    assert!(failure(&["-l", "nonsense"]).contains("not an address with a port"));
    assert!(failure(&["-c", "a/b"]).contains("name of a cluster"));
}

#[test]
fn an_address_in_use_is_told_of() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    assert_eq!(
        failure(&["-l", &addr]),
        format!(
            "cannot listen on {addr}: address in use; is another doozerd running? give another \
             address with -l"
        )
    );
}

#[test]
fn what_is_not_available_says_so() {
    for args in [&["-tlscert", "cert"][..], &["-tlskey", "key"]] {
        let line = failure(args);
        assert!(line.starts_with(args[0]), "{line}");
        assert!(line.contains("is not available yet"), "{line}");
    }
    let (code, _, stderr) = run(doozerd(&[]).env("DOOZER_BOOT_URI", "doozer:?cn=a"));
    assert_eq!(code, 1);
    assert!(stderr.contains("DOOZER_BOOT_URI"), "{stderr}");
}

/// A server on a free port, ended with the test.
struct Server {
    child: Child,
    addr: String,
}

impl Server {
    fn start(command: &mut Command, addr: String) -> Server {
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut server = Server { child, addr };
        for _ in 0..1000 {
            if TcpStream::connect(&server.addr).is_ok() {
                return server;
            }
            assert_eq!(server.child.try_wait().unwrap(), None, "it ended");
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nobody listens on {}", server.addr);
    }

    fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        let sent = kill
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Its exit code and what it logged.
    fn wait(&mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        (code, log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_addr() -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}

#[test]
fn a_signal_ends_the_process_cleanly() {
    for name in ["TERM", "INT"] {
        let addr = free_addr();
        let mut server = Server::start(&mut doozerd(&["-l", &addr, "-w", "false"]), addr);
        let mut client = TcpStream::connect(&server.addr).unwrap();
        server.signal(name);
        let (code, log) = server.wait();
        assert_eq!(code, Some(0), "{log}");
        assert!(!log.contains("panicked"), "{log}");
        assert!(matches!(client.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
}

#[test]
fn one_secret_alone_is_warned_of() {
    let addr = free_addr();
    let mut command = doozerd(&["-l", &addr, "-fill", "0.1"]);
    let mut server = Server::start(command.env("DOOZER_RWSECRET", "sesame"), addr);
    server.signal("TERM");
    let (_, log) = server.wait();
    assert!(log.contains("anybody may read"), "{log}");
    assert!(log.contains("-fill is ignored"), "{log}");
    assert!(!log.contains("sesame"), "{log}");
}

#[test]
fn attaching_to_the_wrong_cluster_names_the_right_one() {
    let addr = free_addr();
    let server = Server::start(&mut doozerd(&["-l", &addr, "-c", "foo"]), addr);
    let args = ["-l", "127.0.0.1:0", "-c", "bar", "-a", &server.addr];
    let (code, _, stderr) = run(&mut doozerd(&args));
    let line = stderr.lines().last().unwrap();
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(
        line,
        format!(
            "doozerd: cannot attach through {}: it belongs to cluster \"foo\", not \"bar\"; give \
             -c foo to attach to that one",
            server.addr
        )
    );
}
