//! Planted bugs: how soon random runs find each, and what gives it away.

use std::fmt;

use super::run::run;
use super::setup::Setup;
use crate::core::instrument::mutant::{Mutant, plant, reached};
use crate::core::node::Node;

/// How long a planted bug is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Runs, with the seeds from 0.
    pub runs: u64,
    /// Failed runs after which it counts as found often enough.
    pub hits: usize,
}

/// What came of looking for a planted bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunt {
    /// The bug.
    pub mutant: Mutant,
    /// Runs made.
    pub runs: u64,
    /// How often all runs together came to the place of the bug.
    pub reached: u64,
    /// The seeds of runs that failed, ascending, with the property that was broken.
    pub hits: Vec<(u64, &'static str)>,
}

impl Hunt {
    /// Whether any run failed.
    pub fn is_found(&self) -> bool {
        !self.hits.is_empty()
    }

    /// Runs that it usually takes to find it: the median over the hits of the runs since the hit
    /// before.
    pub fn median_runs(&self) -> Option<u64> {
        let mut before = 0;
        let mut gaps: Vec<u64> = Vec::new();
        for (seed, _) in &self.hits {
            gaps.push(seed + 1 - before);
            before = seed + 1;
        }
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied()
    }

    /// The properties that were broken, the most frequent first.
    pub fn caught_as(&self) -> Vec<&'static str> {
        let mut counts: Vec<(usize, &'static str)> = Vec::new();
        for (_, property) in &self.hits {
            match counts.iter_mut().find(|(_, known)| known == property) {
                Some((count, _)) => *count += 1,
                None => counts.push((1, property)),
            }
        }
        counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        counts.into_iter().map(|(_, property)| property).collect()
    }
}

/// One row of the table.
impl fmt::Display for Hunt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, class) = (self.mutant.to_string(), self.mutant.class());
        let hits = format!("{}/{}", self.hits.len(), self.runs);
        let reached = self.reached.checked_div(self.runs).unwrap_or(0);
        write!(
            f,
            "| {name:<23} | {class:<15} | {reached:>9} | {hits:>9} | "
        )?;
        match (self.hits.first(), self.median_runs()) {
            (Some((first, _)), Some(median)) => {
                write!(
                    f,
                    "{first:>10} | {median:>11} | {}",
                    self.caught_as().join("; ")
                )?;
            }
            _ => write!(f, "{:>10} | {:>11} | not found", "-", "-")?,
        }
        write!(f, " |")
    }
}

/// The head of the table. `times/run` is how often a run came to the place of the bug, on average.
pub const HEAD: &str = "\
| mutant                  | class           | times/run | hits/runs | first seed | median runs | caught as |
|-------------------------|-----------------|----------:|----------:|-----------:|------------:|-----------|";

/// Looks for a planted bug, run by run. Nothing stays planted in this thread.
pub fn hunt(mutant: Mutant, effort: Effort) -> Hunt {
    let mut hunt = Hunt {
        mutant,
        runs: 0,
        reached: 0,
        hits: Vec::new(),
    };
    while hunt.runs < effort.runs && hunt.hits.len() < effort.hits {
        let seed = hunt.runs;
        hunt.runs += 1;
        let planted = Planted::new(Some(mutant));
        let violation = run::<Node>(&Setup::from_seed(seed), (), None).violation;
        hunt.reached += reached();
        drop(planted);
        // A run that fails without the bug as well proves nothing. One that passes proves little
        // where the promise that is broken is one of time: some seeds pass by a hair, and fail
        // whatever is changed. Hence the table tells how many runs failed, of how many.
        if let Some(violation) = violation
            && run::<Node>(&Setup::from_seed(seed), (), None)
                .violation
                .is_none()
        {
            hunt.hits.push((seed, violation.property));
        }
    }
    hunt
}

/// A bug that is planted in this thread as long as this lives.
pub struct Planted(());

impl Planted {
    /// Plants this bug, or none.
    pub fn new(mutant: Option<Mutant>) -> Planted {
        plant(mutant);
        Planted(())
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        plant(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_count_from_the_hit_before() {
        let hunt = Hunt {
            mutant: Mutant::QuorumOfHalf,
            runs: 40,
            reached: 0,
            hits: vec![(0, "a"), (4, "b"), (30, "b")],
        };
        assert_eq!(hunt.median_runs(), Some(4));
        assert_eq!(hunt.caught_as(), ["b", "a"]);
    }
}
