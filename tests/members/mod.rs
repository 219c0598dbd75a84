//! Real processes with data directories.

#![allow(dead_code, reason = "each test uses what it needs")]

#[path = "../processes/place.rs"]
mod place;
#[path = "../processes/port.rs"]
mod port;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use doozer::client::{Address, Client, Condition, Options, Uri};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

pub use place::Place;
pub use port::free_port;

/// How long anything may take. Far more than it takes.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A process with a data directory.
pub struct Member {
    pub addr: String,
    pub dir: String,
    pub log: PathBuf,
    pub child: Child,
    pub id: String,
}

impl Member {
    /// Starts one for the first time.
    pub async fn start(place: &Place, addr: &str, arguments: &[&str], before: &str) -> Member {
        let dir = place.within(addr);
        let log = PathBuf::from(format!("{dir}.stderr"));
        let mut all = vec!["-l", addr, "--data-dir", &dir];
        all.extend(arguments);
        let child = spawn(&all, before, &log);
        let mut member = Member {
            addr: addr.to_owned(),
            child,
            log,
            id: String::new(),
            dir: dir.clone(),
        };
        member.says("ready").await;
        member.id = client(&[addr]).await.self_id().await.expect("it answers");
        member
    }

    /// Starts it again with nothing but its directory.
    pub fn again(&mut self) {
        self.child = spawn(&["--data-dir", &self.dir], "", &self.log);
    }

    /// Ends it by a signal, as an operator does.
    pub fn stop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it lives");
        assert!(self.child.wait().expect("it ends").success());
    }

    /// The exit code of a process that ends of itself.
    pub async fn code(&mut self) -> Option<i32> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                return status.code();
            }
            assert!(begin.elapsed() < PATIENCE, "it goes on: {}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("it is written")
    }

    /// Waits until the log of this life has this in it.
    pub async fn says(&self, part: &str) {
        let begin = Instant::now();
        while !self.log().contains(part) {
            let log = self.log();
            assert!(begin.elapsed() < PATIENCE, "{}: {part:?}: {log}", self.addr);
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.addr, self.log());
        }
    }
}

/// Runs `doozerd`, from a shell that says `before` first.
pub fn spawn(arguments: &[&str], before: &str, log: &Path) -> Child {
    let mut command = Command::new("sh");
    for name in ["DOOZER_RWSECRET", "DOOZER_ROSECRET", "DOOZER_BOOT_URI"] {
        command.env_remove(name);
    }
    command
        .args(["-c", &format!("{before} exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_doozerd"))
        .args(["-w", "false"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(log).expect("a file can be made"))
        .spawn()
        .expect("doozerd starts")
}

/// What a start says that is refused.
pub fn refused(arguments: &[&str]) -> String {
    let output = Command::new("timeout")
        .args(["20", env!("CARGO_BIN_EXE_doozerd"), "-w", "false"])
        .args(arguments)
        .env_remove("DOOZER_BOOT_URI")
        .stdin(Stdio::null())
        .output()
        .expect("doozerd can be run");
    let said = String::from_utf8(output.stderr).expect("it prints text");
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    said
}

/// A client of whichever of these answers.
pub async fn client(addrs: &[&str]) -> Client {
    let addresses: Vec<Address> = addrs
        .iter()
        .map(|addr| addr.parse().expect("a well-formed address"))
        .collect();
    let uri = Uri::of(addresses);
    let begin = Instant::now();
    loop {
        match Client::connect_with(&uri, None, Options::default()).await {
            Ok(client) => return client,
            Err(error) => assert!(begin.elapsed() < PATIENCE, "{error}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Three members. The arguments are those of all, and what the shell of the last says first is
/// `before`.
pub async fn cluster(place: &Place, arguments: &[&str], before: &str) -> Vec<Member> {
    cluster_at(place, free_port(), arguments, before).await
}

/// The same, at this port.
pub async fn cluster_at(place: &Place, port: u16, arguments: &[&str], before: &str) -> Vec<Member> {
    let first = format!("127.0.0.1:{port}");
    let mut members = vec![Member::start(place, &first, arguments, "").await];
    let at_first = client(&[&first]).await;
    for n in [1, 2] {
        let file = format!("/ctl/cal/{n}");
        let set = at_first.set(&file, "", Condition::MISSING).await;
        set.expect("slots can be added");
        let addr = format!("127.0.0.{}:{port}", n + 1);
        let mut all = arguments.to_vec();
        all.extend(["-a", &first]);
        let before = if n == 2 { before } else { "" };
        let member = Member::start(place, &addr, &all, before).await;
        member.says(&format!("member in {file}")).await;
        members.push(member);
    }
    members
}

/// Whether this machine lets a test meddle with the calls of a process.
pub fn can_trace() -> bool {
    let traced = ["-D", "-f", "-qq", "-o", "/dev/null", "true"];
    let run = Command::new("strace").args(traced).status();
    let can = run.is_ok_and(|status| status.success());
    if !can {
        println!("SKIPPED: there is no strace, or it may not trace");
    }
    can
}
