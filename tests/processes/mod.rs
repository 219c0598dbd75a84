//! Real `doozerd` processes on loopback addresses.

#![allow(dead_code, reason = "each test uses what it needs")]

mod port;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use doozer::client::{Address, Change, Client, Condition, Options, Uri};
use rustix::process::{Pid, Signal, kill_process};

pub use port::free_port;

/// A server that is stopped when it goes out of scope.
pub struct Server {
    pub addr: String,
    child: Child,
}

impl Server {
    /// Starts a server, and waits until it answers.
    pub async fn start(addr: &str, arguments: &[&str]) -> Server {
        let child = Command::new(env!("CARGO_BIN_EXE_doozerd"))
            .args(["-w", "false", "-l", addr])
            .args(arguments)
            .env_remove("DOOZER_RWSECRET")
            .env_remove("DOOZER_ROSECRET")
            .env_remove("DOOZER_BOOT_URI")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("doozerd starts");
        let server = Server {
            addr: addr.to_owned(),
            child,
        };
        let begin = Instant::now();
        loop {
            if let Ok(client) = connect(&[addr]).await
                && client.within(Duration::from_secs(5)).rev().await.is_ok()
            {
                return server;
            }
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "{addr} does not answer"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends the process as a crash would: it gets no chance to say anything.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process can be waited for");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process can be signalled");
    }

    /// Waits for the process to end by itself, and gives its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let status = self.child.wait().expect("the process can be waited for");
        status.code()
    }

    pub fn is_alive(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("the process can be asked")
            .is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of the servers at these addresses.
pub async fn connect(addrs: &[&str]) -> Result<Client, doozer::client::Error> {
    let addrs: Vec<Address> = addrs
        .iter()
        .map(|addr| addr.parse().expect("a well-formed address"))
        .collect();
    Client::connect_with(&Uri::of(addrs), None, Options::default()).await
}

/// Three members and a slave, as the clustering guide sets them up, on 127.0.0.1 to 127.0.0.4.
/// The members come first.
pub async fn guide_cluster(arguments: &[&str]) -> Vec<Server> {
    let port = free_port();
    let first = format!("127.0.0.1:{port}");
    let mut servers = vec![Server::start(&first, arguments).await];
    for n in 2..=4 {
        let addr = format!("127.0.0.{n}:{port}");
        let mut arguments = arguments.to_vec();
        arguments.extend(["-a", &first]);
        servers.push(Server::start(&addr, &arguments).await);
    }
    let client = connect(&[&first]).await.expect("the first server answers");
    for slot in ["/ctl/cal/1", "/ctl/cal/2"] {
        client
            .set(slot, "", Condition::MISSING)
            .await
            .expect("slots can be added");
    }
    let mut members = 0;
    let mut writable = client.watch("/ctl/node/*/writable", doozer::core::id::Rev(1));
    while members < 3 {
        let event = writable.next().await.expect("the watch goes on");
        assert_eq!(event.change, Change::Set("true".into()));
        members += 1;
    }
    let mut roles = Vec::new();
    for server in servers {
        let client = connect(&[&server.addr]).await.expect("the server answers");
        let id = client.self_id().await.expect("the server knows its id");
        let file = client
            .get(&format!("/ctl/node/{id}/writable"))
            .await
            .expect("it can be read");
        roles.push((file.is_none(), server));
    }
    roles.sort_by_key(|(is_slave, _)| *is_slave);
    roles.into_iter().map(|(_, server)| server).collect()
}
