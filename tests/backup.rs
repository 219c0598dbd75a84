//! Backups of clusters that keep everything in memory, by real processes: `doozer dump` and `doozer
//! restore`.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes, reads files, waits"
)]

#[path = "backup/following.rs"]
mod following;
#[path = "backup/place.rs"]
mod place;
mod processes;

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use doozer::backup::read_dump;
use doozer::client::{Client, Condition, Error};
use doozer::core::id::Rev;
use doozer::core::protocol::client::ErrorCode;
use following::Following;
use place::{PATIENCE, Place, cluster, command, contents, doozer, refused, run};
use processes::{connect, free_port, guide_cluster};
use tokio::time::sleep;

async fn dump(addr: &str, file: &str) {
    let text = doozer(addr, &["dump"]).await;
    fs::write(file, text).expect("it can be written");
}

/// Writes so many files, many at a time.
async fn fill(client: &Client, count: usize) {
    let writers = (0..64).map(|writer| {
        let client = client.clone();
        tokio::spawn(async move {
            for n in (writer..count).step_by(64) {
                let path = format!("/fill/{}/{n}", n % 100);
                let written = client.set(&path, n.to_string(), Condition::MISSING).await;
                written.expect("it can be written");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("it does not panic");
    }
}

fn is(error: &Error, code: ErrorCode) -> bool {
    matches!(error, Error::Refused(refusal) if refusal.code == code)
}

#[tokio::test]
async fn what_is_restored_is_what_was_dumped_and_revisions_go_on_above_it() {
    let place = Place::new();
    let file = place.within("dump");
    let servers = guide_cluster(&[]).await;
    let client = connect(&[&servers[0].addr]).await.unwrap();
    let values: [&[u8]; 4] = [
        b"",
        b"text \"quoted\"\n",
        b"\xff\x00\xfe",
        "r\u{e9}sum\u{e9}".as_bytes(),
    ];
    for (n, value) in values.into_iter().enumerate() {
        let path = format!("/v/{n}");
        client
            .set(&path, value.to_vec(), Condition::ALWAYS)
            .await
            .unwrap();
    }
    client.set("/gone", "x", Condition::ALWAYS).await.unwrap();
    client.del("/gone", Condition::ALWAYS).await.unwrap();
    let large = vec![b'x'; 1 << 20];
    client
        .set("/large", large, Condition::ALWAYS)
        .await
        .unwrap();
    let before = contents(&client).await;
    dump(&servers[3].addr, &file).await;
    let (_, dumped) = read_dump(&fs::read(&file).unwrap()).unwrap();
    let rev = dumped.rev;
    let whole = doozer("127.0.0.1:1", &["restore", "--check", &file]).await;
    assert!(
        whole.starts_with("whole: ") && whole.contains(&format!("revision {rev}")),
        "{whole}"
    );
    drop(servers);

    let servers = guide_cluster(&["-c", "second"]).await;
    let client = connect(&[&servers[1].addr]).await.unwrap();
    let mut future = client.watch("/v/**", rev.next());
    let waiting = tokio::spawn(async move { future.next().await });
    sleep(Duration::from_millis(200)).await;
    // A standby sends it to the members.
    let said = doozer(&servers[3].addr, &["restore", &file]).await;
    assert!(said.starts_with("restored 5 files of local"), "{said}");
    assert!(
        said.contains("the cluster goes on at revision 1000000000"),
        "{said}"
    );
    for server in &servers {
        let client = connect(&[&server.addr]).await.unwrap();
        client.stat("/").await.unwrap();
        assert_eq!(contents(&client).await, before);
        assert_eq!(
            client.get("/ctl/name").await.unwrap().unwrap().value,
            "second"
        );
    }
    // Whoever watched from a revision of the lost cluster is told that something was missed.
    let told = waiting.await.unwrap();
    assert!(matches!(told, Err(Error::TooLate { .. })), "{told:?}");
    let old = client.wait("/**", rev.next()).await.unwrap_err();
    assert!(is(&old, ErrorCode::TooLate), "{old}");
    let mut watch = client.watch("/v/**", Rev(1_000_000_001));
    let (was, _) = before["/v/1"];
    let lost = client
        .set("/v/1", "x", Condition::from(Rev(was.0 - 1)))
        .await
        .unwrap_err();
    assert!(is(&lost, ErrorCode::RevMismatch), "{lost}");
    let now = client
        .set("/v/1", "new", Condition::from(was))
        .await
        .unwrap();
    assert!(now > Rev(1_000_000_000));
    let event = watch.next().await.unwrap();
    assert_eq!((event.rev, event.path.as_str()), (now, "/v/1"));

    // The cluster is as good as any: members go, and it is dumped and restored again.
    let mut servers = servers;
    servers[0].kill();
    client
        .set("/v/2", "again", Condition::ALWAYS)
        .await
        .unwrap();
    dump(&servers[1].addr, &file).await;
    let (_alone, client) = cluster(&[]).await;
    let addr = client.connected_to().await.unwrap().to_string();
    let said = doozer(&addr, &["restore", &file]).await;
    assert!(
        said.contains("the cluster goes on at revision 2000000000"),
        "{said}"
    );
    assert_eq!(contents(&client).await["/v/2"].1, b"again");
}

#[tokio::test]
async fn a_cluster_with_files_is_not_touched_unless_told() {
    let place = Place::new();
    let file = place.within("dump");
    let (server, client) = cluster(&[]).await;
    client.set("/a", "1", Condition::ALWAYS).await.unwrap();
    dump(&server.addr, &file).await;
    let changed = client.set("/a", "2", Condition::ALWAYS).await.unwrap();
    client.set("/b", "2", Condition::ALWAYS).await.unwrap();
    let why = refused(&server.addr, &["restore", &file]).await;
    assert!(
        why.contains("there are files already") && why.contains("--replace"),
        "{why}"
    );
    assert_eq!(contents(&client).await.len(), 2);
    let said = doozer(&server.addr, &["restore", "--replace", &file]).await;
    assert!(said.contains("1000000000"), "{said}");
    let files = contents(&client).await;
    assert_eq!(files.len(), 1);
    assert_eq!(files["/a"], (Rev(1_000_000_000), b"1".to_vec()));
    // No compare-and-set that was thought of before has its way.
    let late = client
        .set("/a", "3", Condition::from(changed))
        .await
        .unwrap_err();
    assert!(is(&late, ErrorCode::RevMismatch), "{late}");
    // Empty again, but clients have seen revisions of files.
    client.del("/a", Condition::ALWAYS).await.unwrap();
    let why = refused(&server.addr, &["restore", &file]).await;
    assert!(why.contains("--new-revs"), "{why}");
    doozer(&server.addr, &["restore", "--new-revs", &file]).await;
    assert_eq!(contents(&client).await["/a"].0, Rev(2_000_000_000));
}

#[tokio::test]
async fn what_is_no_whole_dump_is_refused_with_the_line_before_anything_happens() {
    let place = Place::new();
    let file = place.within("dump");
    let (server, client) = cluster(&[]).await;
    for n in 0..20 {
        client
            .set(&format!("/f/{n}"), "value", Condition::ALWAYS)
            .await
            .unwrap();
    }
    dump(&server.addr, &file).await;
    let good = fs::read(&file).unwrap();
    let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
    let mut flipped = good.clone();
    let at = good.len() / 2;
    flipped[at] ^= 1;
    let line = 1 + good[..at].iter().filter(|byte| **byte == b'\n').count();
    let newer =
        String::from_utf8(good.clone())
            .unwrap()
            .replacen("\"format\":1", "\"format\":9", 1);
    let cases: [(Vec<u8>, String); 5] = [
        (flipped, format!("line {line}: damaged")),
        (
            good[..good.len() - 9].to_vec(),
            format!("line {}: the end is missing", lines.len()),
        ),
        (lines[..5].concat(), "line 6: the end is missing".to_owned()),
        (
            newer.into_bytes(),
            "line 1: a newer version of doozer wrote this (format 9".to_owned(),
        ),
        (
            b"hello\n".to_vec(),
            "line 1: this is no backup of Doozer".to_owned(),
        ),
    ];
    let (target, client) = cluster(&[]).await;
    for (bytes, expected) in cases {
        fs::write(&file, bytes).unwrap();
        for arguments in [vec!["restore", &file], vec!["restore", "--check", &file]] {
            let why = refused(&target.addr, &arguments).await;
            assert!(
                why.contains(&expected) && why.contains("nothing was restored"),
                "{why}"
            );
        }
    }
    assert!(contents(&client).await.is_empty());
    assert!(client.rev().await.unwrap() < Rev(1000));
}

#[tokio::test]
async fn a_dump_that_nobody_reads_is_a_failure() {
    let (server, _) = cluster(&[]).await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = command(&server.addr, &["dump"]);
    let output = command.stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("it is no backup"), "{said}");
}

#[tokio::test]
async fn what_a_process_without_a_majority_knows_can_be_saved() {
    let mut servers = guide_cluster(&[]).await;
    let client = connect(&[&servers[2].addr]).await.unwrap();
    client.set("/a", "x", Condition::ALWAYS).await.unwrap();
    servers[0].kill();
    servers[1].kill();
    let dumped = doozer(&servers[2].addr, &["--local", "dump"]).await;
    let (origin, contents) = read_dump(dumped.as_bytes()).expect("it is whole");
    assert_eq!(origin.cluster, "local");
    let path = doozer::core::store::Path::parse(b"/a").unwrap();
    assert_eq!(contents.files[&path].1, "x");
}

#[tokio::test]
async fn secrets_are_asked_for_as_by_other_commands() {
    let place = Place::new();
    let file = place.within("dump");
    let addr = format!("127.0.0.1:{}", free_port());
    let log = File::create(place.within("log")).unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_doozerd"))
        .args(["-w", "false", "-l", &addr])
        .env("DOOZER_RWSECRET", "rw")
        .env("DOOZER_ROSECRET", "ro")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let (rw, ro) = (
        format!("doozer:?ca={addr}&sk=rw"),
        format!("doozer:?ca={addr}&sk=ro"),
    );
    let begin = Instant::now();
    while !run(&rw, &["nop"]).await.status.success() {
        assert!(begin.elapsed() < PATIENCE);
        sleep(Duration::from_millis(50)).await;
    }
    assert!(
        refused(&addr, &["dump"])
            .await
            .contains("permission denied")
    );
    dump(&ro, &file).await;
    assert!(
        refused(&ro, &["restore", &file])
            .await
            .contains("permission denied")
    );
    doozer(&rw, &["restore", &file]).await;
    let journal = place.within("journal");
    let mut following = Following::start(&ro, &journal);
    following.reach(Rev(1_000_000_000)).await;
    server.kill().unwrap();
    server.wait().unwrap();
}

#[tokio::test]
async fn a_hundred_thousand_files_are_dumped_and_restored() {
    const FILES: usize = 100_000;
    let place = Place::new();
    let file = place.within("dump");
    let (server, client) = cluster(&[]).await;
    fill(&client, FILES).await;
    // One consistent revision, whatever is written meanwhile.
    let stop = Arc::new(AtomicU32::new(0));
    let writer = tokio::spawn(write_in_turn(client.clone(), stop.clone()));
    let begin = Instant::now();
    dump(&server.addr, &file).await;
    let dumped = begin.elapsed();
    stop.store(1, Ordering::Relaxed);
    writer.await.unwrap();
    let (_, read) = read_dump(&fs::read(&file).unwrap()).expect("it is whole");
    let turns: Vec<u64> = ["/turn/a", "/turn/b"]
        .iter()
        .map(|path| {
            let path = doozer::core::store::Path::parse(path.as_bytes()).unwrap();
            let (_, value) = &read.files[&path];
            std::str::from_utf8(value).unwrap().parse().unwrap()
        })
        .collect();
    assert!(
        turns[0] == turns[1] || turns[0] == turns[1] + 1,
        "{turns:?}"
    );
    let (target, client) = cluster(&[]).await;
    let begin = Instant::now();
    let said = doozer(&target.addr, &["restore", &file]).await;
    let restored = begin.elapsed();
    assert!(said.starts_with("restored 100002 files"), "{said}");
    eprintln!("100,000 files: dumped in {dumped:?}, restored in {restored:?}");
    assert!(dumped < PATIENCE && restored < PATIENCE);
    let file = client.get("/fill/99/99999").await.unwrap().unwrap();
    assert_eq!(file.value, "99999");
}

/// Writes the same number into two files in turn, until it is to stop.
async fn write_in_turn(client: Client, stop: Arc<AtomicU32>) {
    for n in 1_u64.. {
        for path in ["/turn/a", "/turn/b"] {
            client
                .set(path, n.to_string(), Condition::ALWAYS)
                .await
                .unwrap();
        }
        if stop.load(Ordering::Relaxed) == 1 {
            return;
        }
    }
}
