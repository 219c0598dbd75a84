//! A smoke test of the planted bugs: some of the quickest of each class are found at once. All of
//! them, with how long each takes, are in the table of `doozer-sim mutants`.

#![cfg(feature = "sim")]

use doozer::core::instrument::mutant::{Mutant, is_planted};
use doozer::sim::mutants::{Effort, hunt};

/// Runs within which each of these is found. Most take one.
const RUNS: u64 = 30;

const QUICK: [Mutant; 12] = [
    Mutant::QuorumOfHalf,
    Mutant::TwoEntriesAtOneBallot,
    Mutant::PromiseForgetsAccepted,
    Mutant::ChangeAtOnce,
    Mutant::LaneReachesTooFar,
    Mutant::ReadDoesNotWait,
    Mutant::RepeatsApplied,
    Mutant::CatchUpOffByOne,
    Mutant::SnapshotForgetsOrigins,
    Mutant::ReadAtRevIsCurrent,
    Mutant::DelIgnoresRev,
    Mutant::TagCut,
];

#[test]
fn planted_bugs_are_found() {
    let effort = Effort {
        runs: RUNS,
        hits: 1,
    };
    for mutant in QUICK {
        let hunt = hunt(mutant, effort);
        println!("{hunt}");
        assert!(hunt.is_found(), "{mutant} hides from {RUNS} seeds");
        assert!(!is_planted(mutant), "{mutant} is still there");
    }
}
