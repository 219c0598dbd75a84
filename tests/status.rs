//! `doozer status` and `doozer member` against real processes. What they print is in the fire
//! drills; here is what these do not come to.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes and talks to them"
)]

mod processes;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use doozer::status::{Health, Role, State, Status};
use processes::{Server, free_port, guide_cluster};

struct Done {
    out: String,
    err: String,
    code: Option<i32>,
}

fn doozer(addr: &str, args: &[&str]) -> Done {
    let output = Command::new(env!("CARGO_BIN_EXE_doozer"))
        .args(args)
        .env("DOOZER_URI", addr)
        .env_remove("DOOZER_BOOT_URI")
        .stdin(Stdio::null())
        .output()
        .expect("doozer runs");
    Done {
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
        code: output.status.code(),
    }
}

fn status(addr: &str) -> (Status, Option<i32>) {
    let done = doozer(addr, &["status", "--json"]);
    let status = serde_json::from_str(&done.out);
    let status = status.unwrap_or_else(|error| panic!("{error}: {}{}", done.out, done.err));
    (status, done.code)
}

/// Asks until the cluster is as it should be: things take their moments.
fn await_status(addr: &str, is_so: impl Fn(&Status) -> bool) -> (Status, Option<i32>) {
    let begin = Instant::now();
    loop {
        let (status, code) = status(addr);
        if is_so(&status) {
            return (status, code);
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{status:?}");
    }
}

/// Asserts that a command fails with these words in its error.
fn fails(addr: &str, args: &[&str], words: &str) {
    let done = doozer(addr, args);
    assert_eq!(done.code, Some(2), "{args:?}: {}{}", done.out, done.err);
    assert!(done.err.contains(words), "{args:?}: {}", done.err);
    assert_eq!(done.out, "");
}

#[tokio::test]
async fn any_node_tells_the_same() {
    let servers = guide_cluster(&[]).await;
    let is_well = |status: &Status| status.health == Health::Healthy;
    await_status(&servers[0].addr, is_well);
    let mut pictures = Vec::new();
    for server in &servers {
        let (status, code) = status(&server.addr);
        assert_eq!(
            (status.health, code),
            (Health::Healthy, Some(0)),
            "{status:?}"
        );
        assert_eq!((status.cluster.as_str(), status.may_fail), ("local", 1));
        assert_eq!(status.members().count(), 3);
        assert_eq!(status.standbys().count(), 1);
        assert!(status.processes.iter().filter(|one| one.owner).count() >= 2);
        for one in &status.processes {
            assert_eq!(one.state, State::Up, "{one:?}");
            assert_eq!(one.version, env!("CARGO_PKG_VERSION"));
            assert!(one.uptime_ms.is_some_and(|ms| ms < 60_000), "{one:?}");
            assert!(one.heard_ms.is_some_and(|ms| ms < 1_000), "{one:?}");
            assert!(
                one.lag < 1_000 && one.rev.is_some_and(|rev| rev > 10),
                "{one:?}"
            );
        }
        let named = status.processes.iter();
        let named = named.map(|one| (one.id.clone(), one.slot.clone(), one.addr.clone()));
        pictures.push(named.collect::<Vec<_>>());
    }
    assert!(pictures.iter().all(|picture| *picture == pictures[0]));
}

#[tokio::test]
async fn a_stranger_at_the_address_of_a_member_is_not_taken_for_it() {
    let mut servers = guide_cluster(&[]).await;
    let addr = servers[1].addr.clone();
    servers[1].kill();
    // Somebody forgets -a, and founds another cluster of the same name.
    servers[1] = Server::start(&addr, &[]).await;
    let (seen, code) = await_status(&servers[0].addr, |status| {
        status.processes.iter().any(|one| one.state == State::Gone)
    });
    assert_eq!((seen.health, code), (Health::Degraded, Some(1)));
    let gone = seen.members().find(|one| one.state == State::Gone);
    let note = gone.and_then(|gone| gone.note.clone()).unwrap_or_default();
    assert!(
        note.starts_with("another process has its address"),
        "{note}"
    );
    assert!(
        seen.problems
            .iter()
            .any(|text| text.contains("another cluster"))
    );
    assert_eq!(seen.members().count(), 3);
}

#[tokio::test]
async fn members_are_added_and_removed_by_name_and_mistakes_are_told() {
    let port = free_port();
    let first = format!("127.0.0.1:{port}");
    let _first = Server::start(&first, &[]).await;
    fails(&first, &["member", "remove", "0"], "the only member");
    fails(
        &first,
        &["member", "remove", &first],
        "no other process could take slot 0",
    );
    fails(&first, &["member", "remove", "nosuch"], "is no slot");
    fails(&first, &["member", "remove"], "name the slot");
    fails(&first, &["member", "list", "0"], "leave out \"0\"");
    fails(&first, &["member", "add", "0"], "there is a slot 0 already");
    fails(&first, &["member", "add", "a_b"], "BAD_PATH");
    let added = doozer(&first, &["member", "add", "spare"]);
    assert!(
        added.out.starts_with("slot spare added, and vacant"),
        "{}",
        added.err
    );
    let (vacant, code) = status(&first);
    assert_eq!((vacant.health, code), (Health::Degraded, Some(1)));
    assert_eq!(vacant.vacancies, ["spare"]);
    let second = format!("127.0.0.2:{port}");
    let mut server = Server::start(&second, &["-a", &first]).await;
    let (full, _) = await_status(&first, |status| status.vacancies.is_empty());
    assert_eq!(full.members().count(), 2);
    let removed = doozer(&first, &["member", "remove", "spare", "--json"]);
    assert_eq!(removed.out, "{\"slot\":\"spare\"}\n", "{}", removed.err);
    let (alone, _) = await_status(&first, |status| status.members().count() == 1);
    assert_eq!(alone.standbys().count(), 1);
    // A standby that runs is stopped by those who started it; what a dead one left can go.
    fails(&first, &["member", "remove", &second], "and running");
    server.kill();
    let removed = doozer(&first, &["member", "remove", &second]);
    assert_eq!(
        removed.out,
        format!("{second} removed; it held no slot\n"),
        "{}",
        removed.err
    );
    let (alone, code) = status(&first);
    assert_eq!((alone.processes.len(), code), (1, Some(0)));
}

#[tokio::test]
async fn what_costs_the_majority_is_refused_unless_forced() {
    let mut servers = guide_cluster(&["-request-timeout", "1"]).await;
    let first = servers[0].addr.clone();
    servers.pop().expect("the standby").kill();
    servers[2].kill();
    let (seen, _) = await_status(&first, |status| {
        let dead = status.members().filter(|one| one.state == State::Gone);
        dead.count() == 1
    });
    let alive = seen.members().find(|one| one.addr == servers[1].addr);
    let slot = alive
        .and_then(|alive| alive.slot.clone())
        .expect("it is a member");
    fails(
        &first,
        &["member", "remove", &slot],
        "--force does it all the same",
    );
    assert_eq!(status(&first).0.members().count(), 3);
    let forced = doozer(&first, &["member", "remove", &slot, "--force"]);
    assert_eq!(forced.code, Some(0), "{}", forced.err);
    // It was told so: the two that are members now need each other, and one of them is dead.
    let (lost, code) = await_status(&first, |status| status.health == Health::Lost);
    assert_eq!(code, Some(4));
    assert_eq!(
        lost.members()
            .filter(|one| one.role == Role::Member)
            .count(),
        2
    );
}

#[test]
fn nobody_there_has_an_exit_code_of_its_own() {
    let addr = format!("127.0.0.1:{}", free_port());
    for args in [&["status"][..], &["status", "--json"], &["member", "list"]] {
        fails(&addr, args, "connection refused");
    }
}
