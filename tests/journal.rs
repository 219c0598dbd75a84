//! Journals of clusters that keep everything in memory, by real processes: `doozer journal`, and
//! `doozer restore` from what it has kept.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes, reads files, waits"
)]

#[path = "backup/damage.rs"]
mod damage;
#[path = "backup/following.rs"]
mod following;
#[path = "backup/place.rs"]
mod place;
mod processes;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doozer::backup::{Journal, JournalError, read_journal};
use doozer::client::{Change, Client, Condition, Event};
use doozer::core::id::Rev;
use following::Following;
use place::{PATIENCE, Place, cluster, command, contents, doozer, refused};
use processes::{connect, guide_cluster};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

/// Writers that remember what was acknowledged: path, revision and value.
struct Load {
    acknowledged: Arc<Mutex<BTreeMap<Rev, (String, String)>>>,
    stop: Arc<AtomicU32>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(client: &Client, per_second: u64) -> Load {
        const WRITERS: u64 = 8;
        let acknowledged: Arc<Mutex<BTreeMap<_, _>>> = Arc::default();
        let stop = Arc::new(AtomicU32::new(0));
        let tasks = (0..WRITERS).map(|writer| {
            let (client, acknowledged, stop) = (client.clone(), acknowledged.clone(), stop.clone());
            tokio::spawn(async move {
                let mut beat =
                    tokio::time::interval(Duration::from_secs(WRITERS) / per_second as u32);
                for n in 0_u64.. {
                    beat.tick().await;
                    if stop.load(Ordering::Relaxed) == 1 {
                        return;
                    }
                    let (path, value) = (format!("/load/{writer}/{}", n % 50), n.to_string());
                    if let Ok(rev) = client.set(&path, value.clone(), Condition::ALWAYS).await {
                        acknowledged.lock().unwrap().insert(rev, (path, value));
                    }
                }
            })
        });
        let tasks = tasks.collect();
        Load {
            acknowledged,
            stop,
            tasks,
        }
    }

    async fn stop(self) -> BTreeMap<Rev, (String, String)> {
        self.stop.store(1, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("it does not panic");
        }
        std::mem::take(&mut self.acknowledged.lock().unwrap())
    }
}

/// How long after its answer a write is saved, so many times, ascending.
async fn lags(following: &mut Following, client: &Client, times: usize) -> Vec<Duration> {
    let mut lags = Vec::new();
    following.reach(Rev(1)).await;
    for n in 0..times {
        let rev = client.set("/lag", n.to_string(), Condition::ALWAYS).await;
        let (rev, begin) = (rev.unwrap(), Instant::now());
        while following.saved() < rev {
            assert!(begin.elapsed() < PATIENCE, "{}", following.said());
            sleep(Duration::from_millis(1)).await;
        }
        lags.push(begin.elapsed());
    }
    lags.sort_unstable();
    lags
}

/// What the acknowledged writes up to a revision lead to.
fn expected(
    acknowledged: &BTreeMap<Rev, (String, String)>,
    upto: Rev,
) -> BTreeMap<String, (Rev, Vec<u8>)> {
    let writes = acknowledged.range(..=upto);
    writes
        .map(|(rev, (path, value))| (path.clone(), (*rev, value.clone().into_bytes())))
        .collect()
}

#[tokio::test]
async fn a_journal_that_is_killed_under_load_and_a_lost_cluster_lose_nothing_that_was_saved() {
    let place = Place::new();
    let dir = place.within("journal");
    let mut servers = guide_cluster(&[]).await;
    let addrs: Vec<String> = servers.iter().map(|server| server.addr.clone()).collect();
    let uri = format!("doozer:?ca={}", addrs.join("&ca="));
    let client = connect(&[&addrs[0]]).await.unwrap();
    let load = Load::start(&client, 500);
    let mut following = Following::start(&uri, &dir);
    let lags = lags(&mut following, &client, 50).await;
    let (median, worst) = (lags[lags.len() / 2], lags[lags.len() - 1]);
    eprintln!("saved behind the answer, at 500 writes/s: median {median:?}, worst {worst:?}");
    assert!(median < Duration::from_secs(1));
    for round in 0..4 {
        let goal = Rev(following.saved().0.max(client.rev().await.unwrap().0) + 150);
        following.reach(goal).await;
        // Its end is torn in the middle of a line, as the power going out would do.
        following.kill();
        let saved = following.saved();
        let reading = read_journal(Path::new(&dir), None).expect("it is whole");
        assert!(reading.contents.rev >= saved);
        let log = fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let log = log
            .filter(|path| path.to_str().unwrap().contains("log-"))
            .max()
            .unwrap();
        let mut log = File::options().append(true).open(log).unwrap();
        log.write_all(b"{\"time\":17672256").unwrap();
        // It goes on, with another member.
        following = Following::start(&addrs[1 + round % 3], &dir);
        following.reach(saved.next()).await;
        let said = following.said();
        assert!(said.contains("cut off"), "{said}");
        assert!(!said.contains("new base"), "it went on: {said}");
    }
    let again = refused(&uri, &["journal", &dir]).await;
    assert!(again.contains("in use by another journal"), "{again}");
    let goal = client.rev().await.unwrap();
    following.reach(Rev(goal.0 + 100)).await;
    // Everything goes at once.
    following.kill();
    let saved = following.saved();
    for server in &mut servers {
        server.kill();
    }
    let acknowledged = load.stop().await;

    let (target, client) = cluster(&[]).await;
    let mut following = Following::start(&target.addr, &dir);
    let why = following.ends().await;
    assert!(why.contains("is another one: restore it first"), "{why}");
    let said = doozer(&target.addr, &["restore", &dir]).await;
    assert!(
        said.contains("the cluster goes on at revision 1000000000"),
        "{said}"
    );
    let last = read_journal(Path::new(&dir), None).unwrap().contents.rev;
    assert!(last >= saved);
    let restored = contents(&client).await;
    for (path, file) in expected(&acknowledged, saved) {
        let found = restored.get(&path).expect("it was saved");
        assert!(
            *found == file || found.0 > saved,
            "{path}: {file:?} became {found:?}"
        );
    }
    // Nothing is there that nobody wrote, and nothing older than what was acknowledged.
    for (path, (rev, value)) in &restored {
        match acknowledged.get(rev) {
            Some((written, text)) => assert_eq!((written, text.as_bytes()), (path, &value[..])),
            None => assert!(*rev > saved || path == "/lag", "{path} at {rev}"),
        }
    }
    // The journal goes on with the cluster that was restored from it, and has the past, too.
    let mut following = Following::start(&target.addr, &dir);
    let rev = client.set("/after", "x", Condition::ALWAYS).await.unwrap();
    following.reach(rev).await;
    assert!(
        following.said().contains("the cluster began anew"),
        "{}",
        following.said()
    );
    let past = Rev(saved.0 - 100);
    let earlier = read_journal(Path::new(&dir), Some(past)).unwrap();
    assert_eq!(earlier.contents.rev, past);
    let (target, client) = cluster(&[]).await;
    let at = past.0.to_string();
    doozer(&target.addr, &["restore", "--at", &at, &dir]).await;
    let restored = contents(&client).await;
    for (path, file) in expected(&acknowledged, past) {
        assert_eq!(restored.get(&path), Some(&file), "{path}");
    }
    let why = refused(&target.addr, &["restore", "--at", "1", &dir]).await;
    assert!(
        why.contains("does not have revision 1: it begins at"),
        "{why}"
    );
}

#[tokio::test]
async fn a_journal_that_falls_behind_says_what_is_lost_and_begins_again() {
    let place = Place::new();
    let dir = place.within("journal");
    let (server, client) = cluster(&["-hist", "50"]).await;
    client.set("/a", "1", Condition::ALWAYS).await.unwrap();
    let mut following = Following::start(&server.addr, &dir);
    let rev = client.set("/a", "2", Condition::ALWAYS).await.unwrap();
    following.reach(rev).await;
    following.kill();
    // Members write about themselves now and then.
    let rev = following.saved();
    for n in 0..100 {
        client
            .set("/a", n.to_string(), Condition::ALWAYS)
            .await
            .unwrap();
    }
    let mut following = Following::start(&server.addr, &dir);
    let last = client.set("/b", "x", Condition::ALWAYS).await.unwrap();
    following.reach(last).await;
    let said = following.said();
    let lost = format!("revisions from {} on were forgotten", rev.0 + 1);
    assert!(said.contains(&lost), "{said}");
    let reading = read_journal(Path::new(&dir), None).unwrap();
    assert!(reading.contents.rev >= last);
    let gap = read_journal(Path::new(&dir), Some(Rev(rev.0 + 10))).unwrap_err();
    assert!(matches!(gap, JournalError::Absent { .. }), "{gap}");
    assert!(read_journal(Path::new(&dir), Some(rev)).is_ok());
}

#[tokio::test]
async fn a_journal_waits_for_a_cluster_that_stands_still() {
    let place = Place::new();
    let dir = place.within("journal");
    let (server, client) = cluster(&[]).await;
    let mut following = Following::start(&server.addr, &dir);
    let rev = client.set("/a", "1", Condition::ALWAYS).await.unwrap();
    following.reach(rev).await;
    server.signal(Signal::STOP);
    sleep(Duration::from_secs(8)).await;
    server.signal(Signal::CONT);
    let rev = client.set("/a", "2", Condition::ALWAYS).await.unwrap();
    following.reach(rev).await;
    let pid = Pid::from_child(&following.child);
    kill_process(pid, Signal::TERM).unwrap();
    following.ends().await;
    assert!(read_journal(Path::new(&dir), None).unwrap().contents.rev >= rev);
}

#[tokio::test]
async fn a_journal_that_nobody_listens_to_goes_on_saving() {
    let (server, client) = cluster(&[]).await;
    for has_errors in [true, false] {
        let place = Place::new();
        let dir = place.within("journal");
        let mut journal = command(&server.addr, &["--json", "journal", &dir]);
        let mut journal = journal.spawn().unwrap();
        let mut out = BufReader::new(journal.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert!(line.starts_with("{\"rev\":"), "{line}");
        drop(out);
        let errors = journal.stderr.take().filter(|_| has_errors);
        let begin = Instant::now();
        for n in 0..20 {
            let set = client.set("/a", n.to_string(), Condition::ALWAYS).await;
            let rev = set.unwrap();
            while read_journal(Path::new(&dir), None).unwrap().contents.rev < rev {
                assert!(begin.elapsed() < PATIENCE, "{rev} is not saved");
                assert_eq!(journal.try_wait().unwrap(), None, "before {rev}");
                sleep(Duration::from_millis(10)).await;
            }
        }
        journal.kill().unwrap();
        journal.wait().unwrap();
        let mut said = String::new();
        if let Some(mut errors) = errors {
            errors.read_to_string(&mut said).unwrap();
            let times = said
                .matches("nobody reads standard output any more")
                .count();
            assert_eq!(times, 1, "{said}");
        }
    }
}

#[tokio::test]
async fn a_journal_goes_on_where_a_connection_may_have_few_requests_open() {
    let place = Place::new();
    let dir = place.within("journal");
    let (server, client) = cluster(&["-max-requests", "20"]).await;
    let mut following = Following::start(&server.addr, &dir);
    following.reach(Rev(1)).await;
    for round in 0..3 {
        for n in 0..100 {
            let value = (100 * round + n).to_string();
            client.set("/a", value, Condition::ALWAYS).await.unwrap();
        }
        let rev = client.rev().await.unwrap();
        following.reach(rev).await;
    }
    let first = following.said().matches("following").count();
    assert_eq!(first, 1, "{}", following.said());
}

/// Events that set one file, from a revision on.
fn events(from: Rev, count: u64, bytes: usize) -> Vec<Event> {
    let revs = from.0 + 1..=from.0 + count;
    revs.map(|rev| Event {
        path: format!("/f/{}", rev % 100),
        rev: Rev(rev),
        change: Change::Set(vec![b'x'; bytes].into()),
    })
    .collect()
}

#[test]
fn the_directory_of_a_journal_stays_small_and_survives_damage_by_name() {
    const LOG: u64 = 64 << 10;
    let place = Place::new();
    let dir = place.0.join("journal");
    let origin = doozer::backup::Origin::default();
    let base = doozer::backup::Contents {
        rev: Rev(10),
        ..Default::default()
    };
    let (mut journal, outlook) = Journal::open(&dir, LOG).unwrap();
    assert_eq!(outlook, None);
    journal.begin(&origin, &base, 7).unwrap();
    let (mut rev, mut largest) = (Rev(10), 0);
    for round in 0..200 {
        journal.append(&events(rev, 10, 1000), round).unwrap();
        rev = Rev(rev.0 + 10);
        journal.settle().unwrap();
        let sizes = fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len());
        largest = largest.max(sizes.sum::<u64>());
    }
    // Two bases of 100 files of 1000 bytes, and three logs that are as large as a base each.
    let copy = 100 * 1100;
    assert!(largest < 5 * copy + 10 * 1100 * 3, "{largest}");
    drop(journal);
    let reading = read_journal(&dir, None).unwrap();
    assert_eq!(
        (reading.contents.rev, reading.contents.files.len()),
        (rev, 100)
    );
    let (journal, outlook) = Journal::open(&dir, LOG).unwrap();
    assert_eq!(outlook.unwrap().rev, rev);
    let second = Journal::open(&dir, LOG).unwrap_err();
    assert!(matches!(second, JournalError::Locked { .. }), "{second}");
    drop(journal);
    // A damaged base is refused by name and line; without it, the older one says the same.
    let newest = |kind: &str| {
        let names = fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let number = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.strip_prefix(kind)
                .and_then(|digits| digits.parse::<u64>().ok())
        };
        names
            .filter(|path| number(path).is_some())
            .max_by_key(number)
            .unwrap()
    };
    let base = newest("base-");
    let mut bytes = fs::read(&base).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&base, bytes).unwrap();
    let damaged = read_journal(&dir, None).unwrap_err().to_string();
    assert!(
        damaged.contains("base-") && damaged.contains("line "),
        "{damaged}"
    );
    assert!(damaged.contains("move this file away"), "{damaged}");
    fs::remove_file(&base).unwrap();
    assert_eq!(read_journal(&dir, None).unwrap().contents, reading.contents);
    // So is a log, where it is not its end that is torn.
    let log = newest("log-");
    let mut bytes = fs::read(&log).unwrap();
    let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 20;
    bytes[second] ^= 4;
    fs::write(&log, bytes).unwrap();
    let damaged = read_journal(&dir, None).unwrap_err().to_string();
    assert!(
        damaged.contains("log-") && damaged.contains("line 2: damaged"),
        "{damaged}"
    );
    // What is not a journal's is left alone.
    let foreign = place.0.join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("letters"), "x").unwrap();
    let refused = Journal::open(&foreign, LOG).unwrap_err();
    assert!(matches!(refused, JournalError::NotOurs { .. }), "{refused}");
}
