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
    log: String,
}

impl Member {
    fn start(addr: String, listen: &str, attach: Option<&str>, log: &str) -> Member {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doozerd"));
        command.args(["-w", "false", "-log", log]);
        command.args(["-l", listen, "--advertise", &addr]);
        if let Some(attach) = attach {
            command.args(["-a", attach]);
        }
        let child = command
            .env_remove("DOOZER_RWSECRET")
            .env_remove("DOOZER_ROSECRET")
            .env_remove("DOOZER_BOOT_URI")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("doozerd starts");
        let log = log.to_owned();
        Member { addr, child, log }
    }
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
            let mut listen = addr(n);
            if far == Some(n) {
                listen = format!("127.0.0.{}:{}", n + 1, free_port());
                proxy = Some(Proxy::start(addr(n), listen.clone()).await);
            }
            let attach = (n > 0).then(|| addr(0));
            members.push(Member::start(addr(n), &listen, attach.as_deref(), log));
            let client = connect(&[addr(n)]).await;
            if n > 0 {
                let slot = format!("/ctl/cal/{n}");
                let added = client.set(&slot, "", Condition::MISSING).await;
                added.expect("a slot can be added");
                wait_until_taken(&client, &slot).await;
            }
        }
        Cluster { members, proxy }
    }

    /// Starts a standby.
    pub async fn add_standby(&mut self) {
        let first = &self.members[0];
        let (_, port) = first.addr.rsplit_once(':').expect("an address with a port");
        let addr = format!("127.0.0.{}:{port}", self.members.len() + 1);
        let standby = Member::start(addr.clone(), &addr, Some(&first.addr), &first.log);
        self.members.push(standby);
        connect(&[addr]).await;
    }

    /// Asks a process to end, waits until it has, starts it again, and waits until it serves.
    pub async fn restart(&mut self, n: usize) {
        self.signal(n, Signal::TERM);
        let begin = Instant::now();
        while !matches!(self.members[n].child.try_wait(), Ok(Some(_))) {
            assert!(begin.elapsed() < FORMING_MAX, "a process does not end");
            sleep(Duration::from_millis(1)).await;
        }
        let other = (n + 1) % self.members.len();
        let (attach, log) = (
            self.members[other].addr.clone(),
            self.members[n].log.clone(),
        );
        let addr = self.members[n].addr.clone();
        self.members[n] = Member::start(addr.clone(), &addr, Some(&attach), &log);
        connect(&[addr]).await;
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

/// A client of the first of these servers, which it waits for, and of the others if that goes away.
pub async fn connect(addrs: &[String]) -> Client {
    let begin = Instant::now();
    let addrs = addrs.iter().map(|addr| addr.parse().expect("an address"));
    let uri = Uri::of(addrs.collect());
    loop {
        match Client::connect_with(&uri, None, Options::default()).await {
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
