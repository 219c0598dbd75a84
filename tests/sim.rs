//! Sweeps over fresh seeds, and the same seed in two processes.
//!
//! `DOOZER_SIM_SEEDS` says how many fresh seeds, `DOOZER_SIM_BASE` where they begin. Without a base
//! they begin somewhere else each time; the sweep prints where.

#![cfg(feature = "sim")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "reads its size from the environment, runs processes, and takes the time for a number"
)]

use std::env;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use doozer::core::node::Node;
use doozer::sim::run::{Report, run};
use doozer::sim::setup::Setup;
use serde_json::Value;

/// Fresh seeds when nobody says how many.
const SEEDS: u64 = 2_000;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// A number that no other call has had.
fn fresh() -> u64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH);
    passed.map_or(0, |passed| passed.as_micros() as u64)
}

fn run_seed(seed: u64) -> Report {
    run::<Node>(&Setup::from_seed(seed), (), None)
}

#[test]
fn a_sweep_breaks_no_rule() {
    let base = number("DOOZER_SIM_BASE").unwrap_or_else(fresh);
    let seeds = number("DOOZER_SIM_SEEDS").unwrap_or(SEEDS);
    let sweep = Command::new(env!("CARGO_BIN_EXE_doozer-sim"))
        .args(["sweep", "--seeds", &format!("{base}..{}", base + seeds)])
        // What it tells of itself, failures included, shows at once.
        .stderr(Stdio::inherit())
        .output()
        .expect("doozer-sim can be started");
    let line = String::from_utf8_lossy(&sweep.stdout);
    assert!(sweep.status.success(), "base {base}: {line}");
    let totals: Value = serde_json::from_str(&line).expect("the totals are JSON");
    let count = |name: &str| totals[name].as_u64().unwrap_or_else(|| panic!("no {name}"));
    assert_eq!((count("runs"), count("failures")), (seeds, 0));
    assert!(
        count("excused") * 100 <= seeds,
        "too many runs do not prove that the core lives: {line}"
    );
    assert!(
        count("explained") >= seeds && count("undecided") * 10 <= count("explained"),
        "too little was searched: {line}"
    );
    assert!(
        count("crashes") >= seeds / 10,
        "hardly anybody died: {line}"
    );
    assert!(
        count("idle_speedup") >= 100,
        "an idle cluster takes a tenth of its time even on a busy machine: {line}"
    );
    assert!(
        count("repeated") >= seeds / 50,
        "hardly any run was repeated: {line}"
    );
}

#[test]
fn a_sweep_finds_what_no_seed_decides_and_ends_with_the_command_that_shows_it() {
    let sim = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doozer-sim"));
        command.args(args).args(["--machine", "leaky-standin"]);
        command.output().expect("doozer-sim can be started")
    };
    let sweep = sim(&["sweep", "--seeds", "0..400"]);
    assert!(!sweep.status.success(), "the leak was not found");
    let told = String::from_utf8_lossy(&sweep.stderr);
    let found = |line: &str| line.contains("the same seed is the same run: event ");
    assert!(told.lines().any(found), "no event is named: {told}");
    let last = told.lines().last().expect("something is told");
    let command = last.strip_prefix("replay: doozer-sim run --seed ");
    let command = command.unwrap_or_else(|| panic!("the command comes last: {told}"));
    assert!(command.ends_with("--machine leaky-standin"), "{command}");
}

#[test]
fn seeds_that_once_failed_break_no_rule() {
    let corpus = include_str!("../simulations/seeds.txt");
    let lines = corpus.lines().filter(|line| !line.starts_with('#'));
    let mut seeds = 0;
    for line in lines {
        let (seed, cause) = line.split_once(' ').expect("a seed and what it found");
        let report = run_seed(seed.parse().expect("a number"));
        assert!(
            report.violation.is_none(),
            "seed {seed} again ({}): {report:?}",
            cause.trim()
        );
        seeds += 1;
    }
    assert!(seeds > 0);
}

#[test]
fn the_same_seed_is_the_same_run_twice_in_one_process() {
    for seed in 0..6 {
        assert_eq!(run_seed(seed), run_seed(seed));
    }
}

#[test]
fn the_same_seed_is_the_same_run_in_another_process() {
    for seed in [1_u64, 2, 3] {
        let here = run_seed(seed);
        let seed = seed.to_string();
        let there = Command::new(env!("CARGO_BIN_EXE_doozer-sim"))
            .args(["run", "--seed", &seed])
            .output()
            .expect("doozer-sim can be started");
        let told = String::from_utf8_lossy(&there.stdout);
        assert!(
            told.contains(&format!("trace {} ", here.trace)),
            "{told}, here {here:?}"
        );
    }
}
