//! Parked WAITs: who is to be told of which event.
//!
//! Patterns without wildcards are found by the path itself. The others are kept by their literal
//! beginning, so that an event meets only those that begin as its path does; equal patterns are
//! matched once, however many wait for them.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::event::Event;
use super::glob::Glob;
use crate::core::id::Rev;
use crate::core::instrument::{planted, sometimes};

/// One parked WAIT. The number is its owner's, who uses it once at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WatchId(pub u64);

/// An index of parked WAITs.
#[derive(Clone, Debug, Default)]
pub struct Watches {
    watches: BTreeMap<WatchId, (Glob, Rev)>,
    /// Who waits for one path.
    exact: BTreeMap<Glob, Waiting>,
    /// Who waits for patterns with wildcards, by literal beginning and pattern.
    wild: BTreeMap<Box<str>, BTreeMap<Glob, Waiting>>,
    /// How many of those beginnings have which length.
    lengths: BTreeMap<usize, usize>,
}

/// Who waits for one pattern, by the first revision that they want.
type Waiting = BTreeSet<(Rev, WatchId)>;

impl Watches {
    /// No watches.
    pub fn new() -> Watches {
        Watches::default()
    }

    /// Parks a watch for the first event at `from` or later that matches. One that has the same id
    /// is replaced.
    pub fn add(&mut self, id: WatchId, glob: Glob, from: Rev) {
        self.remove(id);
        if glob.is_exact() {
            self.exact
                .entry(glob.clone())
                .or_default()
                .insert((from, id));
        } else {
            let literal = glob.literal();
            let patterns = self.wild.entry(literal.into()).or_default();
            if patterns.is_empty() {
                *self.lengths.entry(literal.len()).or_default() += 1;
            }
            patterns.entry(glob.clone()).or_default().insert((from, id));
        }
        self.watches.insert(id, (glob, from));
    }

    /// Takes a watch away. Returns whether it was there.
    pub fn remove(&mut self, id: WatchId) -> bool {
        let Some((glob, from)) = self.watches.remove(&id) else {
            return false;
        };
        if glob.is_exact() {
            if let Some(waiting) = self.exact.get_mut(&glob) {
                assert!(waiting.remove(&(from, id)));
                if waiting.is_empty() {
                    self.exact.remove(&glob);
                }
            }
        } else if let Some(patterns) = self.wild.get_mut(glob.literal())
            && let Some(waiting) = patterns.get_mut(&glob)
        {
            assert!(waiting.remove(&(from, id)));
            if waiting.is_empty() {
                patterns.remove(&glob);
            }
            self.tidy(glob.literal());
        }
        true
    }

    /// The watches that want events before `rev`, in order of their ids; they leave.
    pub fn take_before(&mut self, rev: Rev) -> Vec<WatchId> {
        let late = self.watches.iter().filter(|(_, (_, from))| *from < rev);
        let late: Vec<WatchId> = late.map(|(id, _)| *id).collect();
        for id in &late {
            self.remove(*id);
        }
        late
    }

    /// The watches that an event answers, in order of their ids; they leave.
    pub fn wake(&mut self, event: &Event) -> Vec<WatchId> {
        let mut woken = Vec::new();
        let path = event.path.as_str();
        if let Some(waiting) = self.exact.get_mut(path) {
            take_ready(waiting, event.rev, &mut woken);
            sometimes!(ExactWatchWoken, !woken.is_empty());
            if waiting.is_empty() {
                self.exact.remove(path);
            }
        }
        let mut lengths: Vec<usize> = self
            .lengths
            .range(..=path.len())
            .map(|(len, _)| *len)
            .collect();
        if planted!(WatchLongestOnly) {
            lengths.drain(..lengths.len().saturating_sub(1));
        }
        for len in lengths {
            let literal = path.get(..len).unwrap_or(path);
            let Some(patterns) = self.wild.get_mut(literal) else {
                continue;
            };
            patterns.retain(|glob, waiting| {
                if glob.matches(&event.path) {
                    sometimes!(QuestionMarkMatches, glob.as_str().contains('?'));
                    take_ready(waiting, event.rev, &mut woken);
                }
                !waiting.is_empty()
            });
            self.tidy(literal);
        }
        for id in &woken {
            self.watches.remove(id);
        }
        woken.sort_unstable();
        woken
    }

    /// How many are parked.
    pub fn len(&self) -> usize {
        self.watches.len()
    }

    /// Whether none is parked.
    pub fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// Forgets a literal beginning that no pattern has any more.
    fn tidy(&mut self, literal: &str) {
        if self.wild.get(literal).is_some_and(BTreeMap::is_empty) {
            self.wild.remove(literal);
            let count = self
                .lengths
                .get_mut(&literal.len())
                .expect("it was counted");
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&literal.len());
            }
        }
    }
}

fn take_ready(waiting: &mut Waiting, rev: Rev, woken: &mut Vec<WatchId>) {
    sometimes!(
        WatchWantsLater,
        waiting.last().is_some_and(|(from, _)| *from > rev)
    );
    while let Some((from, id)) = waiting.first().copied()
        && from <= rev
    {
        waiting.pop_first();
        woken.push(id);
        if planted!(OneWatchPerEvent) {
            break;
        }
    }
}
