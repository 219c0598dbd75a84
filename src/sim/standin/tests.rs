use super::*;
use crate::sim::check::{
    agreement, counters, linearizability, lists, locks, once, revisions, search, sequence, watch,
};
use crate::sim::repeat;
use crate::sim::run::{LIVENESS, NO_PANIC, Report, run, run_watching};
use crate::sim::setup::Setup;

/// Seeds within which a planted bug must be found. Most are found by the first or second.
const SEEDS: u64 = 30;

fn standin(seed: u64, bug: Bug) -> Report {
    run::<Standin>(&Setup::from_seed(seed), Shared::new(bug), None)
}

#[test]
fn a_correct_store_passes_every_check() {
    for seed in 0..30 {
        let report = standin(seed, Bug::None);
        assert_eq!(report.violation, None, "seed {seed}");
        assert!(
            report.excused || report.revisions > 0,
            "seed {seed} judged nothing"
        );
    }
}

#[test]
fn the_same_seed_is_the_same_run_and_another_is_not() {
    for seed in 0..5 {
        let report = standin(seed, Bug::None);
        assert_eq!(report, standin(seed, Bug::None));
        assert_ne!(report.trace, standin(seed + 1, Bug::None).trace);
    }
}

#[test]
fn an_order_that_no_seed_decides_is_found_and_named() {
    let leaky = |seed| {
        let again = |block| {
            run_watching::<Standin>(&Setup::from_seed(seed), Shared::new(Bug::HashOrder), block)
        };
        repeat::compare(&standin(seed, Bug::HashOrder), again)
    };
    let violation = (0..SEEDS).find_map(leaky);
    let violation = violation.unwrap_or_else(|| panic!("the leak hides from {SEEDS} seeds"));
    assert_eq!(violation.property, repeat::PROPERTY);
    let named = violation.detail.contains(" us, at ");
    assert!(named, "the first difference is not told: {violation}");
}

#[test]
fn a_run_without_a_leak_equals_its_repetition() {
    for seed in 0..5 {
        let again =
            |block| run_watching::<Standin>(&Setup::from_seed(seed), Shared::new(Bug::None), block);
        assert_eq!(repeat::compare(&standin(seed, Bug::None), again), None);
    }
}

/// Which checks may be the first to find a planted bug.
fn expected(bug: Bug) -> &'static [&'static str] {
    match bug {
        Bug::None | Bug::HashOrder => &[],
        Bug::StaleRead => &[linearizability::PROPERTY, lists::PROPERTY, locks::PROPERTY],
        // Whoever is told a revision that is still to come waits for it at the end, in vain.
        Bug::WrongRev => &[
            linearizability::PROPERTY,
            lists::PROPERTY,
            locks::PROPERTY,
            LIVENESS,
        ],
        Bug::ShortListing | Bug::WrongAge => &[linearizability::PROPERTY],
        Bug::LostWrite | Bug::FalseSuccess => &[once::PROPERTY],
        Bug::DoubleWrite => &[once::PROPERTY, counters::PROPERTY, watch::PROPERTY],
        Bug::BlindSet => &[
            once::PROPERTY,
            counters::PROPERTY,
            lists::PROPERTY,
            locks::PROPERTY,
            linearizability::PROPERTY,
        ],
        Bug::WatchGap | Bug::WatchTwice => &[watch::PROPERTY, sequence::PROPERTY, LIVENESS],
        Bug::Divergence => &[agreement::PROPERTY],
        Bug::GoesBack => &[revisions::PROPERTY, agreement::PROPERTY],
        Bug::Silence => &[LIVENESS],
        Bug::Panic => &[NO_PANIC],
    }
}

#[test]
fn every_planted_bug_is_found_by_the_check_that_is_meant_for_it() {
    for bug in BUGS {
        let found = (0..SEEDS).find_map(|seed| standin(seed, bug).violation);
        let violation = found.unwrap_or_else(|| panic!("{bug:?} hides from {SEEDS} seeds"));
        assert!(
            expected(bug).contains(&violation.property),
            "{bug:?}: {violation}"
        );
    }
}

/// Bugs that clients can see without looking at revisions.
const VISIBLE: [Bug; 4] = [
    Bug::StaleRead,
    Bug::LostWrite,
    Bug::BlindSet,
    Bug::FalseSuccess,
];

#[test]
fn what_the_search_rejects_is_rejected_by_those_that_follow_revisions() {
    for bug in BUGS {
        let mut rejected = 0;
        for seed in 0..SEEDS {
            let report = standin(seed, bug);
            if let Some(what) = report.searched.broken {
                rejected += 1;
                let violation = report.violation.expect("the search rejected it");
                assert_ne!(
                    violation.property,
                    search::PROPERTY,
                    "{bug:?}, seed {seed}: {what}"
                );
            }
        }
        assert!(
            rejected > 0 || !VISIBLE.contains(&bug),
            "{bug:?} is not seen"
        );
    }
}
