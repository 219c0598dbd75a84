//! `doozer recover` on real processes: one survivor goes on, and the lost ones never come back.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes and talks to them"
)]

#[path = "processes/logged.rs"]
mod logged;

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use doozer::client::{Change, Client, Condition, Options, Uri};
use doozer::core::id::Rev;
use logged::Logged;

/// How long anything may take. Far more than it takes.
const PATIENCE: Duration = Duration::from_secs(20);

async fn client(process: &Logged) -> Client {
    let uri: Uri = process.addr.parse().expect("an address");
    let begin = Instant::now();
    loop {
        match Client::connect_with(&uri, None, Options::default()).await {
            Ok(client) => return client,
            Err(error) => assert!(begin.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn set(client: &Client, path: &str, value: &str) -> Rev {
    let value = value.to_owned();
    let set = client.set(path, value, Condition::ALWAYS).await;
    set.unwrap_or_else(|error| panic!("{path}: {error}"))
}

async fn value(client: &Client, path: &str) -> Option<String> {
    let file = client.get(path).await.expect("it answers");
    file.map(|file| String::from_utf8_lossy(&file.value).into_owned())
}

/// Three members.
async fn cluster() -> Vec<Logged> {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = socket.local_addr().expect("it is bound").port();
    drop(socket);
    let first = format!("127.0.0.21:{port}");
    let mut processes = vec![Logged::start(&first, &[], &[])];
    let client = client(&processes[0]).await;
    client.rev().await.expect("it answers");
    for n in [1, 2] {
        let addr = format!("127.0.0.{}:{port}", 21 + n);
        set(&client, &format!("/ctl/cal/{n}"), "").await;
        let process = Logged::start(&addr, &["-a", &first], &[]);
        process.says(&format!("member in /ctl/cal/{n}")).await;
        processes.push(process);
    }
    processes
}

/// `doozer recover`, with nobody at a terminal.
async fn recover(uri: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_doozer"))
        .args(["-a", uri, "recover"])
        .args(arguments)
        .env_remove("DOOZER_BOOT_URI")
        .stdin(Stdio::null())
        .output();
    let Output {
        status,
        stdout,
        stderr,
    } = output.expect("doozer can be run");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test]
async fn one_survivor_goes_on_and_the_lost_ones_never_come_back() {
    let mut processes = cluster().await;
    let survivor = processes.pop().expect("there are three");
    let uri = survivor.addr.clone();
    let at_survivor = client(&survivor).await;
    set(&at_survivor, "/a", "first").await;
    let first = set(&at_survivor, "/a", "second").await;
    let last = set(&at_survivor, "/a", "third").await;
    let mut watch = at_survivor.watch("/a", last.next());

    // With its majority nothing is lost.
    let (code, _, stderr) = recover(&uri, &["--yes"]).await;
    assert_eq!(code, Some(2));
    assert!(stderr.contains("there is nothing to recover"), "{stderr}");

    for process in &processes {
        process.signal("-STOP");
    }
    survivor
        .says("the majority is lost: 1 members are heard where 2")
        .await;
    survivor.says(&format!("doozer -a {uri} recover")).await;

    // Nobody is there to be asked, and of several processes it cannot be meant.
    let (code, _, stderr) = recover(&uri, &[]).await;
    assert_eq!(code, Some(2));
    assert!(stderr.contains("in generation 2, with"), "{stderr}");
    assert!(
        stderr.contains(&format!("at {} has been silent", processes[0].addr)),
        "{stderr}"
    );
    assert!(stderr.contains("give --yes"), "{stderr}");
    let (code, _, stderr) = recover(&format!("doozer:?ca={uri}&ca=127.0.0.1:1"), &["--yes"]).await;
    assert_eq!(code, Some(2));
    assert!(stderr.contains("about one process"), "{stderr}");
    assert!(!survivor.log().contains("making a new cluster"));

    let (code, stdout, stderr) = recover(&uri, &["--yes"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(
        stdout,
        format!("{uri} is the only member of the new cluster\n")
    );
    survivor.says("making a new cluster").await;

    // Contents, revisions and history are kept, and watches go on.
    let anew = client(&survivor).await;
    assert_eq!(value(&anew, "/a").await.as_deref(), Some("third"));
    assert_eq!(
        value(&anew.at(first), "/a").await.as_deref(),
        Some("second")
    );
    let next = set(&anew, "/a", "fourth").await;
    assert!(next > last);
    let event = watch.next().await.expect("the watch goes on");
    assert_eq!(
        (event.rev, event.change),
        (next, Change::Set("fourth".into()))
    );

    // Those who were away wake up. They are a majority of the cluster that was, and stay it.
    for process in &processes {
        process.signal("-CONT");
    }
    for process in &processes {
        process.says("it belongs to generation 2, founded by").await;
    }
    survivor
        .says("it belongs to generation 1, founded by")
        .await;
    let of_old = client(&processes[0]).await;
    set(&of_old, "/old", "x").await;
    set(&anew, "/new", "x").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(value(&of_old, "/new").await, None);
    assert_eq!(value(&anew, "/old").await, None);

    // A newcomer takes one of the vacant slots, and belongs to the new cluster for good.
    let mut lost = processes.remove(0);
    lost.kill();
    let addr = lost.addr.clone();
    let mut newcomer = Logged::start(&addr, &["-a", &uri], &[]);
    newcomer.says("member in /ctl/cal/").await;
    let at_newcomer = client(&newcomer).await;
    assert_eq!(value(&at_newcomer, "/new").await.as_deref(), Some("x"));
    assert_eq!(value(&at_newcomer, "/old").await, None);
    newcomer.signal("-TERM");
    newcomer.ends_well();
    set(&anew, "/new", "y").await;
}
