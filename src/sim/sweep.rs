//! Many runs, and what they add up to.

use std::fmt;
use std::time::Duration;

use super::probes::Counts;
use super::run::Report;

/// What some runs add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Runs.
    pub runs: u64,
    /// Runs in which the storm took a majority away, so that liveness was not judged.
    pub excused: u64,
    /// Runs that broke a rule.
    pub failures: Vec<Report>,
    /// Events.
    pub events: u64,
    /// Simulated time.
    pub simulated: Duration,
    /// Revisions that were judged.
    pub revisions: u64,
    /// Operations of clients.
    pub operations: u64,
    /// Faults.
    pub faults: u64,
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
        self.revisions += report.revisions;
        self.operations += report.operations;
        self.faults += report.stats.faults;
        self.crashes += report.stats.crashes;
        self.probes.add(&report.hits);
        if report.violation.is_some() {
            self.failures.push(report);
        }
    }

    /// Adds the sum of other runs.
    pub fn merge(&mut self, other: Totals) {
        self.runs += other.runs;
        self.excused += other.excused;
        self.events += other.events;
        self.simulated += other.simulated;
        self.revisions += other.revisions;
        self.operations += other.operations;
        self.faults += other.faults;
        self.crashes += other.crashes;
        self.probes.merge(other.probes);
        self.failures.extend(other.failures);
        self.failures.sort_by_key(|report| report.seed);
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals {
            runs,
            excused,
            failures,
            events,
            simulated,
            revisions,
            operations,
            faults,
            crashes,
            probes: _,
        } = self;
        write!(
            f,
            "runs={runs} failures={} excused={excused} events={events} simulated={}s \
             revisions={revisions} operations={operations} faults={faults} crashes={crashes}",
            failures.len(),
            simulated.as_secs()
        )
    }
}
