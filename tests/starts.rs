//! How processes with data directories start: founding, joining, coming back, and what is refused;
//! as real processes.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes and talks to them"
)]

mod members;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use doozer::client::{Address, Condition, Uri, status};
use doozer::core::id::NodeId;
use members::{Member, PATIENCE, Place, client, cluster, cluster_at, free_port, refused, spawn};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::time::sleep;

/// The two ends of a command on a terminal.
struct Person {
    terminal: File,
    seen: String,
}

impl Person {
    /// Starts `doozerd` on a terminal. The child is killed with the member.
    fn at(arguments: &[&str], place: &Place, addr: &str) -> (Person, Member) {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&terminal).expect("it is ours");
        unlockpt(&terminal).expect("it is ours");
        let name = ptsname(&terminal, Vec::new()).expect("it has a name");
        let name = name.to_str().expect("a path").to_owned();
        let end = || {
            let file = File::options().read(true).write(true).open(&name);
            file.expect("the other end")
        };
        let child = Command::new(env!("CARGO_BIN_EXE_doozerd"))
            .args(["-w", "false"])
            .args(arguments)
            .env_remove("DOOZER_BOOT_URI")
            .stdin(Stdio::from(end()))
            .stdout(Stdio::from(end()))
            .stderr(Stdio::from(end()))
            .spawn()
            .expect("doozerd starts");
        let log = place.within(&format!("{addr}.stderr"));
        File::create(&log).expect("a file can be made");
        let member = Member {
            addr: addr.to_owned(),
            dir: place.within(addr),
            log: log.into(),
            child,
            id: String::new(),
        };
        let person = Person {
            terminal: terminal.into(),
            seen: String::new(),
        };
        (person, member)
    }

    /// Reads until the screen ends like this.
    fn sees(&mut self, text: &str) {
        while !self.seen.ends_with(text) {
            let mut bytes = [0; 1];
            self.terminal.read_exact(&mut bytes).expect("it goes on");
            self.seen.push(bytes[0] as char);
            assert!(self.seen.len() < 10_000, "{}", self.seen);
        }
    }

    fn types(&mut self, text: &str) {
        writeln!(self.terminal, "{text}").expect("it listens");
    }
}

/// A process that is started by a command, and what it says on standard output.
async fn commanded(place: &Place, addr: &str, command: &[&str]) -> (Member, String) {
    let log = place.within(&format!("{addr}.stderr"));
    let said = place.within(&format!("{addr}.stdout"));
    let child = Command::new(env!("CARGO_BIN_EXE_doozerd"))
        .args(["-w", "false"])
        .args(command)
        .env_remove("DOOZER_BOOT_URI")
        .stdin(Stdio::null())
        .stdout(File::create(&said).expect("a file can be made"))
        .stderr(File::create(&log).expect("a file can be made"))
        .spawn()
        .expect("doozerd starts");
    let mut member = Member {
        addr: addr.to_owned(),
        dir: place.within(addr),
        log: log.into(),
        child,
        id: String::new(),
    };
    member.says(" ready: ").await;
    member.id = client(&[addr]).await.self_id().await.expect("it answers");
    let begin = Instant::now();
    loop {
        let text = fs::read_to_string(&said).expect("it is written");
        if text.ends_with('\n') {
            return (member, text);
        }
        assert!(begin.elapsed() < PATIENCE, "{text:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_cluster_is_founded_and_joined_by_name_and_comes_back_by_its_directory() {
    let place = Place::new();
    let port = free_port();
    let (first, second) = (format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}"));
    let (one, two) = (place.within(&first), place.within(&second));
    let found = ["init", &one, "-l", &first, "-c", "named"];
    let (mut founder, said) = commanded(&place, &first, &found).await;
    assert_eq!(said, "New doozer cluster created.\n");
    let join = ["join", &two, &first, "-l", &second, "-c", "named"];
    let (mut joiner, said) = commanded(&place, &second, &join).await;
    assert_eq!(said, "Joining cluster... joined.\n");
    let set = client(&[&first]).await;
    let set = set.set("/a", "x", Condition::MISSING).await;
    let rev = set.expect("it answers");
    for member in [&mut founder, &mut joiner] {
        member.stop();
    }
    for (command, dir) in [(&found[..], &one), (&join[..], &two)] {
        let said = refused(command);
        assert!(said.contains("of cluster \"named\""), "{said}");
        assert!(
            said.contains(&format!("doozerd --data-dir {dir}")),
            "{said}"
        );
    }
    for member in [&mut founder, &mut joiner] {
        member.again();
    }
    for member in [&founder, &joiner] {
        member.says(" ready: ").await;
        let client = client(&[&member.addr]).await;
        assert_eq!(client.self_id().await.expect("it answers"), member.id);
        let file = client.get("/a").await.expect("it answers");
        assert_eq!(file.expect("it is there").rev, rev);
    }
}

#[tokio::test]
async fn who_has_only_begun_to_join_goes_on_with_that() {
    let place = Place::new();
    let port = free_port();
    let (first, second) = (format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}"));
    let (dir, log) = (place.within(&second), place.within("log"));
    let join = ["join", &dir, &first, "-l", &second, "-c", "later"];
    let mut child = spawn(&join, "", Path::new(&log));
    let begin = Instant::now();
    while !fs::read_to_string(&log)
        .expect("a log")
        .contains("cannot attach")
    {
        assert!(begin.elapsed() < PATIENCE, "nobody is there");
        sleep(Duration::from_millis(5)).await;
    }
    child.kill().expect("it lives");
    child.wait().expect("it ends");

    let said = refused(&["init", &dir, "-l", &second]);
    assert!(said.contains("told to join cluster \"later\""), "{said}");
    assert!(said.contains(&first), "{said}");
    let founder = Member::start(&place, &first, &["-c", "later"], "").await;
    let set = client(&[&first]).await;
    let set = set.set("/a", "x", Condition::MISSING).await;
    set.expect("it answers");
    // These flags alone would found a cluster with an empty directory.
    let joiner = Member::start(&place, &second, &[], "").await;
    let at_joiner = client(&[&second]).await;
    let file = at_joiner.get("/a").await.expect("it answers");
    assert_eq!(&file.expect("it is there").value[..], b"x");
    let slot = at_joiner.get("/ctl/cal/0").await.expect("it answers");
    let slot = slot.expect("it is there");
    assert_eq!(&slot.value[..], founder.id.as_bytes());
    assert_ne!(founder.id, joiner.id);
}

#[test]
fn an_empty_directory_alone_founds_nothing() {
    let place = Place::new();
    for dir in [place.within("none"), place.within("")] {
        let said = refused(&["--data-dir", &dir]);
        for part in ["doozerd init", "doozerd join", "no terminal"] {
            assert!(said.contains(part), "{said}");
        }
    }
    assert!(!Path::new(&place.within("none")).exists());
    assert!(!Path::new(&place.within("lock")).exists());
    let said = refused(&["repair", &place.within("none")]);
    assert!(said.contains("nothing to repair"), "{said}");
    fs::write(place.within("letter"), "dear").expect("it can be written");
    let said = refused(&["init", &place.within(""), "-l", "127.0.0.1:1"]);
    assert!(said.contains("not empty"), "{said}");
}

#[tokio::test]
async fn a_person_on_a_terminal_is_asked() {
    let place = Place::new();
    let port = free_port();
    let (first, second) = (format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}"));
    let dir = place.within(&first);
    let (mut person, mut founder) = Person::at(&["--data-dir", &dir], &place, &first);
    person.sees("Enter host:port> ");
    person.seen.clear();
    person.types("nonsense");
    person.sees("Enter host:port> ");
    assert!(person.seen.contains("not an address with a port"));
    person.seen.clear();
    person.types(&first);
    person.sees("Initialize or join? [ij] ");
    person.types("i");
    person.sees("New doozer cluster created.\r\n");
    let screen =
        format!("{first}\r\nInitialize or join? [ij] i\r\nNew doozer cluster created.\r\n");
    assert_eq!(person.seen, screen);

    let dir = place.within(&second);
    let (mut person, _joiner) = Person::at(&["--data-dir", &dir], &place, &second);
    person.sees("> ");
    person.types(&second);
    person.sees("[ij] ");
    person.types("j");
    person.sees("Server to join: ");
    person.types(&first);
    person.sees("joined.\r\n");
    let screen = format!(
        "Enter host:port> {second}\r\nInitialize or join? [ij] j\r\nServer to join: {first}\r\n\
         Joining cluster... joined.\r\n"
    );
    assert_eq!(person.seen, screen);
    // What the log had to say has waited, and comes now.
    person.sees(&format!("listening on {second}"));

    founder.kill();
    let dir = place.within(&first);
    let (mut person, _founder) = Person::at(&["--data-dir", &dir], &place, &first);
    person.sees(&format!("listening on {first}"));
    assert!(!person.seen.contains("Enter"), "{}", person.seen);
}

#[tokio::test]
async fn a_damaged_directory_is_refused_and_its_process_repaired() {
    let place = Place::new();
    let mut members = cluster(&place, &["-timeout", "2"], "").await;
    let addrs: Vec<String> = members.iter().map(|member| member.addr.clone()).collect();
    let mut last = members.pop().expect("there are three");
    let dir = last.dir.clone();
    // Until its first snapshot is durable it has told nothing, and whoever starts it joins anew.
    let identity = Path::new(&dir).join("identity");
    let is_whole = || fs::read_to_string(&identity).is_ok_and(|text| text.contains("whole"));
    let begin = Instant::now();
    while !is_whole() {
        assert!(begin.elapsed() < PATIENCE, "it stays unfinished");
        sleep(Duration::from_millis(10)).await;
    }
    last.kill();
    let said = refused(&["repair", &dir]);
    assert!(said.contains("nothing is wrong"), "{said}");

    let folder = Path::new(&dir).join(&last.id);
    let snapshot = folder.join("snapshot-0000000000000001");
    let whole = fs::read(&snapshot).expect("it is there");
    let mut bytes = whole.clone();
    bytes[100] ^= 1;
    fs::write(&snapshot, &bytes).expect("it can be written");
    let said = refused(&["--data-dir", &dir]);
    assert!(
        said.contains("snapshot-0000000000000001, offset 52: "),
        "{said}"
    );
    assert!(said.contains(&format!("doozerd repair {dir}")), "{said}");
    fs::write(&snapshot, &whole).expect("it can be written");
    fs::remove_file(folder.join("log-0000000000000001")).expect("it is there");
    let said = refused(&["--data-dir", &dir]);
    assert!(
        said.contains("log-0000000000000001, offset 0: the file is missing"),
        "{said}"
    );
    let text = fs::read_to_string(&identity).expect("it is there");
    fs::remove_file(&identity).expect("it is there");
    for arguments in [&["--data-dir", &dir][..], &["init", &dir]] {
        let said = refused(arguments);
        assert!(
            said.contains("identity, offset 0: the file is missing"),
            "{said}"
        );
    }
    fs::write(&identity, text.replace("local", "lokal")).expect("it can be written");
    let said = refused(&["--data-dir", &dir]);
    assert!(
        said.contains("changed or damaged; to set the files aside"),
        "{said}"
    );
    fs::write(&identity, text).expect("it can be written");

    let repair = ["repair", &dir, "-timeout", "2"];
    let (repaired, said) = commanded(&place, &last.addr, &repair).await;
    assert!(said.contains("damaged-1"), "{said}");
    assert!(said.ends_with("Joining cluster... joined.\n"), "{said}");
    assert_ne!(repaired.id, last.id);
    let aside = Path::new(&dir).join("damaged-1");
    assert!(aside.join("identity").exists() && aside.join(&last.id).is_dir());
    repaired.says("member in /ctl/cal/2").await;
    let at = client(&[&addrs[0]]).await;
    let slot = at.get("/ctl/cal/2").await.expect("it answers");
    let slot = slot.expect("it is there");
    assert_eq!(&slot.value[..], repaired.id.as_bytes());
}

#[test]
fn a_directory_that_was_repaired_before_can_be_repaired_without_its_identity() {
    let place = Place::new();
    let addr = format!("127.0.0.1:{}", free_port());
    let (dir, log) = (place.within(&addr), place.within("log"));
    let root = Path::new(&dir);
    // What the repair has left, and what its process has written since.
    let id = NodeId([7; 10]).to_string();
    for folder in ["damaged-1", &id] {
        fs::create_dir_all(root.join(folder)).expect("it can be made");
    }
    for arguments in [&["--data-dir", &dir][..], &["init", &dir, "-l", &addr]] {
        let said = refused(arguments);
        assert!(
            said.contains("identity, offset 0: the file is missing"),
            "{said}"
        );
        assert!(said.contains(&format!("doozerd repair {dir}")), "{said}");
    }
    let said = refused(&["repair", &dir]);
    assert!(said.contains("its identity is lost as well"), "{said}");
    let repair = ["repair", &dir, "127.0.0.1:1", "-l", &addr, "-c", "local"];
    let mut child = spawn(&repair, "", Path::new(&log));
    let begin = Instant::now();
    while !root.join("identity").exists() {
        assert!(begin.elapsed() < PATIENCE, "it is not repaired");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("it lives");
    child.wait().expect("it ends");
    assert!(root.join("damaged-1").is_dir());
    assert!(root.join("damaged-2").join(&id).is_dir() && !root.join(&id).exists());
}

/// Copies a directory with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("it can be made");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it can be read");
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).expect("it can be copied")),
        }
    }
}

/// A directory is put back that was copied before its process was started `starts` more times.
async fn put_back(starts: usize, others_restart: bool) {
    let place = Place::new();
    let mut members = cluster(&place, &[], "").await;
    let addrs: Vec<String> = members.iter().map(|member| member.addr.clone()).collect();
    let mut last = members.pop().expect("there are three");
    last.stop();
    let (dir, kept) = (last.dir.clone(), place.within("kept"));
    copy(Path::new(&dir), Path::new(&kept));
    let at = client(&[&addrs[0], &addrs[1]]).await;
    for nth in 0..starts {
        last.again();
        last.says(" ready: ").await;
        let own = client(&[&last.addr]).await;
        let set = own.set(&format!("/a/{nth}"), "x", Condition::MISSING).await;
        set.expect("it answers");
        last.stop();
    }
    if others_restart {
        for member in &mut members {
            member.stop();
            member.again();
            member.says(" ready: ").await;
        }
    }
    fs::remove_dir_all(&dir).expect("it is there");
    copy(Path::new(&kept), Path::new(&dir));
    last.again();
    assert_eq!(last.code().await, Some(3));
    let log = last.log();
    assert!(log.contains("old copy of its data directory"), "{log}");
    assert!(!log.contains(" ready: "), "{log}");
    let said = refused(&["--data-dir", &dir]);
    assert!(said.contains("old copy"), "{said}");
    assert!(said.contains(&format!("doozerd repair {dir}")), "{said}");
    let set = at.set("/b", "x", Condition::MISSING).await;
    set.expect("the others go on");
    let (repaired, _) = commanded(&place, &last.addr, &["repair", &dir]).await;
    assert_ne!(repaired.id, last.id);
}

#[tokio::test]
async fn an_old_copy_of_a_directory_is_not_let_in() {
    put_back(3, false).await;
}

#[tokio::test]
async fn a_copy_of_just_before_the_last_start_is_not_let_in() {
    put_back(1, false).await;
}

#[tokio::test]
async fn an_old_copy_is_not_let_in_by_those_who_have_been_started_since() {
    put_back(3, true).await;
}

/// Whether the process there says that a member may put commands into the log.
async fn is_owner(at: &Member, id: &str) -> bool {
    let addr: Address = at.addr.parse().expect("a well-formed address");
    let status = status(&Uri::of(vec![addr]), None)
        .await
        .expect("it answers");
    status.processes.iter().any(|one| one.id == id && one.owner)
}

#[tokio::test]
async fn a_member_is_found_at_another_address_though_it_owns_nothing() {
    let place = Place::new();
    let port = free_port();
    let mut members = cluster_at(&place, port, &["-c", "moving"], "").await;
    let mut last = members.pop().expect("there are three");
    last.stop();
    let begin = Instant::now();
    // What it could say of itself until then, it would say in slots of its own.
    while is_owner(&members[0], &last.id).await {
        assert!(begin.elapsed() < PATIENCE, "it still owns slots");
        sleep(Duration::from_millis(100)).await;
    }

    let moved = format!("127.0.0.4:{port}");
    let arguments = ["--data-dir", &last.dir, "-l", &moved, "--moved"];
    last.child = spawn(&arguments, "", &last.log);
    last.says(" ready: ").await;
    let at_moved = client(&[&moved]).await;
    let set = at_moved.set("/through", "the moved one", Condition::MISSING);
    set.await.expect("it takes part");
    let at_first = client(&[&members[0].addr]).await;
    let file = at_first.get(&format!("/ctl/node/{}/addr", last.id)).await;
    let file = file.expect("it answers").expect("it is there");
    assert_eq!(&file.value[..], moved.as_bytes());
    let slot = at_first.get("/ctl/cal/2").await;
    let slot = slot.expect("it answers").expect("it is there");
    assert_eq!(&slot.value[..], last.id.as_bytes());
}

#[tokio::test]
async fn who_was_put_out_while_it_was_away_comes_back_with_its_id() {
    let place = Place::new();
    let mut members = cluster(&place, &["-timeout", "2"], "").await;
    let mut last = members.pop().expect("there are three");
    last.stop();
    let at = client(&[&members[0].addr]).await;
    let addr = format!("/ctl/node/{}/addr", last.id);
    let begin = Instant::now();
    while at.get(&addr).await.expect("it answers").is_some() {
        assert!(begin.elapsed() < PATIENCE, "it is not put out");
        sleep(Duration::from_millis(100)).await;
    }
    last.again();
    last.says("member in /ctl/cal/2").await;
    let back = client(&[&last.addr]).await;
    assert_eq!(back.self_id().await.expect("it answers"), last.id);
    let file = at.get(&addr).await.expect("it answers");
    let file = file.expect("it has registered");
    assert_eq!(&file.value[..], last.addr.as_bytes());
}
