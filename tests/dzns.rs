//! The name service on real processes: the clustering guide's second walk-through, and what becomes
//! of it when processes come and go.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes and talks to them"
)]

#[path = "processes/logged.rs"]
mod logged;
mod processes;

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use doozer::client::{Client, Condition, Options, Uri};
use logged::Logged;
use processes::{Server, connect, free_port, guide_cluster};

/// Rounds of the walk-through, one after the other with the same name and addresses.
const ROUNDS: u32 = 20;

/// The environment variable that changes how many it are.
const ROUNDS_VARIABLE: &str = "DOOZER_DZNS_ROUNDS";

/// How long anything may take. Far more than it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a process of the cluster "example".
fn example(addr: &str, boot_uri: &str) -> Logged {
    let arguments = ["-c", "example", "-timeout", "2"];
    Logged::start(addr, &arguments, &[("DOOZER_BOOT_URI", boot_uri)])
}

/// A name service of its own, and a port that nobody uses.
struct Names {
    servers: Vec<Server>,
    client: Client,
    port: u16,
}

impl Names {
    async fn start() -> Names {
        let servers = guide_cluster(&["-timeout", "2"]).await;
        let members: Vec<&str> = servers[..3].iter().map(|one| one.addr.as_str()).collect();
        let client = connect(&members).await.expect("it answers");
        let port = free_port();
        Names {
            servers,
            client,
            port,
        }
    }

    /// The three members, as the guide has them.
    fn uri(&self) -> String {
        let members = self.servers[..3].iter().map(|one| &one.addr);
        let parameters: Vec<String> = members.map(|addr| format!("ca={addr}")).collect();
        format!("doozer:?{}", parameters.join("&"))
    }

    fn addr(&self, n: u8) -> String {
        format!("127.0.0.{n}:{}", self.port)
    }

    /// Starts a process of the cluster.
    fn example(&self, n: u8) -> Logged {
        example(&self.addr(n), &self.uri())
    }

    /// What is registered: files, and the addresses in them.
    async fn registered(&self) -> BTreeMap<String, String> {
        files(&self.client, "/ctl/ns/example/*").await
    }

    async fn founder(&self) -> Option<String> {
        let file = self.client.get("/ctl/boot/example").await;
        let file = file.expect("it answers")?;
        Some(String::from_utf8_lossy(&file.value).into_owned())
    }

    /// A client that looks the cluster up.
    async fn lookup(&self) -> Result<Client, doozer::client::Error> {
        let cluster: Uri = "doozer:?cn=example".parse().expect("a URI");
        let service: Uri = self.uri().parse().expect("a URI");
        Client::connect_with(&cluster, Some(&service), Options::default()).await
    }

    async fn await_lookup(&self) -> Client {
        let begin = Instant::now();
        loop {
            match self.lookup().await {
                Ok(client) => return client,
                Err(error) => assert!(begin.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until exactly these are registered.
    async fn await_registered(&self, expected: &[String]) {
        let mut expected = expected.to_vec();
        expected.sort();
        let begin = Instant::now();
        loop {
            let mut found: Vec<String> = self.registered().await.into_values().collect();
            found.sort();
            if found == expected {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{found:?} and not {expected:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// An address where connections come about and nobody ever says anything.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let addr = listener.local_addr().expect("it is bound").to_string();
    (listener, addr)
}

/// The files that match, and their values.
async fn files(client: &Client, pattern: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut walk = client.walk_all(pattern).await.expect("it answers");
    while let Some(entry) = walk.next().await.expect("the walk goes on") {
        let value = String::from_utf8_lossy(&entry.value).into_owned();
        files.insert(entry.path, value);
    }
    files
}

/// The addresses of the members, as the cluster itself knows them.
async fn members(client: &Client) -> Vec<String> {
    let mut members = Vec::new();
    for id in files(client, "/ctl/cal/*").await.into_values() {
        if !id.is_empty() {
            let addr = client.get(&format!("/ctl/node/{id}/addr")).await;
            let addr = addr.expect("it answers").expect("members are registered");
            members.push(String::from_utf8_lossy(&addr.value).into_owned());
        }
    }
    members
}

async fn await_members(client: &Client, count: usize) -> Vec<String> {
    let begin = Instant::now();
    loop {
        let members = members(client).await;
        if members.len() == count {
            return members;
        }
        assert!(begin.elapsed() < PATIENCE, "members: {members:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until all processes serve the same cluster.
async fn await_processes(processes: &[Logged]) {
    let begin = Instant::now();
    for process in processes {
        loop {
            if let Ok(client) = connect(&[&process.addr]).await
                && let Ok(own) = client.within(Duration::from_secs(5)).self_id().await
            {
                let known = files(&client, "/ctl/node/*/addr").await.len();
                assert!(known <= processes.len(), "{own}: too many processes");
                if known == processes.len() {
                    break;
                }
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "{}: {}",
                process.addr,
                process.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The guide: four processes at the same moment, and two slots.
async fn walk_through(names: &Names) -> Vec<Logged> {
    let processes: Vec<Logged> = (11..=14).map(|n| names.example(n)).collect();
    await_processes(&processes).await;
    let client = names.await_lookup().await;
    for slot in ["/ctl/cal/1", "/ctl/cal/2"] {
        let set = client.set(slot, "", Condition::MISSING).await;
        set.expect("slots can be added");
    }
    let members = await_members(&client, 3).await;
    names.await_registered(&members).await;
    processes
}

#[tokio::test]
async fn four_processes_at_once_make_one_cluster_again_and_again() {
    let rounds = std::env::var(ROUNDS_VARIABLE).ok();
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().expect("a number of rounds"));
    let names = Names::start().await;
    for round in 0..rounds {
        let mut processes = walk_through(&names).await;
        let logs: Vec<String> = processes.iter().map(Logged::log).collect();
        let founded = |log: &&String| log.contains("member in /ctl/cal/0");
        assert!(logs.iter().filter(founded).count() <= 1, "{logs:?}");
        let registered = names.registered().await;
        let founder = names.founder().await.expect("somebody founded it");
        let file = format!("/ctl/ns/example/{founder}");
        assert!(registered.contains_key(&file), "{file}: {registered:?}");
        // Each end comes in turn: in an orderly way, and not.
        if round % 2 == 0 {
            processes.iter().for_each(|process| process.signal("-TERM"));
            processes.iter_mut().for_each(Logged::ends_well);
            assert_eq!(names.registered().await, BTreeMap::new());
            assert_eq!(names.founder().await, None);
        } else {
            processes.iter_mut().for_each(Logged::kill);
            assert_eq!(
                names.registered().await,
                registered,
                "nobody was left to do it"
            );
        }
    }
}

#[tokio::test]
async fn what_is_registered_follows_the_membership() {
    let mut names = Names::start().await;
    let mut processes = walk_through(&names).await;
    let client = names.await_lookup().await;
    client.learn_members().await;
    let before = members(&client).await;
    let is_member = |process: &Logged| before.contains(&process.addr);
    let standby = processes.iter().position(|one| !is_member(one));
    let standby = processes.remove(standby.expect("one is a standby"));

    // Eviction and takeover: the standby is in the dead one's place.
    let mut dead = processes.remove(0);
    dead.kill();
    let dead = std::mem::take(&mut dead.addr);
    let mut expected: Vec<String> = processes.iter().map(|one| one.addr.clone()).collect();
    expected.push(standby.addr.clone());
    names.await_registered(&expected).await;

    // Leaving: the slot becomes vacant.
    let mut leaver = processes.remove(0);
    leaver.signal("-TERM");
    leaver.ends_well();
    expected.remove(0);
    names.await_registered(&expected).await;

    // What was written there by hand is put right.
    let stranger = "/ctl/ns/example/AAAAAAAAAAAAAAAA";
    let set = names.client.set(stranger, "127.0.0.1:1", Condition::ALWAYS);
    set.await.expect("it is written");
    let lost = names.registered().await;
    let lost = lost.iter().find(|(_, addr)| **addr == standby.addr);
    let lost = lost.expect("it is registered").0;
    let del = names.client.del(lost, Condition::ALWAYS).await;
    del.expect("it is deleted");
    names.await_registered(&expected).await;

    // A newcomer at the address of the dead one takes the vacancy.
    let newcomer = example(&dead, &names.uri());
    expected.push(newcomer.addr.clone());
    names.await_registered(&expected).await;
    let client = names.await_lookup().await;
    let set = client.set("/a", "x", Condition::ALWAYS).await;
    set.expect("the cluster takes writes");
    assert!(names.servers.iter_mut().all(Server::is_alive));
}

#[tokio::test]
async fn whoever_recovers_a_cluster_takes_its_name_along() {
    let names = Names::start().await;
    let mut processes = walk_through(&names).await;
    let client = names.await_lookup().await;
    let members = members(&client).await;
    let survivor = processes
        .iter()
        .position(|process| members.contains(&process.addr));
    let survivor = processes.remove(survivor.expect("members are processes"));
    for process in &processes {
        process.signal("-STOP");
    }
    survivor.says("the majority is lost").await;
    let at_survivor = connect(&[&survivor.addr]).await.expect("it answers");
    let recovered = at_survivor.recover(false, true).await;
    recovered.expect("it is done");
    let addr = survivor.addr.clone();
    names.await_registered(std::slice::from_ref(&addr)).await;
    let founder = names.founder().await.expect("there is one");
    assert!(
        names
            .registered()
            .await
            .contains_key(&format!("/ctl/ns/example/{founder}"))
    );

    // A majority of the old members wakes up, and leaves what is registered alone.
    for process in &processes {
        process.signal("-CONT");
    }
    for process in processes.iter().filter(|one| members.contains(&one.addr)) {
        process
            .says("the name belongs to another cluster, founded by")
            .await;
    }
    assert_eq!(names.founder().await, Some(founder));
    names.await_registered(&[addr]).await;
}

#[tokio::test]
async fn a_name_leads_past_the_dead() {
    let names = Names::start().await;
    // Somebody who is gone, and somebody who does not answer.
    let (_silent, addr) = silent();
    for (id, addr) in [
        ("AAAAAAAAAAAAAAAA", "127.0.0.1:1".to_owned()),
        ("BBBBBBBBBBBBBBBB", addr),
    ] {
        let file = format!("/ctl/ns/example/{id}");
        let set = names.client.set(&file, addr, Condition::ALWAYS).await;
        set.expect("it is written");
    }
    let first = names.example(11);
    await_processes(std::slice::from_ref(&first)).await;
    names.await_registered(&[names.addr(11)]).await;
    let client = names.await_lookup().await;
    let set = client.set("/a", "x", Condition::MISSING).await;
    set.expect("the cluster takes writes");

    // A lookup that finds such addresses goes on to one that answers.
    first.signal("-STOP");
    let (_silent, addr) = silent();
    for (id, addr) in [("A", "127.0.0.1:1".to_owned()), ("B", addr)] {
        let file = format!("/ctl/ns/example/{id}");
        let set = names.client.set(&file, addr, Condition::ALWAYS).await;
        set.expect("it is written");
    }
    let client = names.await_lookup().await;
    let answer = client.get("/a");
    let go_on = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        first.signal("-CONT");
    };
    let (answer, ()) = tokio::join!(answer, go_on);
    assert!(answer.expect("it answers").is_some());
}

#[tokio::test]
async fn a_founder_that_cannot_be_seen_is_waited_for() {
    let names = Names::start().await;
    // It stands still: that proves nothing.
    let (_silent, addr) = silent();
    let founder = "AAAAAAAAAAAAAAAA";
    let file = format!("/ctl/ns/example/{founder}");
    let set = names.client.set(&file, addr, Condition::ALWAYS);
    set.await.expect("it is written");
    let set = names
        .client
        .set("/ctl/boot/example", founder, Condition::ALWAYS);
    set.await.expect("it is written");
    let process = names.example(11);
    process
        .says("delete /ctl/boot/example in the name service")
        .await;
    assert_eq!(names.founder().await.as_deref(), Some(founder));
    let del = names
        .client
        .del("/ctl/boot/example", Condition::ALWAYS)
        .await;
    del.expect("it is deleted");
    await_processes(std::slice::from_ref(&process)).await;
    names
        .await_registered(std::slice::from_ref(&process.addr))
        .await;
}

#[tokio::test]
async fn a_name_service_that_is_down_is_waited_for_and_then_not_needed() {
    let port = free_port();
    let service = format!("127.0.0.1:{port}");
    let uri = format!("doozer:?ca={service}");
    let process = example(&format!("127.0.0.11:{port}"), &uri);
    process.says(&format!(
        "the name service at {service}: cannot reach {service}: connection refused; trying again"
    ))
    .await;
    assert!(
        TcpStream::connect(&process.addr).is_ok(),
        "it holds its address"
    );

    let mut server = Server::start(&service, &[]).await;
    await_processes(std::slice::from_ref(&process)).await;
    let names = connect(&[&service]).await.expect("it answers");
    assert_eq!(files(&names, "/ctl/ns/example/*").await.len(), 1);

    // It goes, and the cluster goes on.
    server.kill();
    process.says("cannot keep the name service at").await;
    let client = connect(&[&process.addr]).await.expect("it answers");
    let set = client.set("/a", "x", Condition::MISSING).await;
    set.expect("the cluster takes writes");

    // It comes back without its memory, and is told again.
    let _server = Server::start(&service, &[]).await;
    process.says("is up to date again").await;
    let names = connect(&[&service]).await.expect("it answers");
    assert_eq!(files(&names, "/ctl/ns/example/*").await.len(), 1);
    assert_eq!(files(&names, "/ctl/boot/*").await.len(), 1);
}

#[tokio::test]
async fn a_name_service_and_a_cluster_keep_a_secret_each() {
    let port = free_port();
    let service = format!("127.0.0.1:{port}");
    let secrets = [("DOOZER_RWSECRET", "sesame"), ("DOOZER_ROSECRET", "poppy")];
    let serves = Logged::start(&service, &[], &secrets);
    serves.says("ready").await;
    let uri = |secret: &str| format!("doozer:?ca={service}{secret}");
    let inner = |n: u8, uri: &str| {
        let variables = [
            ("DOOZER_BOOT_URI", uri),
            ("DOOZER_RWSECRET", "caraway"),
            ("DOOZER_ROSECRET", "cumin"),
        ];
        let addr = format!("127.0.0.{n}:{port}");
        Logged::start(&addr, &["-c", "example", "-timeout", "2"], &variables)
    };

    // The cluster's own secret does not open the name service, and no other one does.
    let denied = inner(11, &uri(""));
    denied.says("permission denied").await;
    let wrong = inner(12, &uri("&sk=wrong"));
    wrong.says("permission denied").await;
    assert!(!denied.log().contains("ready"), "it founds nothing");
    drop((denied, wrong));

    let processes: Vec<Logged> = (13..=15).map(|n| inner(n, &uri("&sk=sesame"))).collect();
    for process in &processes {
        process.says("ready").await;
        for secret in ["sesame", "caraway", "cumin"] {
            assert!(!process.log().contains(secret), "secrets stay out of logs");
        }
    }
    let lookup = async |cluster: &str, service: &str| {
        let cluster: Uri = format!("doozer:?cn=example{cluster}")
            .parse()
            .expect("a URI");
        let service: Uri = uri(service).parse().expect("a URI");
        Client::connect_with(&cluster, Some(&service), Options::default()).await
    };
    for (cluster, service) in [
        ("", "&sk=sesame"),
        ("&sk=sesame", "&sk=sesame"),
        ("&sk=caraway", ""),
        ("&sk=caraway", "&sk=caraway"),
    ] {
        let refused = match lookup(cluster, service).await {
            Ok(client) => client.get("/a").await.err(),
            Err(error) => Some(error),
        };
        let refused = refused.expect("a secret is wrong or missing").to_string();
        assert!(
            refused.contains("permission denied"),
            "{cluster}, {service}: {refused}"
        );
    }
    let client = lookup("&sk=caraway", "&sk=sesame")
        .await
        .expect("both are right");
    let set = client.set("/a", "x", Condition::MISSING).await;
    set.expect("the cluster takes writes");
    assert_eq!(files(&client, "/ctl/node/*/addr").await.len(), 3);
}
