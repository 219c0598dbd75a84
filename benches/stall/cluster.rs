//! Three members, and what befalls them.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use doozer::client::{Client, Condition, Options, Uri};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::port::free_port;
use super::proxy::Proxy;

/// How many members there are.
pub const MEMBERS: usize = 3;

/// How long the cluster may take to form.
const FORMING_MAX: Duration = Duration::from_secs(20);

/// Three servers, killed when this goes out of scope.
pub struct Cluster {
    members: Vec<Member>,
    proxy: Option<Proxy>,
}

struct Member {
    addr: String,
    child: Child,
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Cluster {
    /// Starts three members; one of them behind a proxy, if asked for.
    pub async fn start(far: Option<usize>, log: &str) -> Cluster {
        let port = free_port();
        let addr = |n: usize| format!("127.0.0.{}:{port}", n + 1);
        let mut proxy = None;
        let mut members = Vec::new();
        for n in 0..MEMBERS {
            let mut command = Command::new(env!("CARGO_BIN_EXE_doozerd"));
            command.args(["-w", "false", "-log", log]);
            if far == Some(n) {
                let hidden = format!("127.0.0.{}:{}", n + 1, free_port());
                proxy = Some(Proxy::start(addr(n), hidden.clone()).await);
                command.args(["-l", &hidden, "--advertise", &addr(n)]);
            } else {
                command.args(["-l", &addr(n)]);
            }
            if n > 0 {
                command.args(["-a", &addr(0)]);
            }
            let child = command
                .env_remove("DOOZER_RWSECRET")
                .env_remove("DOOZER_ROSECRET")
                .env_remove("DOOZER_BOOT_URI")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .expect("doozerd starts");
            members.push(Member {
                addr: addr(n),
                child,
            });
            let client = connect(&addr(n)).await;
            if n > 0 {
                let slot = format!("/ctl/cal/{n}");
                let added = client.set(&slot, "", Condition::MISSING).await;
                added.expect("a slot can be added");
                wait_until_taken(&client, &slot).await;
            }
        }
        Cluster { members, proxy }
    }

    /// Where clients find the members.
    pub fn addrs(&self) -> Vec<String> {
        self.members.iter().map(|one| one.addr.clone()).collect()
    }

    /// Ends a member without a chance to say anything.
    pub fn kill(&mut self, member: usize) {
        let child = &mut self.members[member].child;
        child.kill().expect("it can be killed");
        child.wait().expect("it can be waited for");
    }

    /// Lets a member stand still.
    pub fn stop(&self, member: usize) {
        self.signal(member, Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self, member: usize) {
        self.signal(member, Signal::CONT);
    }

    fn signal(&self, member: usize, signal: Signal) {
        let pid = i32::try_from(self.members[member].child.id()).expect("a process id");
        let pid = Pid::from_raw(pid).expect("a process id");
        kill_process(pid, signal).expect("it takes signals");
    }

    /// Delays what passes the proxy from now on, each way.
    pub fn delay(&self, delay: Duration) {
        let proxy = self.proxy.as_ref().expect("a member is behind one");
        proxy.delay(delay);
    }
}

/// A client of one server, which it waits for.
pub async fn connect(addr: &str) -> Client {
    let begin = Instant::now();
    loop {
        let addr = addr.parse().expect("a well-formed address");
        let options = Options::default();
        match Client::connect_with(&Uri::of(vec![addr]), None, options).await {
            Ok(client) if client.rev().await.is_ok() => return client,
            _ => assert!(begin.elapsed() < FORMING_MAX, "a server does not answer"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

async fn wait_until_taken(client: &Client, slot: &str) {
    let begin = Instant::now();
    loop {
        let file = client.get(slot).await.expect("it can be read");
        if file.is_some_and(|file| !file.value.is_empty()) {
            return;
        }
        assert!(begin.elapsed() < FORMING_MAX, "nobody takes {slot}");
        sleep(Duration::from_millis(10)).await;
    }
}
