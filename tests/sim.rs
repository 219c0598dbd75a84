//! Sweeps over fresh seeds, and the same seed in two processes.
//!
//! `DOOZER_SIM_SEEDS` says how many seeds (default 300), `DOOZER_SIM_BASE` where they begin.
//! `cargo test --profile sim --features sim` is the quick way to run this.

#![cfg(feature = "sim")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "reads its size from the environment and runs processes"
)]

use std::env;
use std::process::Command;

use doozer::core::node::Node;
use doozer::sim::run::run;
use doozer::sim::sweep::Totals;

/// Where seeds begin when nobody says so.
const BASE: u64 = 0xd00_2e2;

fn number(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

#[test]
fn a_sweep_breaks_no_rule() {
    let base = number("DOOZER_SIM_BASE", BASE);
    let seeds = number("DOOZER_SIM_SEEDS", 300);
    println!("DOOZER_SIM_BASE={base} DOOZER_SIM_SEEDS={seeds}");
    let mut totals = Totals::default();
    for seed in base..base + seeds {
        totals.add(run::<Node>(seed, (), None));
    }
    println!("{totals}");
    let failures = totals.failures.iter().map(|report| {
        let seed = report.seed;
        let violation = report.violation.as_ref().map(ToString::to_string);
        format!(
            "seed {seed}: {}\n  replay: doozer-sim run --seed {seed} --verbose",
            violation.unwrap_or_default()
        )
    });
    let failures: Vec<String> = failures.collect();
    assert!(failures.is_empty(), "base {base}:\n{}", failures.join("\n"));
    assert!(
        totals.excused * 20 <= totals.runs,
        "too many runs do not prove that the core lives: {totals}"
    );
    assert!(
        totals.explained >= totals.runs && totals.undecided * 10 <= totals.explained,
        "too little was searched: {totals}"
    );
    assert!(
        totals.crashes >= seeds / 10,
        "hardly anybody died: {totals}"
    );
}

#[test]
fn seeds_that_once_failed_break_no_rule() {
    let corpus = include_str!("../simulations/seeds.txt");
    let lines = corpus.lines().filter(|line| !line.starts_with('#'));
    let mut seeds = 0;
    for line in lines {
        let (seed, cause) = line.split_once(' ').expect("a seed and what it found");
        let report = run::<Node>(seed.parse().expect("a number"), (), None);
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
        assert_eq!(run::<Node>(seed, (), None), run::<Node>(seed, (), None));
    }
}

#[test]
fn the_same_seed_is_the_same_run_in_another_process() {
    for seed in [1_u64, 2, 3] {
        let here = run::<Node>(seed, (), None);
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
