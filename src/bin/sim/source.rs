//! Which run a tool looks at: that of a scenario, or of a seed.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use doozer::sim::narration::Narrator;
use doozer::sim::run::Report;
use doozer::sim::scenario::Scenario;
use doozer::sim::setup::Setup;

use crate::subject::Subject;

/// Which run.
#[derive(Args)]
#[group(skip)]
pub struct Source {
    /// A scenario.
    #[arg(value_name = "FILE", required_unless_present = "seed", conflicts_with_all = ["seed", "machine"])]
    file: Option<PathBuf>,
    /// A seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Leaves the bug out that the scenario plants.
    #[arg(long, requires = "file", conflicts_with = "mutant")]
    healthy: bool,
    #[command(flatten)]
    subject: Subject,
}

impl Source {
    /// Does the run, and tells what happens.
    pub fn run(&self, narrator: Narrator) -> anyhow::Result<Report> {
        match (&self.file, self.seed) {
            (Some(path), _) => {
                let mut scenario = read(path)?;
                scenario.mutant = self.subject.mutant.or(scenario.mutant);
                Ok(scenario.run(!self.healthy, Some(narrator)))
            }
            (None, Some(seed)) => Ok(self.subject.run(&Setup::from_seed(seed), Some(narrator))),
            (None, None) => unreachable!("clap wants one of both"),
        }
    }

    /// The arguments that choose the run, each after a space.
    pub fn arguments(&self) -> String {
        let run = match (&self.file, self.seed) {
            (Some(path), _) => format!(" {}", path.display()),
            (None, seed) => format!(" --seed {}", seed.unwrap_or_default()),
        };
        let healthy = if self.healthy { " --healthy" } else { "" };
        format!("{run}{healthy}{}", self.subject.arguments())
    }
}

/// Reads a scenario from its file.
pub fn read(path: &Path) -> anyhow::Result<Scenario> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    Ok(Scenario::read(&shown, &text)?)
}
