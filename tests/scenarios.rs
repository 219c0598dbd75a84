//! Every scenario comes true: those in `simulations/`, written by hand, and those in
//! `simulations/corpus/`, to which failures were shrunk.
//!
//! A scenario with a planted bug must violate what it names, and nothing without the bug.

#![cfg(feature = "sim")]
#![allow(clippy::disallowed_methods, reason = "reads the scenarios")]

use std::fs;
use std::path::Path;

use doozer::sim::scenario::Scenario;

/// What is wrong with the scenarios of a folder.
fn failures(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).expect("the folder can be read");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    let is_scenario = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "toml");
    let mut paths: Vec<_> = paths.filter(is_scenario).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scenario in {}", folder.display());
    let mut failures = Vec::new();
    for path in paths {
        let file = path.strip_prefix(env!("CARGO_MANIFEST_DIR"));
        let file = file.expect("it is below").display().to_string();
        let text = fs::read_to_string(&path).expect("a scenario can be read");
        match Scenario::read(&file, &text) {
            Err(error) => failures.push(error.to_string()),
            Ok(scenario) => {
                if let Err(wrong) = scenario.verify() {
                    failures.push(format!(
                        "{file}: {wrong}\n  replay: doozer-sim replay {file}"
                    ));
                }
            }
        }
    }
    failures
}

#[test]
fn scenarios_written_by_hand_come_true() {
    let failures = failures("simulations");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn shrunk_failures_fail_with_their_bug_and_not_without() {
    let failures = failures("simulations/corpus");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
