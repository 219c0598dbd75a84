//! Backups of clusters that keep everything in memory, by real processes: `doozer dump`, `doozer
//! restore` and `doozer journal`.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes, reads files, waits"
)]

mod processes;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doozer::backup::{Journal, JournalError, read_dump, read_journal};
use doozer::client::{Change, Client, Condition, Error, Event};
use doozer::core::id::Rev;
use doozer::core::protocol::client::ErrorCode;
use processes::{Server, connect, free_port, guide_cluster};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

/// How long anything may take. Far more than it takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory of this test run.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static GIVEN: AtomicU32 = AtomicU32::new(0);
        let nth = GIVEN.fetch_add(1, Ordering::Relaxed);
        let name = format!("backup-{}-{nth}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("it can be made");
        Place(path)
    }

    fn file(&self, name: &str) -> String {
        let path = self.0.join(name);
        path.to_str().expect("a name of ours").to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

fn command(addr: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doozer"));
    command
        .args(["-a", addr])
        .args(arguments)
        .env_remove("DOOZER_URI")
        .env_remove("DOOZER_BOOT_URI")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the client in a thread of its own, so that others go on.
async fn run(addr: &str, arguments: &[&str]) -> Output {
    let mut command = command(addr, arguments);
    let running = tokio::task::spawn_blocking(move || command.output().expect("it can be run"));
    running.await.expect("it does not panic")
}

/// Runs the client, which must do well, and gives what it prints.
async fn doozer(addr: &str, arguments: &[&str]) -> String {
    let output = run(addr, arguments).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

/// Runs the client, which must refuse, and gives why.
async fn refused(addr: &str, arguments: &[&str]) -> String {
    let output = run(addr, arguments).await;
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).expect("text")
}

async fn dump(addr: &str, file: &str) {
    let text = doozer(addr, &["dump"]).await;
    fs::write(file, text).expect("it can be written");
}

/// One server that is a cluster of its own.
async fn cluster(arguments: &[&str]) -> (Server, Client) {
    let addr = format!("127.0.0.1:{}", free_port());
    let server = Server::start(&addr, arguments).await;
    let client = connect(&[&addr]).await.expect("it answers");
    (server, client)
}

/// All files outside `/ctl`.
async fn contents(client: &Client) -> BTreeMap<String, (Rev, Vec<u8>)> {
    let mut walk = client.walk_all("/**").await.expect("it can be listed");
    let mut files = BTreeMap::new();
    while let Some(file) = walk.next().await.expect("it can be listed") {
        if !file.path.starts_with("/ctl/") {
            files.insert(file.path, (file.rev, file.value.to_vec()));
        }
    }
    files
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
    let file = place.file("dump");
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
    let file = place.file("dump");
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
    let file = place.file("dump");
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
    let file = place.file("dump");
    let addr = format!("127.0.0.1:{}", free_port());
    let log = File::create(place.file("log")).unwrap();
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
    let journal = place.file("journal");
    let mut following = Following::start(&ro, &journal);
    following.reach(Rev(1_000_000_000)).await;
    server.kill().unwrap();
    server.wait().unwrap();
}

#[tokio::test]
async fn a_hundred_thousand_files_are_dumped_and_restored() {
    const FILES: usize = 100_000;
    let place = Place::new();
    let file = place.file("dump");
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

/// A `doozer journal` that runs.
struct Following {
    child: Child,
    saved: Arc<AtomicU64>,
    said: Arc<Mutex<String>>,
}

impl Following {
    fn start(addr: &str, dir: &str) -> Following {
        Following::start_with(addr, &["--json", "journal", dir])
    }

    fn start_with(addr: &str, arguments: &[&str]) -> Following {
        let mut child = command(addr, arguments).spawn().expect("it starts");
        let saved = Arc::new(AtomicU64::new(0));
        let said = Arc::new(Mutex::new(String::new()));
        let out = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let latest = saved.clone();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
                latest.store(object["rev"].as_u64().expect("a number"), Ordering::SeqCst);
            }
        });
        let errors = BufReader::new(child.stderr.take().expect("it is a pipe"));
        let lines = said.clone();
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                *lines.lock().unwrap() += &format!("{line}\n");
            }
        });
        Following { child, saved, said }
    }

    fn saved(&self) -> Rev {
        Rev(self.saved.load(Ordering::SeqCst))
    }

    async fn reach(&mut self, rev: Rev) {
        let begin = Instant::now();
        while self.saved() < rev {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && begin.elapsed() < PATIENCE,
                "{}",
                self.said()
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
        // What it has printed is read to its end.
        std::thread::sleep(Duration::from_millis(100));
    }

    /// Waits until it gives up, and tells why.
    async fn ends(&mut self) -> String {
        let begin = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < PATIENCE, "{}", self.said());
            sleep(Duration::from_millis(10)).await;
        }
        sleep(Duration::from_millis(100)).await;
        self.said()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
    let dir = place.file("journal");
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
    let dir = place.file("journal");
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
    let dir = place.file("journal");
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
