//! Scenarios: runs that are written down, with what must come of them.
//!
//! A scenario is a TOML file; `docs/scenarios.md` tells every key. Unlike a seed it names what
//! happens, so that it means the same after a change of how seeds are drawn.

mod read;
mod write;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fault::Event;
use super::mutants::Planted;
use super::narration::Narrator;
use super::params::Params;
use super::run::{Report, run, run_upto};
use super::script::{Check, Step};
use super::setup::{Core, Setup};
use super::trouble::Troubles;
use super::workload::Client;
use crate::core::instrument::mutant::Mutant;
use crate::core::instrument::probe::Probe;
use crate::core::node::Node;

pub use read::ReadError;

/// A run that is written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// What it shows, in a few words.
    pub name: String,
    /// Why it is worth a file, in a sentence.
    pub why: String,
    /// The bug that is planted in it.
    pub mutant: Option<Mutant>,
    /// What comes of it, with the bug if there is one.
    pub expect: Expect,
    /// Bugs that are no part of it and that it finds: with each of them some rule is broken.
    pub catches: Vec<Mutant>,
    /// Situations that come about when no bug is planted.
    pub probes: Vec<Probe>,
    /// Whether it takes the majority away, so that nothing is judged at its end.
    pub loses_majority: bool,
    /// The run.
    pub setup: Setup,
}

/// What comes of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// No rule is broken.
    #[default]
    NoViolation,
    /// This property is violated.
    Violates(String),
}

/// Time after the last thing that a scenario mentions, before its storm ends.
const AFTERMATH: Duration = Duration::from_millis(500);

impl Scenario {
    /// Does the run, with the bug or without.
    pub fn run(&self, planted: bool, narrator: Option<Narrator>) -> Report {
        self.run_with(self.mutant.filter(|_| planted), narrator)
    }

    /// Does the run with any bug, or none.
    pub fn run_with(&self, mutant: Option<Mutant>, narrator: Option<Narrator>) -> Report {
        let _planted = Planted::new(mutant);
        run::<Node>(&self.setup, (), narrator)
    }

    /// Does the run as `run` does, and gives it up after so many events.
    pub fn run_upto(&self, planted: bool, events_max: u64) -> Report {
        let _planted = Planted::new(self.mutant.filter(|_| planted));
        run_upto::<Node>(&self.setup, (), events_max)
    }

    /// Whether all comes true: with the bug, if there is one, without, and with those that it
    /// catches.
    ///
    /// # Errors
    ///
    /// What did not come true, as a sentence.
    pub fn verify(&self) -> Result<(), String> {
        if let Some(mutant) = self.mutant {
            let report = self.run(true, None);
            self.judge(&report, &self.expect)
                .map_err(|wrong| format!("with {mutant} planted, {wrong}"))?;
        }
        let report = self.run(false, None);
        let expect = match self.mutant {
            Some(_) => &Expect::NoViolation,
            None => &self.expect,
        };
        self.judge(&report, expect)?;
        if let Some(probe) = self.probes.iter().find(|probe| !report.hits.has(**probe)) {
            return Err(format!("the situation {probe} did not come about"));
        }
        let is_caught = |mutant: &&Mutant| self.run_with(Some(**mutant), None).violation.is_some();
        match self.catches.iter().find(|mutant| !is_caught(mutant)) {
            None => Ok(()),
            Some(mutant) => Err(format!("it does not catch {mutant}")),
        }
    }

    /// Whether a run ended as expected.
    ///
    /// # Errors
    ///
    /// How else it ended.
    pub fn judge(&self, report: &Report, expect: &Expect) -> Result<(), String> {
        match (expect, &report.violation) {
            (Expect::NoViolation, None) if report.excused && !self.loses_majority => Err(
                "the majority was lost and nothing was judged; if that is meant, say so with \
                 loses_majority = true"
                    .to_owned(),
            ),
            (Expect::NoViolation, None) => Ok(()),
            (Expect::NoViolation, Some(violation)) => Err(violation.to_string()),
            (Expect::Violates(property), None) => Err(format!("nothing violates: {property}")),
            (Expect::Violates(property), Some(violation)) if violation.property == property => {
                Ok(())
            }
            (Expect::Violates(property), Some(violation)) => {
                Err(format!("not `{property}` but another rule is {violation}"))
            }
        }
    }
}

/// The last moment that is mentioned.
fn last_mention(events: &[Event], steps: &[Step], checks: &[Check]) -> Duration {
    let events = events
        .iter()
        .map(|event| Duration::from_micros(event.at_us));
    let steps = steps.iter().map(|step| step.by.unwrap_or(step.at));
    let checks = checks
        .iter()
        .flat_map(|check| [check.at, check.by, check.until]);
    let all = events.chain(steps).chain(checks.flatten());
    all.max().unwrap_or_default()
}
