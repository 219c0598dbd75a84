//! Members that keep what they promise on disk, as real processes: kill -9 of one, of a majority and
//! of all under load, and what a data directory refuses.
//!
//! `DOOZER_ROUNDS` says how often each is done; once if it is not set.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes and talks to them"
)]

mod members;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use doozer::client::Condition;
use doozer::core::id::Rev;
use members::{
    Member, PATIENCE, Place, can_trace, client, cluster, cluster_at, free_port, refused, spawn,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Clients that write at a time, each one request after the other.
const WRITERS: usize = 8;

/// How long they write before something is killed, and while it is dead.
const LOAD: Duration = Duration::from_millis(700);

/// Clients that write files of their own, each once.
struct Load {
    stop: tokio::sync::watch::Sender<bool>,
    writers: Vec<JoinHandle<Vec<(String, Rev)>>>,
}

impl Load {
    fn start(members: &[Member], round: usize) -> Load {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let addrs: Vec<String> = members.iter().map(|member| member.addr.clone()).collect();
        let writers = (0..WRITERS).map(|writer| {
            let (addrs, stopped) = (addrs.clone(), stopped.clone());
            tokio::spawn(async move {
                let addrs: Vec<&str> = addrs.iter().map(String::as_str).collect();
                let client = client(&addrs).await.within(Duration::from_secs(5));
                let mut acknowledged = Vec::new();
                for n in 0.. {
                    if *stopped.borrow() {
                        break;
                    }
                    let path = format!("/load/{round}-{writer}/{n}");
                    // What fails may be done or not; nobody was promised anything.
                    match client.set(&path, path.clone(), Condition::MISSING).await {
                        Ok(rev) => acknowledged.push((path, rev)),
                        Err(_) => sleep(Duration::from_millis(10)).await,
                    }
                }
                acknowledged
            })
        });
        Load {
            writers: writers.collect(),
            stop,
        }
    }

    async fn stop(self, into: &mut BTreeMap<String, Rev>) {
        self.stop.send_replace(true);
        for writer in self.writers {
            into.extend(writer.await.expect("a writer does not fail"));
        }
    }
}

/// Every acknowledged write is there, with the revision that it was told.
async fn check(members: &[Member], acknowledged: &BTreeMap<String, Rev>) {
    let addrs: Vec<&str> = members.iter().map(|member| member.addr.as_str()).collect();
    let client = client(&addrs).await;
    let mut walk = client.walk_all("/load/**").await.expect("it answers");
    let mut found = BTreeMap::new();
    while let Some(entry) = walk.next().await.expect("it answers") {
        assert_eq!(entry.path.as_bytes(), &entry.value[..]);
        found.insert(entry.path, entry.rev);
    }
    for (path, rev) in acknowledged {
        assert_eq!(found.get(path), Some(rev), "{path} was acknowledged");
    }
}

/// Kills these members under load, and starts them again.
async fn strike(members: &mut [Member], struck: &[usize], round: usize) -> BTreeMap<String, Rev> {
    let mut acknowledged = BTreeMap::new();
    let load = Load::start(members, round);
    sleep(LOAD).await;
    for nth in struck {
        // All of them at once, as when the power goes out.
        kill_process(Pid::from_child(&members[*nth].child), Signal::KILL).expect("it lives");
    }
    for nth in struck {
        members[*nth].kill();
    }
    sleep(LOAD / 2).await;
    let begin = Instant::now();
    for nth in struck {
        members[*nth].again();
    }
    for nth in struck {
        members[*nth].says(" ready: ").await;
    }
    println!("{} of 3 are back after {:?}", struck.len(), begin.elapsed());
    sleep(LOAD).await;
    load.stop(&mut acknowledged).await;
    acknowledged
}

#[tokio::test]
async fn what_was_acknowledged_outlives_any_number_of_members() {
    let rounds = std::env::var("DOOZER_ROUNDS").ok();
    let rounds: usize = rounds.map_or(1, |rounds| rounds.parse().expect("a number"));
    let place = Place::new();
    let mut members = cluster(&place, &["-c", "kept"], "").await;
    let ids: Vec<String> = members.iter().map(|member| member.id.clone()).collect();
    let mut acknowledged = BTreeMap::new();
    for round in 0..rounds {
        let one = round % 3;
        for (kind, struck) in [vec![one], vec![one, (one + 1) % 3], vec![0, 1, 2]]
            .iter()
            .enumerate()
        {
            acknowledged.extend(strike(&mut members, struck, round * 3 + kind).await);
            check(&members, &acknowledged).await;
        }
    }
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    println!("{} writes were acknowledged", acknowledged.len());
    // They are who they were, where they were.
    for (nth, member) in members.iter().enumerate() {
        let client = client(&[&member.addr]).await;
        assert_eq!(client.self_id().await.expect("it answers"), ids[nth]);
        let slot = client.get(&format!("/ctl/cal/{nth}")).await;
        let slot = slot.expect("it answers").expect("it is there");
        assert_eq!(&slot.value[..], ids[nth].as_bytes());
    }
}

/// What the command line says to this, and whether it was done.
fn commanded(addr: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_doozer"))
        .args(["-a", addr])
        .args(arguments)
        .output()
        .expect("doozer runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[tokio::test]
async fn who_comes_back_alone_tells_what_it_has_and_can_be_made_a_new_cluster() {
    let place = Place::new();
    let mut members = cluster(&place, &["-timeout", "2"], "").await;
    let at = client(&[&members[0].addr]).await;
    let set = at.set("/kept", "x", Condition::MISSING).await;
    set.expect("it answers");
    // That it was decided is written with whatever comes later, such as pulses. Whoever comes back
    // without that has to ask a majority.
    sleep(Duration::from_secs(3)).await;
    for member in &mut members {
        member.kill();
    }
    members.truncate(1);
    let alone = &mut members[0];
    alone.again();
    alone.says("coming back as").await;
    let (_, said) = commanded(&alone.addr, &["--local", "get", "/kept"]);
    assert_eq!(said, "x");
    let (is_well, said) = commanded(&alone.addr, &["status"]);
    assert!(!is_well && said.contains("NO MAJORITY"), "{said}");
    alone.says("the majority is lost").await;
    let (_, dump) = commanded(&alone.addr, &["--local", "dump"]);
    assert!(dump.contains("/kept"), "{dump}");
    let (is_done, said) = commanded(&alone.addr, &["recover", "--yes"]);
    assert!(is_done, "{said}");
    alone.says(" ready: ").await;
    let (is_done, said) = commanded(&alone.addr, &["get", "/kept"]);
    assert!(is_done && said == "x", "{said}");
    let set = client(&[&alone.addr]).await;
    let set = set.set("/after", "y", Condition::MISSING).await;
    set.expect("it is a cluster of its own");
}

#[tokio::test]
async fn a_log_is_replaced_by_a_snapshot_and_a_lone_member_comes_back() {
    let place = Place::new();
    let addr = format!("127.0.0.1:{}", free_port());
    let mut members = vec![Member::start(&place, &addr, &["--data-log", "32K"], "").await];
    let folder = Path::new(&members[0].dir).join(&members[0].id);
    let mut acknowledged = BTreeMap::new();
    let load = Load::start(&members, 0);
    let begin = Instant::now();
    while folder.join("log-0000000000000001").exists() {
        assert!(begin.elapsed() < PATIENCE, "no snapshot has replaced it");
        sleep(LOAD / 4).await;
    }
    load.stop(&mut acknowledged).await;
    assert!(!folder.join("snapshot-0000000000000001").exists());
    for round in 1..3 {
        acknowledged.extend(strike(&mut members, &[0], round).await);
        check(&members, &acknowledged).await;
    }
}

#[tokio::test]
async fn a_directory_belongs_to_one_process_of_one_cluster_at_one_address() {
    let place = Place::new();
    let port = free_port();
    let addr = format!("127.0.0.1:{port}");
    let mut member = Member::start(&place, &addr, &["-c", "one"], "").await;
    let dir = member.dir.clone();
    let said = refused(&["--data-dir", &dir]);
    assert!(said.contains("another doozerd is running"), "{said}");
    let at = client(&[&addr]).await;
    let rev = at.set("/a", "x", Condition::MISSING).await;
    let rev = rev.expect("it answers");

    // Stopped by a signal, it keeps its place.
    member.stop();
    let said = refused(&["--data-dir", &dir, "-c", "two"]);
    assert!(said.contains("of cluster \"one\""), "{said}");
    let moved = format!("127.0.0.2:{port}");
    let said = refused(&["--data-dir", &dir, "-l", &moved]);
    assert!(said.contains(&format!("was at {addr}")), "{said}");
    assert!(said.contains("--moved"), "{said}");
    let said = refused(&["--data-dir", &dir, "--advertise", &moved]);
    assert!(said.contains("--moved"), "{said}");
    let said = refused(&["--data-dir", &place.within(""), "-l", &moved]);
    assert!(said.contains("no identity file"), "{said}");
    let said = refused(&["--data-dir", &place.within("new"), "-l", "127.0.0.1:0"]);
    assert!(said.contains("give a port"), "{said}");

    member.child = spawn(
        &["--data-dir", &dir, "-l", &moved, "--moved"],
        "",
        &member.log,
    );
    member.says(" ready: ").await;
    let at = client(&[&moved]).await;
    let file = at
        .get("/a")
        .await
        .expect("it answers")
        .expect("it is there");
    assert_eq!(file.rev, rev);
    let file = at.get(&format!("/ctl/node/{}/addr", member.id)).await;
    let file = file.expect("it answers").expect("it is there");
    assert_eq!(&file.value[..], moved.as_bytes());
    member.kill();

    // A bit that was flipped is not guessed around.
    let log = Path::new(&dir)
        .join(&member.id)
        .join("log-0000000000000001");
    let mut bytes = std::fs::read(&log).expect("it is there");
    // In the first record, behind what the file says about itself.
    bytes[80] ^= 4;
    std::fs::write(&log, bytes).expect("it can be written");
    let said = refused(&["--data-dir", &dir]);
    assert!(said.contains("log-0000000000000001, offset"), "{said}");
    assert!(said.contains(&format!("doozerd repair {dir}")), "{said}");
}

#[tokio::test]
async fn a_member_that_cannot_write_stops_and_the_others_go_on() {
    let place = Place::new();
    // No file of the last member may be longer than 64 KiB: the segments of its log are shorter, and
    // its snapshots get longer.
    let limit = "trap '' XFSZ; ulimit -f 128 || exit 9;";
    let mut members = cluster(&place, &["--data-log", "128K"], limit).await;
    let mut acknowledged = BTreeMap::new();
    let load = Load::start(&members, 0);
    // It comes to that soon, however slow the disk is.
    let large = client(&[&members[0].addr]).await;
    for n in 0..200 {
        let path = format!("/large/{n}");
        let set = large.set(&path, vec![7; 1024], Condition::MISSING).await;
        set.expect("a majority is there");
    }
    let mut last = members.pop().expect("there are three");
    stops_alone(&mut last, &members, "File too large").await;
    load.stop(&mut acknowledged).await;
    check(&members, &acknowledged).await;

    // With room on the disk again, it comes back with all it has promised.
    last.again();
    last.says(" ready: ").await;
    members.push(last);
    check(&members, &acknowledged).await;
}

/// The member stops with this reason, and the others go on.
async fn stops_alone(member: &mut Member, others: &[Member], reason: &str) {
    assert_eq!(member.code().await, Some(3));
    let stopped = Instant::now();
    let log = member.log();
    assert!(log.contains("cannot write to the data directory"), "{log}");
    assert!(log.contains(reason), "{log}");
    let addrs: Vec<&str> = others.iter().map(|other| other.addr.as_str()).collect();
    let set = client(&addrs).await;
    let set = set.set("/after", "x", Condition::MISSING).await;
    set.expect("a majority is there");
    println!("the others write {:?} later", stopped.elapsed());
    sleep(LOAD).await;
}

/// Starts a member whose disk fails from the n-th call of this kind on, and what comes after it as
/// usual. The tracer is a process beside it, which ends with it.
async fn stops_when_the_disk_fails(call: &str, nth: u32) {
    let place = Place::new();
    let inject = format!("-e trace={call} -e inject={call}:error=EIO:when={nth}+");
    let traced = format!("exec strace -D -f -qq -o /dev/null {inject} \"$0\" \"$@\";");
    let mut members = cluster(&place, &[], &traced).await;
    let mut acknowledged = BTreeMap::new();
    let load = Load::start(&members, 0);
    let mut last = members.pop().expect("there are three");
    stops_alone(&mut last, &members, "Input/output error").await;
    load.stop(&mut acknowledged).await;
    check(&members, &acknowledged).await;

    // What it had told anybody is on the disk, though the disk failed.
    last.again();
    last.says(" ready: ").await;
    check(&[last], &acknowledged).await;
}

#[tokio::test]
async fn a_member_whose_sync_fails_stops_at_once_and_the_others_go_on() {
    if can_trace() {
        stops_when_the_disk_fails("fdatasync", 300).await;
    }
}

#[tokio::test]
async fn a_member_whose_write_fails_stops_at_once_and_the_others_go_on() {
    if can_trace() {
        stops_when_the_disk_fails("pwrite64", 300).await;
    }
}

/// A file system of its own, which is gone with the test.
struct Small(PathBuf);

impl Small {
    /// Mounts it there, if this machine lets the test.
    fn mount(at: &str) -> Option<Small> {
        std::fs::create_dir_all(at).expect("it can be made");
        let small = Small(at.into());
        let options = format!("size={SMALL}");
        let mounted = small.run(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs", at]);
        mounted.then_some(small)
    }

    /// Takes all the room that is left, and gives it back when the file is removed.
    fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast.tmp");
        let mut file = File::create(&ballast).expect("a file can be made");
        while file.write_all(&[1; 4096]).is_ok() {}
        ballast
    }

    fn run(&self, command: &[&str]) -> bool {
        let run = Command::new(command[0])
            .args(&command[1..])
            .stderr(Stdio::null())
            .status();
        run.is_ok_and(|status| status.success())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let at = self.0.to_str().expect("a name of ours");
        // The process that was there may need a moment to be gone.
        self.run(&["umount", "-l", at]);
    }
}

/// Room on the small file system: for a member with a short log, and a few thousand writes.
const SMALL: &str = "1m";

#[tokio::test]
async fn a_member_whose_disk_is_full_stops_at_once_and_the_others_go_on() {
    let place = Place::new();
    let port = free_port();
    let last = format!("127.0.0.3:{port}");
    let dir = place.within(&last);
    let small = Small::mount(&dir);
    // Who may not mount anything may do so in a namespace of its own, where it ends with the process.
    let inside = format!(
        "exec unshare -rm sh -c 'mount -t tmpfs -o size={SMALL} tmpfs {dir} && exec \"$0\" \"$@\"' \
         \"$0\" \"$@\";"
    );
    let try_namespace = ["-rm", "mount", "-t", "tmpfs", "tmpfs", &dir];
    let before = match small {
        Some(_) => "",
        // There, only what is written can fill it.
        None => match Command::new("unshare").args(try_namespace).status() {
            Ok(status) if status.success() => &inside,
            _ => return println!("SKIPPED: this machine lets nobody mount a small file system"),
        },
    };
    let mut members = cluster_at(&place, port, &["--data-log", "128K"], before).await;
    let mut acknowledged = BTreeMap::new();
    let load = Load::start(&members, 0);
    sleep(LOAD / 4).await;
    let ballast = small.as_ref().map(Small::fill);
    let mut last = members.pop().expect("there are three");
    stops_alone(&mut last, &members, "No space left on device").await;
    load.stop(&mut acknowledged).await;
    check(&members, &acknowledged).await;

    if let Some(ballast) = ballast {
        std::fs::remove_file(ballast).expect("it is there");
        last.again();
        last.says(" ready: ").await;
        check(&[last], &acknowledged).await;
    }
}

#[tokio::test]
async fn a_member_whose_directory_is_taken_away_stops() {
    let place = Place::new();
    let mut members = cluster(&place, &["--data-log", "16K"], "").await;
    let mut acknowledged = BTreeMap::new();
    let load = Load::start(&members, 0);
    sleep(LOAD / 4).await;
    let mut last = members.pop().expect("there are three");
    let away = format!("{}.away", last.dir);
    std::fs::rename(&last.dir, away).expect("it is there");
    assert_eq!(last.code().await, Some(3));
    let log = last.log();
    assert!(log.contains("No such file or directory"), "{log}");
    sleep(LOAD / 4).await;
    load.stop(&mut acknowledged).await;
    check(&members, &acknowledged).await;
}

#[tokio::test]
async fn the_directory_stays_small_whatever_is_written() {
    let place = Place::new();
    let addr = format!("127.0.0.1:{}", free_port());
    let arguments = ["--data-log", "64K", "-hist", "100"];
    let member = Member::start(&place, &addr, &arguments, "").await;
    let at = client(&[&addr]).await;
    let value = vec![7; 1000];
    let mut largest = 0;
    for n in 0..2_000 {
        let path = format!("/a/{}", n % 50);
        let set = at.set(&path, value.clone(), Condition::ALWAYS).await;
        set.expect("it answers");
        if n % 50 == 0 {
            largest = largest.max(bytes_in(Path::new(&member.dir)));
        }
    }
    // Two snapshots of 150 revisions of 1000 bytes, the log between them, what is written while one is
    // made, and segments for later: 2 MB of values were written.
    assert!(largest < 1 << 20, "{largest}");
    assert!(largest > 100_000, "{largest}");
}

/// Bytes of all files in a directory. Some may go meanwhile.
fn bytes_in(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return 0;
    };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_in(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

/// How many files the member has that is to come back.
const FILES: usize = 100_000;

/// How long it may take.
const BACK_MAX: Duration = Duration::from_secs(2);

#[tokio::test]
#[ignore = "takes a minute; run with: cargo test --release --test durable -- --ignored"]
async fn a_member_with_many_files_is_back_soon() {
    let place = Place::new();
    let addr = format!("127.0.0.1:{}", free_port());
    let mut member = Member::start(&place, &addr, &[], "").await;
    let at = client(&[&addr]).await;
    let mut writes = tokio::task::JoinSet::new();
    for writer in 0..64 {
        let at = at.clone();
        writes.spawn(async move {
            for n in (writer..FILES).step_by(64) {
                let path = format!("/files/{}/{n}", n % 100);
                let set = at.set(&path, vec![7; 100], Condition::MISSING).await;
                set.expect("it answers");
            }
        });
    }
    writes.join_all().await;
    member.kill();
    let begin = Instant::now();
    member.again();
    member.says(" ready: ").await;
    let back = begin.elapsed();
    println!("{FILES} files are back after {back:?}");
    let file = client(&[&addr]).await.get("/files/99/99999").await;
    assert!(file.expect("it answers").is_some());
    assert!(back < BACK_MAX, "{back:?}");
}
