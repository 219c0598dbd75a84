//! What members with data directories ask of their disk, as real processes: what they make durable,
//! and what they do when the disk takes for ever.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes and talks to them"
)]

mod members;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use doozer::client::Condition;
use members::{Member, PATIENCE, Place, can_trace, client, free_port, spawn};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Runs this until the system was asked to make all of these durable.
async fn asks_to_sync(place: &Place, arguments: &[&str], expected: &[PathBuf]) {
    let (log, traced) = (place.within("log"), place.within("traced"));
    let before = format!("exec strace -D -f -y -qq -e trace=fsync -o {traced} \"$0\" \"$@\";");
    let mut child = spawn(arguments, &before, Path::new(&log));
    let begin = Instant::now();
    for path in expected {
        let asked = format!("<{}>", path.display());
        let is_asked = || std::fs::read_to_string(&traced).is_ok_and(|text| text.contains(&asked));
        while !is_asked() {
            assert!(begin.elapsed() < PATIENCE, "not made durable: {asked}");
            sleep(Duration::from_millis(20)).await;
        }
    }
    child.kill().expect("it lives");
    child.wait().expect("it ends");
}

#[tokio::test]
async fn the_names_of_new_directories_and_what_is_set_aside_are_made_durable() {
    if !can_trace() {
        return;
    }
    let place = Place::new();
    let addr = format!("127.0.0.1:{}", free_port());
    let root = Path::new(&place.within(""))
        .canonicalize()
        .expect("it is there");
    let dir = root.join("a/b/data");
    let text = dir.to_str().expect("a name of ours");
    let made = [root.clone(), root.join("a"), root.join("a/b"), dir.clone()];
    asks_to_sync(&place, &["init", text, "-l", &addr], &made).await;
    let aside = [dir.join("damaged-1/identity"), dir.join("damaged-1")];
    let repair = ["repair", text, "127.0.0.1:1", "--force"];
    asks_to_sync(&place, &repair, &aside).await;
}

/// How soon a process has to have done what does not wait for the disk.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn who_stops_hangs_up_at_once_and_a_second_signal_does_not_wait_for_the_disk() {
    let place = Place::new();
    let addr = format!("127.0.0.1:{}", free_port());
    let mut member = Member::start(&place, &addr, &["--data-log", "128K"], "").await;
    let at = client(&[&addr]).await;
    let set = at.set("/first", "x", Condition::MISSING).await;
    set.expect("it answers");
    // To open this takes for ever, like the calls on a disk that hangs: nobody reads what comes.
    let next = Path::new(&member.dir).join(&member.id);
    let next = next.join("log-0000000000000002.tmp");
    let made = Command::new("mkfifo").arg(&next).status();
    assert!(made.expect("it can be run").success());
    for n in 0.. {
        let path = format!("/a/{n}");
        let set = at.set(&path, vec![7; 1000], Condition::MISSING);
        if timeout(Duration::from_secs(1), set).await.is_err() {
            break;
        }
    }
    let mut heard = TcpStream::connect(&addr).await.expect("it listens");
    let pid = Pid::from_child(&member.child);
    kill_process(pid, Signal::TERM).expect("it lives");
    let end = timeout(SOON, heard.read(&mut [0; 1])).await;
    assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
    let ended = member.child.try_wait().expect("it can be asked");
    assert_eq!(ended, None, "it leaves what it was told to write");
    kill_process(pid, Signal::TERM).expect("it lives");
    let begin = Instant::now();
    assert_eq!(member.code().await, Some(0));
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
}
