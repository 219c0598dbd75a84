//! Every scenario comes true: those in `simulations/`, written by hand, and those in
//! `simulations/corpus/`, to which failures were shrunk.
//!
//! A scenario with a planted bug must violate what it names, and nothing without the bug; see below
//! for what is asked of the corpus.

#![cfg(feature = "sim")]
#![allow(clippy::disallowed_methods, reason = "reads the scenarios")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use doozer::core::instrument::mutant::Mutant;
use doozer::sim::scenario::{Expect, Scenario};

/// The scenarios of a folder, by their files, each as it is or what is wrong with it.
fn read(folder: &str) -> Vec<(String, Result<Scenario, String>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).expect("the folder can be read");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    let is_scenario = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "toml");
    let mut paths: Vec<_> = paths.filter(is_scenario).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scenario in {}", folder.display());
    let scenarios = paths.into_iter().map(|path| {
        let file = path.strip_prefix(env!("CARGO_MANIFEST_DIR"));
        let file = file.expect("it is below").display().to_string();
        let text = fs::read_to_string(&path).expect("a scenario can be read");
        let scenario = Scenario::read(&file, &text).map_err(|error| error.to_string());
        (file, scenario)
    });
    scenarios.collect()
}

/// What is wrong with the scenarios of a folder.
fn failures(folder: &str) -> Vec<String> {
    let failures = read(folder).into_iter().filter_map(|(file, scenario)| {
        let wrong = match scenario {
            Err(error) => return Some(error),
            Ok(scenario) => scenario.verify().err()?,
        };
        Some(format!(
            "{file}: {wrong}\n  replay: doozer-sim replay {file}"
        ))
    });
    failures.collect()
}

#[test]
fn scenarios_written_by_hand_come_true() {
    let failures = failures("simulations");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A shrunk failure hangs on the timing of the version that it was shrunk with: a bug may be missed
/// by it later, never a rule be broken without the bug. When fewer than this share of them still
/// bite, in percent, they are to be made anew.
const BITING_PERCENT: usize = 60;

#[test]
fn shrunk_failures_are_no_failures_without_their_bug_and_most_are_with_it() {
    let corpus = read("simulations/corpus");
    let mut tame = Vec::new();
    for (file, scenario) in &corpus {
        let scenario = scenario.as_ref().unwrap_or_else(|error| panic!("{error}"));
        let healthy = scenario.judge(&scenario.run(false, None), &Expect::NoViolation);
        assert_eq!(
            healthy,
            Ok(()),
            "replay: doozer-sim replay {file} --healthy"
        );
        if scenario.mutant.is_some() && scenario.run(true, None).violation.is_none() {
            tame.push(file.as_str());
        }
    }
    assert!(
        (corpus.len() - tame.len()) * 100 >= corpus.len() * BITING_PERCENT,
        "of {} shrunk failures these fail no more; delete them, and make others with \
         `doozer-sim shrink --all-mutants --out-dir simulations/corpus`: {tame:#?}",
        corpus.len()
    );
}

#[test]
fn each_planted_bug_is_found_by_some_scenario() {
    let folders = ["simulations", "simulations/corpus"];
    let all: Vec<Scenario> = folders
        .into_iter()
        .flat_map(read)
        .filter_map(|(_, scenario)| scenario.ok())
        .collect();
    let found: BTreeSet<Mutant> = all
        .iter()
        .flat_map(|scenario| scenario.mutant.iter().chain(&scenario.catches))
        .copied()
        .collect();
    let missing: Vec<Mutant> = Mutant::ALL
        .iter()
        .copied()
        .filter(|bug| !found.contains(bug))
        .collect();
    assert_eq!(missing, [], "bugs that no scenario finds");
}
