//! The same seed is the same run: some seeds of a sweep are run twice to prove it.
//!
//! Whatever leaks into a run from outside (the order of a hash map, an address, a clock, another
//! thread) makes its failures impossible to replay. Two runs that differ are run again with the
//! events of the block in which they part kept, to name the first event that differs.

use super::chance::{Chance, What};
use super::check::Violation;
use super::run::Report;
use super::trace::{BLOCK, Entry, Trace};

/// The property, as a sentence.
pub const PROPERTY: &str = "the same seed is the same run";

/// Seeds in a million that a sweep runs twice.
const REPEATED_PPM: u32 = 50_000;
/// Pairs of runs in which the first event that differs is looked for. What leaks may show late, or
/// not at all, in some of them.
const PAIRS_MAX: usize = 10;

/// Whether a sweep runs this seed twice.
pub fn is_repeated(seed: u64) -> bool {
    Chance::new(seed).dice(What::Repeat, 0).hit(REPEATED_PPM)
}

/// Runs a seed again, by a function that keeps the events of a block, and compares.
pub fn compare(first: &Report, again: impl Fn(u64) -> Report) -> Option<Violation> {
    let second = again(0);
    if *first == second {
        return None;
    }
    let detail = match first.trace.parting(&second.trace) {
        Some(block) => find_difference(block, again),
        None => format!("equal events ended as {first:?}, and as {second:?}"),
    };
    Some(Violation::new(PROPERTY, detail))
}

fn find_difference(mut block: u64, again: impl Fn(u64) -> Report) -> String {
    for _ in 0..PAIRS_MAX {
        let (one, other) = (again(block).trace, again(block).trace);
        match one.parting(&other) {
            None => {}
            Some(parting) if parting != block => block = parting,
            Some(_) => return describe(block, &one, &other),
        }
    }
    format!(
        "the runs part within the {BLOCK} events from {}",
        block * BLOCK
    )
}

fn describe(block: u64, one: &Trace, other: &Trace) -> String {
    let pairs = one.kept().iter().zip(other.kept());
    let index = pairs.take_while(|(one, other)| one == other).count();
    let show = |trace: &Trace| {
        let entry = trace.kept().get(index);
        entry.map_or("the end".to_owned(), Entry::to_string)
    };
    let number = block * BLOCK + index as u64;
    format!("event {number} is {}, and {}", show(one), show(other))
}
