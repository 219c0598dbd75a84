//! The production runtime on simulated sockets: a sweep over fresh seeds, and the same seed in two
//! processes.
//!
//! `DOOZER_TURMOIL_SEEDS` says how many seeds (default 50), `DOOZER_TURMOIL_BASE` where they begin.
//! `cargo test --profile sim --features sim --test turmoil` is the quick way to run this.

#![cfg(feature = "sim")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "reads its size from the environment and runs processes"
)]

use std::env;
use std::process::Command;

use doozer::sim::sweep::Totals;
use doozer::sim::turmoil::run;

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
    let base = number("DOOZER_TURMOIL_BASE", BASE);
    let seeds = number("DOOZER_TURMOIL_SEEDS", 50);
    println!("DOOZER_TURMOIL_BASE={base} DOOZER_TURMOIL_SEEDS={seeds}");
    let mut totals = Totals::default();
    for seed in base..base + seeds {
        totals.add(run(seed, None));
    }
    println!("{totals}");
    if let Some(report) = &totals.first_failure {
        let (seed, violation) = (report.seed, &report.violation);
        panic!(
            "base {base}, seed {seed}: {violation:?}\n  replay: doozer-sim turmoil --seed {seed} --verbose"
        );
    }
    assert!(totals.crashes > seeds, "hardly anybody ended: {totals}");
    assert!(totals.faults > seeds, "hardly anything failed: {totals}");
}

#[test]
fn the_same_seed_is_the_same_run_twice_in_one_process_and_others_are_not() {
    let mut traces = Vec::new();
    for seed in 0..4 {
        let report = run(seed, None);
        assert_eq!(report, run(seed, None));
        traces.push(report.trace.to_string());
    }
    traces.sort();
    traces.dedup();
    assert_eq!(traces.len(), 4, "each seed is a run of its own");
}

#[test]
fn the_same_seed_is_the_same_run_in_another_process() {
    for seed in [5_u64, 6] {
        let here = run(seed, None);
        let there = Command::new(env!("CARGO_BIN_EXE_doozer-sim"))
            .args(["turmoil", "--seed", &seed.to_string()])
            .output()
            .expect("doozer-sim can be started");
        let told = String::from_utf8_lossy(&there.stdout);
        assert!(
            told.contains(&format!("trace {} ", here.trace)),
            "{told}, here {here:?}"
        );
    }
}
