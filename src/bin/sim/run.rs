//! `doozer-sim run`: one seed or one scenario.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use doozer::sim::run::Report;
use doozer::sim::scenario::Expect;
use doozer::sim::setup::Setup;

use crate::source::read;
use crate::subject::Subject;

/// Arguments of `run`.
#[derive(Args)]
#[group(id = "what", required = true, multiple = false, args = ["seed", "scenario"])]
pub struct Options {
    /// The seed.
    #[arg(long)]
    seed: Option<u64>,
    /// A scenario; docs/scenarios.md tells how to write one.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["machine", "mutant"])]
    scenario: Option<PathBuf>,
    /// Leaves the bug out that the scenario plants.
    #[arg(long, requires = "scenario")]
    healthy: bool,
    /// Runs it twice, and tells the first event that differs.
    #[arg(long, requires = "seed")]
    twice: bool,
    #[command(flatten)]
    subject: Subject,
}

/// Runs it, prints how it went; fails if a rule was broken, or a scenario went otherwise than it
/// says.
pub fn main(options: &Options) -> anyhow::Result<ExitCode> {
    match (&options.scenario, options.seed) {
        (Some(path), _) => run_scenario(path, !options.healthy),
        (None, Some(seed)) => Ok(run_seed(seed, options)),
        (None, None) => unreachable!("clap wants one of both"),
    }
}

fn run_seed(seed: u64, options: &Options) -> ExitCode {
    let subject = &options.subject;
    let setup = Setup::from_seed(seed);
    let mut report = subject.run(&setup, None);
    println!("{}", summary(&report));
    if options.twice {
        report.violation = subject.repeat(&setup, &report).or(report.violation);
    }
    let Some(violation) = &report.violation else {
        return ExitCode::SUCCESS;
    };
    println!("{violation}");
    println!("replay: {}", subject.replay(&report));
    ExitCode::FAILURE
}

fn run_scenario(path: &Path, planted: bool) -> anyhow::Result<ExitCode> {
    let scenario = read(path)?;
    let report = scenario.run(planted, None);
    println!("{}", summary(&report));
    if let Some(violation) = &report.violation {
        println!("{violation}");
    }
    let healthy = scenario.mutant.is_none() || !planted;
    let expect = match (scenario.mutant, planted) {
        (Some(_), false) => &Expect::NoViolation,
        _ => &scenario.expect,
    };
    let shown = path.display();
    if let Err(wrong) = scenario.judge(&report, expect) {
        let healthy = if planted { "" } else { " --healthy" };
        bail!("{shown}: {wrong}\nreplay: doozer-sim replay {shown}{healthy}");
    }
    let missed = scenario
        .probes
        .iter()
        .find(|probe| !report.hits.has(**probe));
    if let (true, Some(probe)) = (healthy, missed) {
        bail!("{shown}: the situation {probe} did not come about");
    }
    println!("as expected: {}", scenario.name);
    Ok(ExitCode::SUCCESS)
}

/// How a run went, in one line.
pub fn summary(report: &Report) -> String {
    format!(
        "seed {}: trace {} events={} simulated={:?} excused={}",
        report.seed, report.trace, report.events, report.simulated, report.excused
    )
}
