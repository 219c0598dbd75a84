//! The client library against servers that misbehave.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests with real sockets"
)]

mod fake;

use std::time::Duration;

use doozer::client::{Change, Client, Condition, Entry, Error, File, Options, Stat};
use doozer::core::id::Rev;
use doozer::core::protocol::client::{ErrorCode, Restoration, Verb};
use fake::{Cluster, Mood, Server};

async fn to(servers: &[&Server]) -> Client {
    let addresses: Vec<String> = servers
        .iter()
        .map(|server| format!("ca={}", server.addr))
        .collect();
    Client::connect(&format!("doozer:?{}", addresses.join("&")))
        .await
        .unwrap()
}

fn refused(error: Error) -> ErrorCode {
    match error {
        Error::Refused(refusal) => refusal.code,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn verbs_give_typed_results() {
    let cluster = Cluster::new();
    let server = Server::start(&cluster, Mood::Member);
    let client = to(&[&server]).await;
    assert_eq!(client.get("/a").await, Ok(None));
    assert_eq!(client.stat("/a").await, Ok(Stat::Missing));
    let rev = client.set("/a/b", "one", Condition::MISSING).await.unwrap();
    assert_eq!(rev, Rev(1));
    let value = "one".into();
    assert_eq!(client.get("/a/b").await, Ok(Some(File { rev, value })));
    assert_eq!(client.stat("/a/b").await, Ok(Stat::File { rev, len: 3 }));
    assert_eq!(client.stat("/a").await, Ok(Stat::Dir { entries: 1 }));
    assert_eq!(client.getdir("/a", 0).await, Ok(Some("b".to_owned())));
    assert_eq!(client.getdir("/a", 1).await, Ok(None));
    let (path, value) = ("/a/b".to_owned(), "one".into());
    assert_eq!(
        client.walk("/**", 0).await,
        Ok(Some(Entry { path, rev, value }))
    );
    assert_eq!(client.walk("/**", 1).await, Ok(None));
    client.del("/a/b", rev.into()).await.unwrap();
    client.nop().await.unwrap();
    assert_eq!(client.rev().await, Ok(Rev(3)));
    let changes = [client.wait("/a/**", Rev(1)), client.wait("/a/**", Rev(2))];
    let [set, del] = changes;
    assert_eq!(set.await.unwrap().change, Change::Set("one".into()));
    assert_eq!(del.await.unwrap().change, Change::Del);
    assert_eq!(client.wait("/", Rev(1)).await.unwrap().change, Change::Nop);
    assert_eq!(client.self_id().await.unwrap().len(), 16);
    client.access("").await.unwrap();
}

#[tokio::test]
async fn reads_carry_the_revision_and_the_local_field_that_were_asked_for() {
    let cluster = Cluster::of(&[("/a", "1")]);
    let server = Server::start(&cluster, Mood::Member);
    let client = to(&[&server]).await;
    client.get("/a").await.unwrap();
    client.local(true).at(Rev(1)).get("/a").await.unwrap();
    let fields: Vec<_> = cluster
        .seen(Verb::Get)
        .iter()
        .map(|get| (get.rev, get.local))
        .collect();
    assert_eq!(fields, [(None, None), (Some(1), Some(true))]);
}

#[tokio::test]
async fn lists_of_the_present_begin_with_a_read_that_is_not_local() {
    let cluster = Cluster::of(&[("/d/a", "1")]);
    let server = Server::start(&cluster, Mood::Member);
    let client = to(&[&server]).await;
    let mut names = client.names("/d").await.unwrap();
    assert_eq!(names.next().await.unwrap().as_deref(), Some("a"));
    client.walk_all("/d/*").await.unwrap();
    let reads = |cluster: &Cluster| {
        let seen = cluster.seen(Verb::Stat);
        seen.iter()
            .map(|stat| (stat.rev, stat.local))
            .collect::<Vec<_>>()
    };
    assert_eq!(reads(&cluster), [(None, None); 2]);
    client.local(true).names("/d").await.unwrap();
    client.at(Rev(1)).names("/d").await.unwrap();
    assert_eq!(reads(&cluster).len(), 2, "these need no majority");
}

#[tokio::test]
async fn a_refusal_names_the_path_and_the_revisions() {
    let cluster = Cluster::of(&[("/x", "1"), ("/d/f", "2")]);
    let server = Server::start(&cluster, Mood::Member);
    let client = to(&[&server]).await;
    let error = client.set("/x", "2", Condition::MISSING).await.unwrap_err();
    assert_eq!(error.to_string(), "REV_MISMATCH: /x exists already");
    let error = client.explain(error).await;
    assert_eq!(
        error.to_string(),
        "REV_MISMATCH: /x is at rev 1, you gave 0"
    );
    let error = client.get("/d").await.unwrap_err();
    assert_eq!(error.to_string(), "ISDIR: /d is a directory");
    let error = client
        .set("/x/y", "2", Condition::ALWAYS)
        .await
        .unwrap_err();
    assert_eq!(refused(error), ErrorCode::Notdir);
    let error = client.wait("/_", Rev(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "OTHER: invalid glob pattern: /_");
}

#[tokio::test]
async fn every_address_is_tried() {
    let cluster = Cluster::of(&[("/a", "1")]);
    let gone = Server::start(&cluster, Mood::Member).addr;
    let server = Server::start(&cluster, Mood::Member);
    let uri = format!("doozer:?ca={gone}&ca={}", server.addr);
    let client = Client::connect(&uri).await.unwrap();
    assert!(client.get("/a").await.unwrap().is_some());

    let error = Client::connect(&gone.to_string()).await.err().unwrap();
    let expected = format!("cannot reach {gone}: connection refused");
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_read_moves_on_when_its_connection_breaks() {
    let cluster = Cluster::of(&[("/a", "1")]);
    let broken = Server::start(&cluster, Mood::DropsAfter(Verb::Get));
    let server = Server::start(&cluster, Mood::Member);
    let client = to(&[&broken, &server]).await;
    assert!(client.get("/a").await.unwrap().is_some());
    assert_eq!(cluster.seen(Verb::Get).len(), 2);
}

#[tokio::test]
async fn a_write_that_was_sent_and_not_answered_is_not_repeated() {
    let cluster = Cluster::new();
    let broken = Server::start(&cluster, Mood::DropsAfter(Verb::Set));
    let server = Server::start(&cluster, Mood::Member);
    let client = to(&[&broken, &server]).await;
    let error = client.set("/a", "1", Condition::ALWAYS).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("outcome unknown: SET /a was sent to"),
        "{error}"
    );
    assert_eq!(cluster.seen(Verb::Set).len(), 1);
    // The next one goes elsewhere.
    client.set("/a", "2", Condition::ALWAYS).await.unwrap();
    assert_eq!(
        client.connected_to().await.unwrap().as_str(),
        server.addr.to_string()
    );
}

#[tokio::test]
async fn a_write_whose_outcome_the_server_does_not_know_is_unknown_and_not_repeated() {
    let cluster = Cluster::new();
    let server = Server::start(&cluster, Mood::Behind);
    let client = to(&[&server]).await;
    let error = client.set("/a", "1", Condition::ALWAYS).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    assert_eq!(cluster.seen(Verb::Set).len(), 1);
    // Who may do it again is told the same.
    let step = Restoration::default();
    let error = client.restore(step).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
}

#[tokio::test]
async fn a_write_that_was_never_sent_is_sent_elsewhere() {
    let cluster = Cluster::new();
    let first = Server::start(&cluster, Mood::Member);
    let second = Server::start(&cluster, Mood::Member);
    let client = to(&[&first, &second]).await;
    client.nop().await.unwrap();
    drop(first);
    while client.connected_to().await.is_some() {
        tokio::task::yield_now().await;
    }
    client.set("/a", "1", Condition::MISSING).await.unwrap();
    assert_eq!(cluster.seen(Verb::Set).len(), 1);
}

#[tokio::test]
async fn no_answer_in_time_is_an_error_for_reads_and_unknown_for_writes() {
    let cluster = Cluster::new();
    let mute = Server::start(&cluster, Mood::Mute);
    let client = to(&[&mute]).await.within(Duration::from_millis(50));
    let error = client.get("/a").await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    let error = client.wait("/a", Rev(1)).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    let error = client.del("/a", Condition::ALWAYS).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left() {
    let cluster = Cluster::of(&[("/a", "1")]);
    let mute = Server::start(&cluster, Mood::Mute);
    let server = Server::start(&cluster, Mood::Member);
    let client = to(&[&mute, &server]).await;
    // A WAIT has no time limit, so that only the silence can end it.
    assert_eq!(client.wait("/a", Rev(1)).await.unwrap().rev, Rev(1));
}

#[tokio::test]
async fn a_write_goes_from_a_standby_to_a_member_that_it_knows() {
    let cluster = Cluster::of(&[("/ctl/cal/0", "ID"), ("/ctl/cal/1", "")]);
    let member = Server::start(&cluster, Mood::Member);
    let standby = Server::start(&cluster, Mood::Standby);
    cluster.put("/ctl/node/ID/addr", &member.addr.to_string());
    let client = to(&[&standby]).await;
    client.set("/a", "1", Condition::MISSING).await.unwrap();
    assert_eq!(
        client.connected_to().await.unwrap().as_str(),
        member.addr.to_string()
    );
}

#[tokio::test]
async fn writes_fail_when_only_standbys_are_left() {
    let cluster = Cluster::of(&[("/ctl/cal/0", "ID")]);
    let gone = Server::start(&cluster, Mood::Member).addr;
    let standby = Server::start(&cluster, Mood::Standby);
    cluster.put("/ctl/node/ID/addr", &gone.to_string());
    let client = to(&[&standby]).await;
    let error = client.nop().await.unwrap_err();
    let expected = format!(
        "READONLY: no member of the cluster could be reached: {} is a standby, {gone}: connection \
         refused",
        standby.addr
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_secret_is_presented_on_every_connection() {
    let cluster = Cluster::of(&[("/a", "1")]);
    let first = Server::start(&cluster, Mood::Secret("s&s"));
    let second = Server::start(&cluster, Mood::Secret("s&s"));
    let uri = format!("doozer:?ca={}&ca={}&sk=s%26s", first.addr, second.addr);
    let client = Client::connect(&uri).await.unwrap();
    assert!(client.get("/a").await.unwrap().is_some());
    drop(first);
    assert!(client.get("/a").await.unwrap().is_some());

    let error = Client::connect(&format!("{}&sk=no", second.uri()))
        .await
        .err()
        .unwrap();
    let expected = "OTHER: permission denied: the server has another secret than that of \
                    sk=SECRET";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_name_leads_to_a_cluster() {
    let cluster = Cluster::of(&[("/a", "1")]);
    let server = Server::start(&cluster, Mood::Member);
    let names = Cluster::of(&[("/ctl/ns/other/ID", "127.0.0.1:1")]);
    names.put("/ctl/ns/app/ID", &server.addr.to_string());
    let service = Server::start(&names, Mood::Member);
    let service = service.uri().parse().unwrap();
    let find = |name: &str| format!("doozer:?cn={name}").parse().unwrap();
    let options = Options::default();
    let client = Client::connect_with(&find("app"), Some(&service), options)
        .await
        .unwrap();
    assert!(client.get("/a").await.unwrap().is_some());

    let error = Client::connect_with(&find("nope"), Some(&service), options)
        .await
        .err()
        .unwrap();
    let error = error.to_string();
    assert!(error.starts_with("unknown cluster \"nope\""), "{error}");
    assert!(error.ends_with("it knows app, other"), "{error}");

    let error = Client::connect_with(&find("app"), None, options)
        .await
        .err()
        .unwrap();
    assert!(matches!(error, Error::NoNameService { .. }), "{error}");
}

#[tokio::test]
async fn a_watch_goes_on_at_another_server_without_a_gap() {
    let cluster = Cluster::new();
    let first = Server::start(&cluster, Mood::Member);
    let second = Server::start(&cluster, Mood::Member);
    let client = to(&[&first, &second]).await;
    let mut watch = client.watch("/w/*", Rev(0));
    let mut first = Some(first);
    for round in 1..=20 {
        let waits = cluster.seen(Verb::Wait).len();
        let change = async {
            if round == 7 {
                // The server goes away while a WAIT is parked there.
                while cluster.seen(Verb::Wait).len() == waits {
                    tokio::task::yield_now().await;
                }
                drop(first.take());
            }
            cluster.put("/other", "x");
            cluster.put("/w/a", &round.to_string())
        };
        let (event, rev) = tokio::join!(watch.next(), change);
        let event = event.unwrap();
        assert_eq!((event.rev, event.path.as_str()), (Rev(rev as u64), "/w/a"));
        assert_eq!(event.change, Change::Set(round.to_string().into()));
    }
}

#[tokio::test]
async fn a_watch_that_comes_too_late_is_told_where_the_store_is() {
    let cluster = Cluster::of(&[("/a", "1"), ("/a", "2"), ("/a", "3")]);
    cluster.forget_before(3);
    let server = Server::start(&cluster, Mood::Member);
    let client = to(&[&server]).await;
    let error = client.watch("/a", Rev(2)).next().await.unwrap_err();
    let (from, current) = (Rev(2), Rev(3));
    assert_eq!(error, Error::TooLate { from, current });
    assert_eq!(
        client.watch("/a", current).next().await.unwrap().rev,
        Rev(3)
    );
}

#[tokio::test]
async fn lists_are_complete_and_in_order_across_broken_connections() {
    let cluster = Cluster::new();
    for index in 0..500 {
        cluster.put(&format!("/l/{index:03}"), &index.to_string());
    }
    let broken = Server::start(&cluster, Mood::DropsAt(150));
    let server = Server::start(&cluster, Mood::Member);
    let client = to(&[&broken, &server]).await;
    let mut walk = client.walk_all("/l/*").await.unwrap();
    let mut names = client.names("/l").await.unwrap();
    for index in 0..500 {
        let entry = walk.next().await.unwrap().unwrap();
        assert_eq!(entry.path, format!("/l/{index:03}"));
        assert_eq!(entry.value, index.to_string());
        assert_eq!(names.next().await.unwrap().unwrap(), format!("{index:03}"));
    }
    assert_eq!(walk.next().await, Ok(None));
    assert_eq!(names.next().await, Ok(None));
    let revs: Vec<_> = cluster
        .seen(Verb::Walk)
        .iter()
        .map(|walk| walk.rev)
        .collect();
    assert!(
        revs.len() > 500 && revs.iter().all(|rev| *rev == Some(500)),
        "one revision"
    );
}

#[tokio::test]
async fn lists_are_complete_where_the_server_takes_few_requests_at_a_time() {
    let cluster = Cluster::new();
    for n in 100..300 {
        cluster.put(&format!("/d/{n}"), "x");
    }
    for most in [1, 2, 20] {
        let server = Server::start(&cluster, Mood::Takes(most));
        let client = to(&[&server]).await;
        let mut names = client.names("/d").await.unwrap();
        let mut found = Vec::new();
        while let Some(name) = names.next().await.unwrap() {
            found.push(name);
        }
        let expected: Vec<String> = (100..300).map(|n| n.to_string()).collect();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let cluster = Cluster::new();
    let server = Server::start(&cluster, Mood::Member);
    let client = to(&[&server]).await;
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..200 {
        let client = client.clone();
        tasks.spawn(async move {
            let path = format!("/m/{index}");
            client
                .set(&path, path.clone(), Condition::MISSING)
                .await
                .unwrap();
            client.get(&path).await.unwrap().unwrap().value == path
        });
    }
    while let Some(is_own) = tasks.join_next().await {
        assert!(is_own.unwrap());
    }
}

/// The protocol cannot cancel a WAIT; only the end of its connection frees the server of it.
#[tokio::test]
async fn a_connection_with_many_abandoned_waits_is_replaced() {
    let cluster = Cluster::of(&[("/a", "1")]);
    let server = Server::start(&cluster, Mood::Member);
    let client = to(&[&server]).await;
    let mut waits = tokio::task::JoinSet::new();
    for _ in 0..1100 {
        let client = client.within(Duration::from_millis(200));
        waits.spawn(async move { client.wait("/never", Rev(1)).await });
    }
    // This one is waited for: the old connection stays until it is answered.
    let patient = client.clone();
    let patient = tokio::spawn(async move { patient.wait("/late", Rev(1)).await });
    while let Some(wait) = waits.join_next().await {
        assert!(matches!(wait.unwrap(), Err(Error::TimedOut { .. })));
    }
    while client.connected_to().await.is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(client.get("/a").await.unwrap().is_some());
    cluster.put("/late", "2");
    assert_eq!(patient.await.unwrap().unwrap().rev, Rev(2));
    assert_eq!(
        cluster.seen(Verb::Wait).len(),
        1101,
        "nothing was asked twice"
    );
}
