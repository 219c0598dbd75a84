//! Old clients notice nothing: plays conversations that were recorded from the original server
//! against ours, each with a fresh server, and compares the answers byte for byte. README.md beside
//! this file describes the format of the recordings.
//!
//! The cases whose input makes the original crash or hang are played as well; what is expected
//! there is written by hand.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "plays against real processes over real sockets"
)]

mod fleet;
mod player;
mod script;
mod tape;
mod wire;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;

use fleet::Fleet;
use script::Case;

/// Cases that are played at the same time, over all files: most of their time is waiting.
const CASES_AT_ONCE: usize = 4;

macro_rules! recordings {
    ($($file:ident)*) => {
        /// Each file of recordings by name, with its text.
        const FILES: &[(&str, &str)] =
            &[$((stringify!($file), include_str!(concat!(stringify!($file), ".json")))),*];

        $(
            #[test]
            fn $file() {
                replay(stringify!($file));
            }
        )*
    };
}

recordings! {
    access
    dir_walk
    framing
    get_stat
    globs
    history
    pipelining
    robustness
    set_del
    slave
    wait
}

#[test]
fn every_file_of_recordings_is_played() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".json").map(str::to_owned)
        })
        .collect();
    found.sort();
    let played: Vec<&str> = FILES.iter().map(|(file, _)| *file).collect();
    assert_eq!(found, played);
}

/// Plays the cases of a file, and tells of all that fail.
fn replay(file: &str) {
    let (_, text) = FILES.iter().find(|(name, _)| *name == file).unwrap();
    let cases = script::read(text).unwrap_or_else(|error| panic!("{file}.json: {error}"));
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..CASES_AT_ONCE.min(cases.len()) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let _turn = Turn::take();
                    if let Err(failure) = play_afresh(case) {
                        let line = format!("{file}.json {}: {failure}", case.name);
                        failures.lock().unwrap().push(line);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {} cases failed:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

fn play_afresh(case: &Case) -> Result<(), String> {
    let mut fleet = Fleet::start(case.profile)?;
    let played = player::play(case, &mut fleet).and_then(|()| fleet.check_alive());
    played.map_err(|failure| format!("{failure}{}", fleet.logs()))
}

/// The right to run one case.
struct Turn;

static TAKEN: Mutex<usize> = Mutex::new(0);
static RETURNED: Condvar = Condvar::new();

impl Turn {
    fn take() -> Turn {
        let is_full = |taken: &mut usize| *taken >= CASES_AT_ONCE;
        *RETURNED.wait_while(TAKEN.lock().unwrap(), is_full).unwrap() += 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap() -= 1;
        RETURNED.notify_one();
    }
}
