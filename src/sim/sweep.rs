//! Many runs, and what they add up to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::nemesis::Kind;
use super::probes::Counts;
use super::run::Report;

/// What some runs add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Runs. One that was repeated to compare is one.
    pub runs: u64,
    /// Runs that broke a rule.
    pub failures: u64,
    /// The one of those with the lowest seed.
    pub first_failure: Option<Report>,
    /// Runs in which the storm took a majority away, so that liveness was not judged.
    pub excused: u64,
    /// Events.
    pub events: u64,
    /// Simulated time.
    pub simulated: Duration,
    /// Operations of clients.
    pub operations: u64,
    /// Revisions that were judged.
    pub revisions: u64,
    /// Files and trees of files whose history was explained without a look at revisions.
    pub explained: u64,
    /// Those on which that search gave up.
    pub undecided: u64,
    /// Faults.
    pub faults: u64,
    /// Faults that the nemesis chose, by kind.
    pub chosen: BTreeMap<Kind, u64>,
    /// Processes that died.
    pub crashes: u64,
    /// The rare situations that came about.
    pub probes: Counts,
}

impl Totals {
    /// Adds a run.
    pub fn add(&mut self, report: Report) {
        self.runs += 1;
        self.excused += u64::from(report.excused);
        self.events += report.events;
        self.simulated += report.simulated;
        self.operations += report.operations;
        self.revisions += report.revisions;
        self.explained += report.searched.explained;
        self.undecided += report.searched.undecided;
        self.faults += report.stats.faults;
        self.crashes += report.stats.crashes;
        for (kind, count) in &report.chosen {
            *self.chosen.entry(*kind).or_default() += count;
        }
        self.probes.add(&report.hits);
        if report.violation.is_some() {
            self.failures += 1;
            let earlier = self.first_failure.as_ref();
            if earlier.is_none_or(|earlier| report.seed < earlier.seed) {
                self.first_failure = Some(report);
            }
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "runs={} failures={} events={} simulated={}s revisions={} operations={} explained={} \
             undecided={} faults={} crashes={}",
            self.runs,
            self.failures,
            self.events,
            self.simulated.as_secs(),
            self.revisions,
            self.operations,
            self.explained,
            self.undecided,
            self.faults,
            self.crashes
        )
    }
}
