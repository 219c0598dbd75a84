//! The tools of `doozer-sim` that show a failure: the command that a sweep ends with, and those
//! that follow.

#![cfg(feature = "sim")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "runs processes and reads what they write"
)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A scenario with a bug that is found at once.
const SCENARIO: &str = "simulations/half-is-no-quorum.toml";

fn sim(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doozer-sim"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args);
    command.output().expect("doozer-sim can be started")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The numbers of the events that lines tell of, but for the one of the broken rule.
fn numbers(text: &str) -> Vec<u64> {
    let lines = text.lines().filter(|line| !line.contains(" violates "));
    let first = lines.filter_map(|line| line.split_whitespace().next());
    first.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn a_sweep_that_fails_ends_with_the_command_that_replays_it() {
    let sweep = sim(&["sweep", "--seeds", "0..40", "--mutant", "QuorumOfHalf"]);
    assert_eq!(sweep.status.code(), Some(1));
    let told = String::from_utf8_lossy(&sweep.stderr).into_owned();
    let last = told.lines().last().expect("something is told");
    let command = last.strip_prefix("replay: doozer-sim ");
    let command = command.unwrap_or_else(|| panic!("the command comes last: {told}"));
    let args: Vec<&str> = command.split_whitespace().collect();
    assert_eq!(args[0], "replay");
    assert_eq!(args[3..], ["--mutant", "QuorumOfHalf"]);

    let replay = sim(&args);
    assert_eq!(replay.status.code(), Some(1), "{command}");
    let text = stdout(&replay);
    let named = text
        .lines()
        .find_map(|line| line.strip_prefix("violated: "));
    let named = named.unwrap_or_else(|| panic!("no rule is named: {text}"));
    let seed = format!("seed {}: violated: {named}", args[2]);
    assert!(
        told.contains(&seed),
        "the sweep has not told {seed}: {told}"
    );
    assert!(text.lines().any(|line| line.contains(" violates ")));

    let from = numbers(&text).last().copied().expect("there are events") - 50;
    let part = sim(&[&args[..], &["--from-event", &from.to_string()]].concat());
    assert_eq!(part.status.code(), Some(1));
    let part = numbers(&stdout(&part));
    assert!(
        !part.is_empty() && part.iter().all(|number| *number >= from),
        "{part:?}"
    );
}

#[test]
fn a_scenario_is_replayed_with_its_bug_and_without() {
    let replay = sim(&["replay", SCENARIO, "--print", "kind=accept,node=0"]);
    assert_eq!(replay.status.code(), Some(1));
    let text = stdout(&replay);
    let events = text.lines().filter(|line| line.contains(" sends "));
    let mut count = 0;
    for line in events {
        assert!(line.contains(" Accept "), "{line}");
        count += 1;
    }
    assert!(count > 0, "{text}");
    let healthy = sim(&["replay", SCENARIO, "--healthy", "--print", "kind=violates"]);
    assert_eq!(healthy.status.code(), Some(0));
    assert!(stdout(&healthy).ends_with("no rule is broken\n"));
}

#[test]
fn a_slot_is_explained() {
    let explain = sim(&["explain", SCENARIO, "--healthy", "--slot", "1"]);
    assert_eq!(explain.status.code(), Some(0));
    let text = stdout(&explain);
    for part in [
        "slot 1\n",
        "the slot belongs to n0; 1 of 1 members are a majority",
        "allowed: ballot 0 is the owner's",
        "set /ctl/name",
        "{n0}, a majority, have accepted it durably at ballot 0/n0",
        "n0    knew at event",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("NOT ALLOWED"), "{text}");
    assert_eq!(
        sim(&["explain", SCENARIO, "--slot", "1"]).status.code(),
        Some(1)
    );
}

#[test]
fn a_run_is_drawn() {
    let path: PathBuf = std::env::temp_dir().join(format!("doozer-{}.html", std::process::id()));
    let shown = path.display().to_string();
    let draw = sim(&["draw", SCENARIO, "--out", &shown]);
    assert_eq!(draw.status.code(), Some(0), "{draw:?}");
    assert!(stdout(&draw).contains("\nviolated: "), "{draw:?}");
    let html = fs::read_to_string(&path).expect("the page is there");
    fs::remove_file(&path).expect("the page can be removed");
    assert!(html.starts_with("<!doctype html>") && html.contains(r#""violation":{"#));
}
