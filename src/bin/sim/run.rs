//! `doozer-sim run`: one seed or one scenario.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use doozer::core::instrument::mutant::{Mutant, plant};
use doozer::sim::run::Report;
use doozer::sim::scenario::{Expect, Scenario};
use doozer::sim::setup::Setup;
use doozer::sim::world::Narrator;

use crate::mutants::parse_mutant;
use crate::subject::Subject;

/// Arguments of `run`.
#[derive(Args)]
#[group(id = "what", required = true, multiple = false, args = ["seed", "scenario"])]
pub struct Options {
    /// The seed.
    #[arg(long)]
    seed: Option<u64>,
    /// A scenario; docs/scenarios.md tells how to write one.
    #[arg(long, value_name = "FILE", conflicts_with = "machine")]
    scenario: Option<PathBuf>,
    /// Leaves the bug out that the scenario plants.
    #[arg(long, requires = "scenario")]
    healthy: bool,
    /// Plants a bug: a row of the table of `doozer-sim mutants`.
    #[arg(long, value_name = "NAME", value_parser = parse_mutant, conflicts_with_all = ["healthy", "machine", "twice"])]
    mutant: Option<Mutant>,
    /// Tells everything that happens.
    #[arg(long)]
    verbose: bool,
    /// Runs it twice, and tells the first event that differs.
    #[arg(long, requires = "seed")]
    twice: bool,
    #[command(flatten)]
    subject: Subject,
}

/// Runs it, prints how it went; fails if a rule was broken, or a scenario went otherwise than it
/// says.
pub fn main(options: &Options) -> anyhow::Result<ExitCode> {
    let narrator = options.verbose.then_some(print_line as Narrator);
    match (&options.scenario, options.seed) {
        (Some(path), _) => run_scenario(path, options, narrator),
        (None, Some(seed)) => Ok(run_seed(seed, options, narrator)),
        (None, None) => unreachable!("clap wants one of both"),
    }
}

fn run_seed(seed: u64, options: &Options, narrator: Option<Narrator>) -> ExitCode {
    let subject = &options.subject;
    let setup = Setup::from_seed(seed);
    plant(options.mutant);
    let mut report = subject.run(&setup, narrator);
    print_report(&report);
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

fn run_scenario(
    path: &PathBuf,
    options: &Options,
    narrator: Option<Narrator>,
) -> anyhow::Result<ExitCode> {
    let scenario = read(path)?;
    let own = scenario.mutant.filter(|_| !options.healthy);
    let mutant = options.mutant.or(own);
    let report = scenario.run_with(mutant, narrator);
    print_report(&report);
    if let Some(violation) = &report.violation {
        println!("{violation}");
    }
    let expect = match (scenario.mutant, mutant) {
        (Some(_), None) => &Expect::NoViolation,
        _ => &scenario.expect,
    };
    if let Err(wrong) = scenario.judge(&report, expect) {
        bail!("{}: {wrong}", path.display());
    }
    let missed = scenario
        .probes
        .iter()
        .find(|probe| !report.hits.has(**probe));
    if let (None, Some(probe)) = (mutant, missed) {
        bail!(
            "{}: the situation {probe} did not come about",
            path.display()
        );
    }
    println!("as expected: {}", scenario.name);
    Ok(ExitCode::SUCCESS)
}

/// Reads a scenario from its file.
pub fn read(path: &PathBuf) -> anyhow::Result<Scenario> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    Ok(Scenario::read(&shown, &text)?)
}

fn print_report(report: &Report) {
    println!(
        "seed {}: trace {} events={} simulated={:?} excused={}",
        report.seed, report.trace, report.events, report.simulated, report.excused
    );
}

/// Tells a line of a run.
pub fn print_line(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}
