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

/// Bugs that no scenario finds: a failing run in some thousands does, and what it was shrunk to is
/// tame by now.
const ONLY_BY_CHANCE: [Mutant; 1] = [Mutant::ClaimsBehind];

#[test]
fn shrunk_failures_fail_with_their_bug_alone_and_each_planted_bug_is_found() {
    let corpus = read("simulations/corpus");
    let mut tame = Vec::new();
    // The other test sees to it that those written by hand find what they say.
    let by_hand = read("simulations").into_iter();
    let by_hand = by_hand.filter_map(|(_, scenario)| scenario.ok());
    let mut found: BTreeSet<Mutant> = by_hand
        .flat_map(|scenario| scenario.catches.into_iter().chain(scenario.mutant))
        .collect();
    for (file, scenario) in &corpus {
        let scenario = scenario.as_ref().unwrap_or_else(|error| panic!("{error}"));
        let healthy = scenario.judge(&scenario.run(false, None), &Expect::NoViolation);
        assert_eq!(
            healthy,
            Ok(()),
            "replay: doozer-sim replay {file} --healthy"
        );
        let Some(mutant) = scenario.mutant else {
            continue;
        };
        match scenario.run(true, None).violation {
            Some(_) => drop(found.insert(mutant)),
            None => tame.push(file.as_str()),
        }
    }
    let remedy = "make others with `doozer-sim shrink --mutant NAME --seed SEED --out FILE`, the seed \
                  being one that `doozer-sim mutants --only NAME` shows";
    assert!(
        (corpus.len() - tame.len()) * 100 >= corpus.len() * BITING_PERCENT,
        "of {} shrunk failures these fail no more; delete them, and {remedy}: {tame:#?}",
        corpus.len()
    );
    let is_missing = |bug: &Mutant| !found.contains(bug) && !ONLY_BY_CHANCE.contains(bug);
    let missing: Vec<Mutant> = Mutant::ALL.iter().copied().filter(is_missing).collect();
    assert_eq!(missing, [], "bugs that no scenario finds; {remedy}");
}
