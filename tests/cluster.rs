//! The original's clustering guide on real processes: three members and a slave.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes and talks to them"
)]

mod processes;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use doozer::client::{Change, Client, Condition, Error, File};
use processes::{Server, connect, guide_cluster};

async fn client(server: &Server) -> Client {
    connect(&[&server.addr]).await.expect("the server answers")
}

/// The whole tree of a node, at a revision.
async fn tree(client: &Client, rev: doozer::core::id::Rev) -> Vec<(String, u64, Vec<u8>)> {
    let mut walk = client
        .at(rev)
        .walk_all("/**")
        .await
        .expect("the tree can be walked");
    let mut files = Vec::new();
    while let Some(entry) = walk.next().await.expect("the walk goes on") {
        files.push((entry.path.to_string(), entry.rev.0, entry.value.to_vec()));
    }
    files
}

#[tokio::test]
async fn every_member_and_the_slave_show_the_same_tree_and_revisions() {
    let servers = guide_cluster(&[]).await;
    for (n, server) in servers.iter().take(3).enumerate() {
        let path = format!("/message/{n}");
        client(server)
            .await
            .set(&path, "hello", Condition::MISSING)
            .await
            .expect("members write");
    }
    // The slave takes no writes; the client finds a member by itself.
    let through_slave = client(&servers[3]).await;
    through_slave
        .set("/message/3", "hello", Condition::MISSING)
        .await
        .expect("members write");
    let rev = client(&servers[0]).await.rev().await.expect("it answers");
    let mut trees = Vec::new();
    for server in &servers {
        trees.push(tree(&client(server).await, rev).await);
    }
    assert!(trees[0].iter().any(|(path, ..)| path == "/message/3"));
    assert!(trees.iter().all(|tree| *tree == trees[0]));
}

#[tokio::test]
async fn a_watch_on_one_node_sees_all_writes_through_the_others_in_order_and_once() {
    const WRITES: usize = 1000;
    let servers = guide_cluster(&[]).await;
    for watching in [&servers[0], &servers[3]] {
        let watcher = client(watching).await;
        let from = watcher.rev().await.expect("it answers").next();
        let mut events = watcher.watch("/w/*", from);
        let mut writers = Vec::new();
        for server in &servers[1..3] {
            let client = client(server).await;
            writers.push(tokio::spawn(async move {
                let mut revs = Vec::new();
                for n in 0..WRITES / 2 {
                    let path = format!("/w/{}", n % 7);
                    let set = client.set(&path, n.to_string(), Condition::ALWAYS).await;
                    revs.push(set.expect("members write"));
                }
                revs
            }));
        }
        let mut seen = Vec::new();
        while seen.len() < WRITES {
            let event = events.next().await.expect("the watch goes on");
            assert!(matches!(event.change, Change::Set(_)));
            seen.push(event.rev);
        }
        let mut written = Vec::new();
        for writer in writers {
            written.extend(writer.await.expect("the writer ends"));
        }
        written.sort_unstable();
        assert_eq!(seen, written);
    }
}

#[tokio::test]
async fn compare_and_set_from_three_nodes_at_once_ends_at_the_exact_sum() {
    const INCREMENTS: u64 = 100;
    let servers = guide_cluster(&[]).await;
    let first = client(&servers[0]).await;
    first
        .set("/counter", "0", Condition::MISSING)
        .await
        .expect("it is created");
    let mut writers = Vec::new();
    for server in &servers[..3] {
        let client = client(server).await;
        writers.push(tokio::spawn(async move {
            let mut done = 0;
            while done < INCREMENTS {
                let File { value, rev } = client
                    .get("/counter")
                    .await
                    .expect("it answers")
                    .expect("it exists");
                let count: u64 = std::str::from_utf8(&value).unwrap().parse().unwrap();
                let next = (count + 1).to_string();
                match client.set("/counter", next, rev.into()).await {
                    Ok(_) => done += 1,
                    Err(Error::Refused(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }));
    }
    for writer in writers {
        writer.await.expect("the writer ends");
    }
    let file = first
        .get("/counter")
        .await
        .expect("it answers")
        .expect("it exists");
    assert_eq!(file.value, (3 * INCREMENTS).to_string());
}

#[tokio::test]
async fn writes_go_on_when_a_member_and_the_slave_are_killed() {
    let mut servers = guide_cluster(&[]).await;
    servers[3].kill();
    let (left, right) = (client(&servers[0]).await, client(&servers[2]).await);
    for n in 0..50 {
        left.set(&format!("/before/{n}"), "x", Condition::ALWAYS)
            .await
            .expect("it goes on");
    }
    servers[1].kill();
    let mut slowest = Duration::ZERO;
    for n in 0..200 {
        for client in [&left, &right] {
            let begin = Instant::now();
            client
                .set(&format!("/after/{n}"), "x", Condition::ALWAYS)
                .await
                .expect("it goes on");
            slowest = slowest.max(begin.elapsed());
        }
    }
    // Far above what it takes on a quiet machine, and below any election.
    assert!(
        slowest < Duration::from_secs(1),
        "the slowest write took {slowest:?}"
    );
    assert!(servers[0].is_alive() && servers[2].is_alive());
    let names: BTreeSet<String> = tree(&left, left.rev().await.expect("it answers"))
        .await
        .into_iter()
        .map(|(path, ..)| path)
        .collect();
    assert!((0..200).all(|n| names.contains(&format!("/after/{n}"))));
}
