//! Some order of all operations, each between its call and its answer, explains every answer.
//!
//! A general search that does not look at revisions: Wing and Gong's, with Lowe's memory of where
//! it has been ("Testing for linearizability", 2017). It is a check of the check: what it rejects
//! must be rejected by those that follow revisions, too. Linearizability is local, so every file is
//! searched alone, or every tree of files where one operation may concern the others.
//!
//! A condition names a revision; here that stands for the content that somebody was shown with it.
//! An operation of unknown outcome has no end: it takes effect at any time after its call, or never.
//! Reads of one's own copy, reads at a revision, listings and WAITs are not looked at.

mod object;

use std::collections::{BTreeMap, BTreeSet};

use object::{Call, Object, State};

use crate::sim::history::Operation;

/// The property, as a sentence.
pub const PROPERTY: &str = "some order of all operations explains every answer";

/// How much work a search may take.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// The first operations on an object that are looked at: what holds for a history holds for
    /// its beginning.
    pub operations_max: usize,
    /// States that are remembered before the search gives up.
    pub states_max: usize,
}

/// Small enough for every run: a few hundredths of what the run itself costs.
pub const QUICK: Effort = Effort {
    operations_max: 96,
    states_max: 4_000,
};
/// Whole histories, for some runs.
pub const DEEP: Effort = Effort {
    operations_max: 4_096,
    states_max: 100_000,
};

/// What a search has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Objects of which an order was found.
    pub explained: u64,
    /// Objects on which the search gave up.
    pub undecided: u64,
    /// Why no order explains the answers of some object.
    pub broken: Option<String>,
}

/// Searches every object of a history.
pub fn search(history: &[Operation], effort: Effort) -> Found {
    let mut objects: BTreeMap<&[u8], Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        let path = operation.request.path.as_deref().unwrap_or_default();
        if let Some(name) = object::name_of(path) {
            objects.entry(name).or_default().push(operation);
        }
    }
    let mut found = Found::default();
    for (name, operations) in objects {
        let object = Object::new(&operations, effort.operations_max);
        match explain(&object, effort.states_max) {
            Ok(true) => found.explained += 1,
            Ok(false) => found.undecided += 1,
            Err(call) => {
                let name = String::from_utf8_lossy(name);
                let what = operations[object.calls[call].source];
                found.broken = Some(format!("{name}: no order explains {what:?}"));
                return found;
            }
        }
    }
    found
}

/// The calls and ends of operations by time, as a list from which those that have found their place
/// are taken out.
struct Line {
    /// Which call, and whether this is its end.
    steps: Vec<(usize, bool)>,
    next: Vec<usize>,
    before: Vec<usize>,
    /// Where the end of each call stands, if it has one.
    ends: Vec<Option<usize>>,
}

impl Line {
    /// Place 0 stands before the first step, the last place after the last.
    fn new(calls: &[Call]) -> Line {
        let mut times: Vec<(u64, usize, bool)> = Vec::new();
        for (index, call) in calls.iter().enumerate() {
            times.push((call.from, index, false));
            times.extend(call.to.map(|to| (to, index, true)));
        }
        times.sort_unstable();
        let mut steps = vec![(usize::MAX, false)];
        steps.extend(times.iter().map(|(_, index, is_end)| (*index, *is_end)));
        let mut ends = vec![None; calls.len()];
        for (place, (call, is_end)) in steps.iter().enumerate() {
            if *is_end {
                ends[*call] = Some(place);
            }
        }
        let next = (1..=steps.len()).collect();
        let before = (0..=steps.len())
            .map(|place| place.saturating_sub(1))
            .collect();
        Line {
            steps,
            next,
            before,
            ends,
        }
    }

    fn unlink(&mut self, place: usize) {
        let (before, next) = (self.before[place], self.next[place]);
        self.next[before] = next;
        self.before[next] = before;
    }

    fn link(&mut self, place: usize) {
        let (before, next) = (self.before[place], self.next[place]);
        self.next[before] = place;
        self.before[next] = place;
    }

    /// Takes a call and its end out.
    fn lift(&mut self, place: usize) {
        self.unlink(place);
        if let Some(end) = self.ends[self.steps[place].0] {
            self.unlink(end);
        }
    }

    /// Undoes the latest [`Line::lift`] that was not undone.
    fn unlift(&mut self, place: usize) {
        if let Some(end) = self.ends[self.steps[place].0] {
            self.link(end);
        }
        self.link(place);
    }
}

/// Whether an order was found, or the search gave up; else the call that got furthest and finds no
/// place.
fn explain(object: &Object, states_max: usize) -> Result<bool, usize> {
    let mut line = Line::new(&object.calls);
    let mut open = object.calls.iter().filter(|call| call.to.is_some()).count();
    let mut placed = vec![0_u64; object.calls.len().div_ceil(64)];
    let mut state = State::default();
    let mut seen: BTreeSet<(Vec<u64>, State)> = BTreeSet::new();
    let mut path: Vec<(usize, State)> = Vec::new();
    let mut furthest = 0;
    let mut place = line.next[0];
    while open > 0 {
        let (call, is_end) = line.steps[place];
        let (word, bit) = (call / 64, 1 << (call % 64));
        if is_end {
            // This one ends here and has no place: an earlier choice was wrong.
            furthest = furthest.max(place);
            let Some((chosen, earlier)) = path.pop() else {
                return Err(line.steps[furthest].0);
            };
            let (call, _) = line.steps[chosen];
            placed[call / 64] &= !(1 << (call % 64));
            open += usize::from(object.calls[call].to.is_some());
            line.unlift(chosen);
            state = earlier;
            place = line.next[chosen];
            continue;
        }
        if let Some(after) = object.apply(&state, &object.calls[call]) {
            placed[word] |= bit;
            if seen.insert((placed.clone(), after.clone())) {
                if seen.len() > states_max {
                    return Ok(false);
                }
                path.push((place, std::mem::replace(&mut state, after)));
                open -= usize::from(object.calls[call].to.is_some());
                line.lift(place);
                place = line.next[0];
                continue;
            }
            placed[word] &= !bit;
        }
        place = line.next[place];
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
