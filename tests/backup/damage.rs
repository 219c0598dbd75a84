//! Journals whose files are damaged, missing, or left behind by a crash: what was saved is read, or
//! refused with the file; it is never taken for less, and never overwritten.

use std::fs;
use std::path::{Path, PathBuf};

use doozer::backup::{Contents, Journal, JournalError, Origin, read_journal};
use doozer::client::Event;
use doozer::core::id::Rev;

use super::events;
use super::place::{Place, doozer, refused};

/// Nobody listens there, and nobody needs to.
const NOWHERE: &str = "127.0.0.1:1";

/// Logs are not cut in these tests, except where that is said.
const LOG: u64 = 1 << 30;

fn origin() -> Origin {
    Origin {
        cluster: "local".into(),
        lineage: "generation 1, founded by X".into(),
        generation: 1,
    }
}

fn contents(rev: u64) -> Contents {
    Contents {
        rev: Rev(rev),
        ..Contents::default()
    }
}

fn few(from: u64, count: u64) -> Vec<Event> {
    events(Rev(from), count, 10)
}

/// Base 1 and log 1 up to revision 20; then it was away for too long: base 2 at 50, log 2 up to 1000.
fn away_too_long(place: &Place) -> PathBuf {
    let dir = place.0.join("journal");
    let (mut journal, _) = Journal::open(&dir, LOG).unwrap();
    journal.begin(&origin(), &contents(10), 7).unwrap();
    journal.append(&few(10, 10), 8).unwrap();
    journal.begin(&origin(), &contents(50), 9).unwrap();
    for from in (50..1000).step_by(50) {
        journal.append(&few(from, 50), 10).unwrap();
    }
    dir
}

fn damage(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 4;
    fs::write(file, bytes).unwrap();
}

fn rev(dir: &Path, at: Option<u64>) -> Result<u64, String> {
    let reading = read_journal(dir, at.map(Rev));
    reading
        .map(|reading| reading.contents.rev.0)
        .map_err(|error| error.to_string())
}

fn opening(dir: &Path) -> String {
    Journal::open(dir, LOG).unwrap_err().to_string()
}

#[tokio::test]
async fn without_a_damaged_base_that_nothing_leads_to_nothing_older_is_taken_for_it() {
    let place = Place::new();
    let dir = away_too_long(&place);
    let (base, log) = (dir.join("base-2"), dir.join("log-2"));
    assert_eq!(rev(&dir, None), Ok(1000));
    damage(&base, 30);
    let why = rev(&dir, None).unwrap_err();
    assert!(why.contains("base-2, line 1: damaged"), "{why}");
    assert!(!why.contains("says the same"), "{why}");
    let remedy = "up to revision 20, can be restored with --at 20, once this file is moved away";
    assert!(why.ends_with(remedy), "{why}");
    assert_eq!(opening(&dir), why);

    fs::rename(&base, place.0.join("away")).unwrap();
    let saved = fs::read(&log).unwrap();
    let name = dir.to_str().unwrap();
    for why in [
        rev(&dir, None).unwrap_err(),
        opening(&dir),
        refused(NOWHERE, &["restore", "--check", name]).await,
        refused(NOWHERE, &["restore", name]).await,
    ] {
        assert!(why.contains("log-2, line 1"), "{why}");
        assert!(why.contains("it goes on from revision 50"), "{why}");
        assert!(why.contains("a file is missing, put it back"), "{why}");
    }
    assert_eq!(fs::read(&log).unwrap(), saved);
    // What the remedy names is there.
    let check = ["restore", "--check", "--at", "20", name];
    let said = doozer(NOWHERE, &check).await;
    assert!(said.contains("at revision 20"), "{said}");
    assert!(rev(&dir, Some(21)).is_err());
}

#[test]
fn a_log_that_is_missing_is_noticed_wherever_it_was() {
    let place = Place::new();
    // The log of the newest base.
    let dir = away_too_long(&place);
    fs::remove_file(dir.join("log-2")).unwrap();
    let why = rev(&dir, None).unwrap_err();
    assert!(why.contains("log-2 is missing: put it back"), "{why}");
    assert!(why.contains("--at 50"), "{why}");
    assert_eq!(opening(&dir), why);
    assert_eq!(rev(&dir, Some(50)), Ok(50));
    assert_eq!(rev(&dir, Some(20)), Ok(20));
    assert!(rev(&dir, Some(51)).is_err());

    // One in the middle.
    let dir = place.0.join("cut");
    let all = place.0.join("all");
    fs::create_dir(&all).unwrap();
    let (mut journal, _) = Journal::open(&dir, 1).unwrap();
    journal.begin(&origin(), &contents(10), 7).unwrap();
    for from in [10, 40, 70] {
        journal.append(&few(from, 30), 8).unwrap();
        journal.settle().unwrap();
        for entry in fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), all.join(entry.file_name())).unwrap();
        }
    }
    assert_eq!(rev(&all, None), Ok(100));
    for base in ["base-2", "base-3", "base-4"] {
        fs::remove_file(all.join(base)).unwrap();
    }
    assert_eq!(rev(&all, None), Ok(100));
    for (missing, before) in [("log-3", 70), ("log-2", 40)] {
        fs::remove_file(all.join(missing)).unwrap();
        let why = rev(&all, None).unwrap_err();
        assert!(why.contains(&format!("{missing} is missing")), "{why}");
        assert_eq!(opening(&all), why);
        assert_eq!(rev(&all, Some(before)), Ok(before));
    }
    assert!(all.join("log-4").exists());
}

#[test]
fn without_its_only_base_a_log_is_kept_and_refused() {
    let place = Place::new();
    let dir = place.0.join("journal");
    let (mut journal, _) = Journal::open(&dir, LOG).unwrap();
    journal.begin(&origin(), &contents(10), 7).unwrap();
    journal.append(&few(10, 10), 8).unwrap();
    drop(journal);
    fs::remove_file(dir.join("base-1")).unwrap();
    for error in [
        read_journal(&dir, None).unwrap_err(),
        Journal::open(&dir, LOG).unwrap_err(),
    ] {
        assert!(matches!(error, JournalError::Missing { .. }), "{error}");
        assert!(
            error.to_string().contains("base-1 is missing: put it back"),
            "{error}"
        );
    }
    assert!(dir.join("log-1").exists());
}

#[test]
fn what_a_crash_leaves_of_a_base_that_was_begun_is_no_damage() {
    let place = Place::new();
    // The first one: there is no journal yet.
    let dir = place.0.join("first");
    let (mut journal, _) = Journal::open(&dir, LOG).unwrap();
    journal.begin(&origin(), &contents(10), 7).unwrap();
    drop(journal);
    fs::remove_file(dir.join("base-1")).unwrap();
    let nothing = read_journal(&dir, None).unwrap_err();
    assert!(matches!(nothing, JournalError::Empty { .. }), "{nothing}");
    let (mut journal, outlook) = Journal::open(&dir, LOG).unwrap();
    assert_eq!(outlook, None);
    journal.begin(&origin(), &contents(10), 7).unwrap();
    journal.append(&few(10, 10), 8).unwrap();
    // A later one: what was before it goes on, although a crash comes again.
    journal.begin(&origin(), &contents(50), 9).unwrap();
    drop(journal);
    fs::remove_file(dir.join("base-2")).unwrap();
    assert_eq!(rev(&dir, None), Ok(20));
    let (mut journal, outlook) = Journal::open(&dir, LOG).unwrap();
    assert_eq!(outlook.unwrap().rev, Rev(20));
    journal.append(&few(20, 5), 10).unwrap();
    drop(journal);
    let log = dir.join("log-1");
    let torn = [&fs::read(&log).unwrap()[..], b"{\"time\":17672256"].concat();
    fs::write(&log, torn).unwrap();
    assert_eq!(rev(&dir, None), Ok(25));
    let (mut journal, outlook) = Journal::open(&dir, LOG).unwrap();
    assert!(outlook.unwrap().torn > 0);
    journal.begin(&origin(), &contents(60), 11).unwrap();
    journal.append(&few(60, 5), 12).unwrap();
    assert_eq!(rev(&dir, None), Ok(65));
    assert_eq!(rev(&dir, Some(25)), Ok(25));
}

#[test]
fn nothing_takes_the_place_of_a_file() {
    let place = Place::new();
    let dir = place.0.join("journal");
    let (mut journal, _) = Journal::open(&dir, LOG).unwrap();
    journal.begin(&origin(), &contents(10), 7).unwrap();
    let log = dir.join("log-2");
    fs::write(&log, "precious").unwrap();
    let error = journal.begin(&origin(), &contents(50), 9).unwrap_err();
    assert!(
        error.to_string().contains("log-2: it is there already"),
        "{error}"
    );
    assert_eq!(fs::read(&log).unwrap(), b"precious");
}

#[test]
fn what_is_before_damage_in_a_log_can_be_read() {
    let place = Place::new();
    let dir = away_too_long(&place);
    let log = dir.join("log-2");
    let bytes = fs::read(&log).unwrap();
    let ends = bytes.iter().enumerate();
    let ends = ends.filter_map(|(at, byte)| (*byte == b'\n').then_some(at));
    let fourth = ends.clone().nth(2).unwrap() + 20;
    damage(&log, fourth);
    let why = rev(&dir, None).unwrap_err();
    assert!(why.contains("log-2, line 4: damaged"), "{why}");
    assert!(why.ends_with("can be restored with --at 150"), "{why}");
    assert_eq!(rev(&dir, Some(150)), Ok(150));
    assert_eq!(rev(&dir, Some(70)), Ok(70));
    assert!(rev(&dir, Some(151)).is_err());
}
