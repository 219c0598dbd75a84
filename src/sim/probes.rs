//! What a sweep has met: in how many runs each rare situation came about.

use std::collections::BTreeMap;
use std::fmt;

use crate::core::instrument::probe::{Hits, Probe};

/// Runs from which on a sweep must have met every probe. The rarest come about in one of a thousand
/// runs or more, so that one of ten thousand misses such a probe with a chance of e^-10.
pub const REQUIRED_FROM: u64 = 10_000;

/// In how many runs each situation came about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    runs: u64,
    met: BTreeMap<Probe, u64>,
}

impl Counts {
    /// Adds what one run has met.
    pub fn add(&mut self, hits: &Hits) {
        self.runs += 1;
        for probe in Probe::ALL.iter().filter(|probe| hits.has(**probe)) {
            *self.met.entry(*probe).or_default() += 1;
        }
    }

    /// In how many runs a situation came about.
    pub fn of(&self, probe: Probe) -> u64 {
        self.met.get(&probe).copied().unwrap_or(0)
    }

    /// How many situations came about.
    pub fn met(&self) -> usize {
        self.met.len()
    }

    /// The situations that never came about.
    pub fn missed(&self) -> impl Iterator<Item = Probe> {
        Probe::ALL
            .iter()
            .copied()
            .filter(|probe| self.of(*probe) == 0)
    }

    /// How often each situation came about, the rarest first.
    pub fn table(&self) -> impl fmt::Display {
        let mut rows: Vec<(u64, Probe)> = Probe::ALL.iter().map(|p| (self.of(*p), *p)).collect();
        rows.sort_unstable();
        Table {
            runs: self.runs,
            rows,
        }
    }
}

/// How many of all situations came about, and which did not.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "probes={}/{}", self.met(), Probe::ALL.len())?;
        for probe in self.missed() {
            write!(f, "\n  missed {probe}: {}", probe.describe())?;
        }
        Ok(())
    }
}

struct Table {
    runs: u64,
    rows: Vec<(u64, Probe)>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (runs, probe) in &self.rows {
            let share = 100.0 * *runs as f64 / self.runs.max(1) as f64;
            writeln!(f, "{share:7.3} % {probe}: {}", probe.describe())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::instrument::probe::{hit, take};

    #[test]
    fn runs_are_counted_and_not_hits() {
        take();
        let mut counts = Counts::default();
        hit(Probe::RevocationAdopts);
        hit(Probe::RevocationAdopts);
        counts.add(&take());
        counts.add(&take());
        hit(Probe::RevocationAdopts);
        hit(Probe::RevokersCross);
        counts.add(&take());
        assert_eq!(counts.of(Probe::RevocationAdopts), 2);
        assert_eq!(counts.of(Probe::RevokersCross), 1);
        assert_eq!(counts.met(), 2);
        assert_eq!(counts.missed().count(), Probe::ALL.len() - 2);
        let table = counts.table().to_string();
        assert!(table.contains(" 66.667 % RevocationAdopts: A revocation"));
    }
}
