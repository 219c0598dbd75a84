//! The ways in which the original stops for good, each on real processes: here they end well.
//!
//! The name service has two more, which are not here, as it is not there yet.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes and talks to them"
)]

mod processes;

use std::time::{Duration, Instant};

use doozer::client::{Client, Condition, Error};
use doozer::core::protocol::client::ErrorCode;
use doozer::status::{Health, State};
use processes::{Server, connect, free_port, guide_cluster};
use rustix::process::Signal;

/// How long something may take that takes moments on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(20);

async fn client(server: &Server) -> Client {
    connect(&[&server.addr]).await.expect("the server answers")
}

/// The slots that are held, by name, with their holders.
async fn slots(client: &Client) -> Vec<(String, String)> {
    let mut walk = client.walk_all("/ctl/cal/*").await.expect("it answers");
    let mut slots = Vec::new();
    while let Some(file) = walk.next().await.expect("the walk goes on") {
        let holder = String::from_utf8(file.value.to_vec()).expect("ids are text");
        slots.push((file.path, holder));
    }
    slots
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < PATIENCE, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn write_through_each(servers: &[Server]) {
    for server in servers {
        let client = client(server).await;
        for n in 0..100 {
            let path = format!("/w/{n}");
            let written = client.set(&path, "x", Condition::ALWAYS).await;
            written.expect("it takes writes");
        }
    }
}

fn detail(error: Error) -> String {
    match error {
        Error::Refused(refusal) if refusal.code == ErrorCode::Other => {
            refusal.detail.unwrap_or_default()
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn standbys_outlive_the_process_that_they_attached_to_and_one_takes_over() {
    let mut servers = guide_cluster(&["-timeout", "1"]).await;
    let standby = client(&servers[3]).await;
    let id = standby.self_id().await.expect("it answers");
    let first = servers
        .iter()
        .position(|s| s.addr.starts_with("127.0.0.1:"));
    let first = first.expect("there is one");
    servers[first].kill();
    until("the standby has taken over", async || {
        let slots = slots(&standby).await;
        slots.iter().any(|(_, holder)| *holder == id)
    })
    .await;
    servers.remove(first);
    assert!(servers.iter_mut().all(Server::is_alive));
    until("the standby takes writes", async || {
        standby.set("/probe", "x", Condition::ALWAYS).await.is_ok()
    })
    .await;
    write_through_each(&servers).await;
}

#[tokio::test]
async fn whoever_becomes_a_member_after_a_long_idle_time_puts_nobody_out() {
    let servers = guide_cluster(&["-timeout", "1"]).await;
    let first = client(&servers[0]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = slots(&first).await;
    let added = first.set("/ctl/cal/3", "", Condition::MISSING).await;
    added.expect("slots can be added");
    until("the standby has taken the slot", async || {
        slots(&first)
            .await
            .iter()
            .all(|(_, holder)| !holder.is_empty())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = slots(&first).await;
    assert_eq!(after.len(), 4);
    assert_eq!(after[..3], before);
    write_through_each(&servers).await;
}

#[tokio::test]
async fn members_that_come_back_from_a_loss_of_majority_stay_members_and_write_at_once() {
    let servers = guide_cluster(&["-timeout", "1", "-request-timeout", "1"]).await;
    let first = client(&servers[0]).await;
    let before = slots(&first).await;
    for server in &servers[1..3] {
        server.signal(Signal::STOP);
    }
    // What is queued meanwhile must not turn against them.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(4) {
        let refused = first.set("/probe", "x", Condition::ALWAYS).await;
        let text = detail(refused.expect_err("there is no majority"));
        assert!(
            text.starts_with("no majority of the members answered"),
            "{text}"
        );
    }
    for server in &servers[1..3] {
        server.signal(Signal::CONT);
    }
    let begin = Instant::now();
    until("writes go on", async || {
        first.set("/probe", "y", Condition::ALWAYS).await.is_ok()
    })
    .await;
    // The original took as long again as the majority was missing.
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(slots(&first).await, before);
    write_through_each(&servers[..3]).await;
}

#[tokio::test]
async fn values_of_any_size_are_taken_or_refused_and_stop_nobody() {
    let servers = guide_cluster(&[]).await;
    let before = slots(&client(&servers[0]).await).await;
    for server in &servers[..3] {
        let client = client(server).await;
        for size in [3_000, 65_536, 1 << 20] {
            let written = client
                .set("/large", vec![b'x'; size], Condition::ALWAYS)
                .await;
            written.expect("it is taken");
        }
        let refused = client.set("/large", vec![b'x'; (1 << 20) + 1], Condition::ALWAYS);
        let text = detail(refused.await.expect_err("it is too large"));
        assert!(text.contains("at most 1048576 are taken"), "{text}");
    }
    write_through_each(&servers[..3]).await;
    assert_eq!(slots(&client(&servers[0]).await).await, before);
}

#[tokio::test]
async fn a_process_started_again_at_its_address_takes_the_place_of_its_former_self() {
    let arguments = ["-timeout", "1"];
    let mut servers = guide_cluster(&arguments).await;
    let first = client(&servers[0]).await;
    // Nobody else shall take the slot.
    servers.pop().expect("the standby").kill();
    let former = client(&servers[2])
        .await
        .self_id()
        .await
        .expect("it answers");
    let addr = servers[2].addr.clone();
    servers[2].kill();
    let attach = servers[0].addr.clone();
    servers[2] = Server::start(&addr, &["-timeout", "1", "-a", &attach]).await;
    let again = client(&servers[2]).await;
    let id = again.self_id().await.expect("it answers");
    assert_ne!(id, former);
    until("it has a slot", async || {
        let slots = slots(&first).await;
        slots.iter().any(|(_, holder)| *holder == id)
    })
    .await;
    let file = first.get(&format!("/ctl/node/{id}/addr")).await;
    let file = file.expect("it answers").expect("it is registered");
    assert_eq!(file.value, addr);
    until("its former self is forgotten", async || {
        let path = format!("/ctl/node/{former}/addr");
        matches!(first.get(&path).await, Ok(None))
    })
    .await;
    write_through_each(&servers[..2]).await;
    until("it takes writes", async || {
        again.set("/probe", "x", Condition::ALWAYS).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn nothing_that_clients_write_to_ctl_stops_writes() {
    let port = free_port();
    let alone = vec![Server::start(&format!("127.0.0.1:{port}"), &[]).await];
    for servers in [alone, guide_cluster(&[]).await] {
        let members = servers.len().min(3);
        let first = client(&servers[0]).await;
        let before = slots(&first).await;
        let set = async |path: &str, value: &'static str| {
            let refused = first.set(path, value, Condition::ALWAYS).await;
            detail(refused.expect_err("it must not be"))
        };
        for value in ["bogus", "AAAAAAAAAAAAAAAA", "\u{1f600}", " "] {
            for slot in ["/ctl/cal/0", "/ctl/cal/9"] {
                let text = set(slot, value).await;
                assert!(
                    text.contains("takes the id of an attached process")
                        || text.contains("no connection to"),
                    "{text}"
                );
            }
        }
        for (_, id) in &before {
            for name in ["addr", "writable", "applied", "hostname", "version"] {
                let path = format!("/ctl/node/{id}/{name}");
                let text = set(&path, "127.0.0.1:1").await;
                assert!(text.contains("belongs to the servers"), "{text}");
                let refused = first.del(&path, Condition::ALWAYS).await;
                let text = detail(refused.expect_err("it must stay"));
                assert!(text.contains("belongs to"), "{text}");
            }
        }
        let text = set("/ctl/name", "other").await;
        assert!(text.contains("does not change"), "{text}");
        // Deleting a slot that never was makes none.
        let deleted = first.del("/ctl/cal/9", Condition::ALWAYS).await;
        deleted.expect("a missing file is deleted already");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(slots(&first).await, before);
        write_through_each(&servers[..members]).await;
    }
}

#[tokio::test]
async fn of_two_members_either_may_leave_and_the_loss_of_one_is_told() {
    let arguments = ["-request-timeout", "1"];
    let port = free_port();
    let first_addr = format!("127.0.0.1:{port}");
    let first = Server::start(&first_addr, &arguments).await;
    let writer = client(&first).await;
    for loses in [false, true] {
        let addr = format!("127.0.0.2:{port}");
        let mut second = Server::start(&addr, &["-request-timeout", "1", "-a", &first_addr]).await;
        let id = client(&second).await.self_id().await.expect("it answers");
        if !loses {
            let added = writer.set("/ctl/cal/1", "", Condition::MISSING).await;
            added.expect("slots can be added");
        }
        until("there are two members", async || {
            matches!(
                writer.get(&format!("/ctl/node/{id}/writable")).await,
                Ok(Some(_))
            )
        })
        .await;
        if !loses {
            second.signal(Signal::TERM);
            assert_eq!(second.wait(), Some(0));
            let written = writer.set("/probe", "left", Condition::ALWAYS).await;
            written.expect("the one that is left is the majority");
            continue;
        }
        second.kill();
        let refused = writer.set("/probe", "lost", Condition::ALWAYS).await;
        let text = detail(refused.expect_err("there is no majority"));
        assert!(text.contains("may or may not take effect"), "{text}");
        let read = writer.local(true).get("/probe").await;
        assert_eq!(
            read.expect("it answers").expect("it is there").value,
            "left"
        );
        let uri = first_addr.parse().expect("an address");
        let status = doozer::client::status(&uri, None)
            .await
            .expect("it answers");
        assert_eq!(status.health, Health::Lost);
        assert!(
            status.summary.contains("FOR GOOD: 1 of 2"),
            "{}",
            status.summary
        );
        let states: Vec<State> = status.processes.iter().map(|one| one.state).collect();
        assert_eq!(states, [State::CutOff, State::Gone]);
    }
}

#[tokio::test]
async fn pulses_that_are_hours_apart_hinder_nobody() {
    let begin = Instant::now();
    let servers = guide_cluster(&["-pulse", "100000"]).await;
    write_through_each(&servers[..3]).await;
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn load_through_one_member_freezes_nobody() {
    const WRITERS: usize = 64;
    let servers = guide_cluster(&["-timeout", "1"]).await;
    let busy = client(&servers[1]).await;
    let before = slots(&busy).await;
    let end = Instant::now() + Duration::from_secs(4);
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let busy = busy.clone();
        writers.push(tokio::spawn(async move {
            let path = format!("/busy/{writer}");
            while Instant::now() < end {
                let written = busy.set(&path, "x", Condition::ALWAYS).await;
                written.expect("it takes writes");
            }
        }));
    }
    let mut slowest = Duration::ZERO;
    while Instant::now() < end {
        for server in [&servers[0], &servers[2]] {
            let begin = Instant::now();
            let written = client(server)
                .await
                .set("/idle", "x", Condition::ALWAYS)
                .await;
            written.expect("it takes writes");
            slowest = slowest.max(begin.elapsed());
        }
    }
    for writer in writers {
        writer.await.expect("the writer ends");
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert_eq!(slots(&busy).await, before);
}

#[tokio::test]
async fn files_beside_a_file_do_not_make_it_slow_to_write() {
    const FILES: usize = 20_000;
    const AT_A_TIME: usize = 500;
    let port = free_port();
    let server = Server::start(&format!("127.0.0.1:{port}"), &[]).await;
    let client = client(&server).await;
    let time = async || {
        let begin = Instant::now();
        for n in 0..300 {
            let path = format!("/d/{n}");
            client
                .set(&path, "y", Condition::ALWAYS)
                .await
                .expect("it is taken");
        }
        begin.elapsed()
    };
    let few = time().await;
    for first in (0..FILES).step_by(AT_A_TIME) {
        let mut writes = tokio::task::JoinSet::new();
        for n in first..first + AT_A_TIME {
            let client = client.clone();
            writes.spawn(async move {
                let path = format!("/d/{n}");
                client.set(&path, "x", Condition::ALWAYS).await
            });
        }
        for written in writes.join_all().await {
            written.expect("it is taken");
        }
    }
    let many = time().await;
    assert!(
        many < few * 5 + Duration::from_millis(200),
        "{few:?}, then {many:?}"
    );
}
