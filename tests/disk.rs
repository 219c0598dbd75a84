//! What members with data directories ask of their disk, as real processes: what they make durable.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes and talks to them"
)]

mod members;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use members::{PATIENCE, Place, can_trace, free_port, spawn};
use tokio::time::sleep;

/// Runs this until the system was asked to make all of these durable.
async fn asks_to_sync(place: &Place, arguments: &[&str], expected: &[PathBuf]) {
    let (log, traced) = (place.dir("log"), place.dir("traced"));
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
    let root = Path::new(&place.dir(""))
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
