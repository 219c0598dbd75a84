//! `doozer-sim shrink`: from a run that failed to the smallest scenario that fails alike.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::{ArgGroup, Args};
use doozer::core::instrument::mutant::Mutant;
use doozer::sim::files::kebab;
use doozer::sim::scenario::{Expect, Scenario};
use doozer::sim::setup::Setup;
use doozer::sim::shrink::{Shrunk, shrink};

use crate::source::read;
use crate::subject::parse_mutant;
use crate::summary::cpu_time;

/// Arguments of `shrink`.
#[derive(Args)]
#[group(skip)]
#[command(group = ArgGroup::new("failure").required(true).args(["seed", "scenario", "all_mutants"]))]
pub struct Options {
    /// A seed that fails.
    #[arg(long)]
    seed: Option<u64>,
    /// A scenario that fails.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// The bug that is planted.
    #[arg(long, value_name = "NAME", value_parser = parse_mutant, conflicts_with = "all_mutants")]
    mutant: Option<Mutant>,
    /// Each bug that can be planted, with the first seed that finds it.
    #[arg(long, requires = "out_dir")]
    all_mutants: bool,
    /// Seeds that are tried for each bug.
    #[arg(long, default_value_t = 1_000, requires = "all_mutants")]
    seeds: u64,
    /// Where the scenario goes; to stdout unless told.
    #[arg(long, value_name = "FILE", conflicts_with = "all_mutants")]
    out: Option<PathBuf>,
    /// Where the scenarios go, one for each bug. What is there already is kept.
    #[arg(long, value_name = "DIR", requires = "all_mutants")]
    out_dir: Option<PathBuf>,
}

/// Shrinks the failure and writes the scenario; fails if there is no failure.
pub fn main(options: &Options) -> anyhow::Result<ExitCode> {
    // Panics of nodes are what is looked for.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(dir) = &options.out_dir {
        return shrink_all(dir, options.seeds);
    }
    let mut scenario = match (&options.scenario, options.seed) {
        (Some(path), _) => read(path)?,
        (None, Some(seed)) => of_seed(seed, options.mutant),
        (None, None) => unreachable!("clap wants one of both"),
    };
    if options.mutant.is_some() {
        scenario.mutant = options.mutant;
    }
    let began = cpu_time();
    let shrunk = shrink(&scenario).ok_or_else(|| anyhow!("it does not fail"))?;
    eprintln!("{}", row(&shrunk, scenario.setup.seed, began));
    let text = shrunk.scenario.to_string();
    match &options.out {
        Some(path) => write(path, &text)?,
        None => print!("{text}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn shrink_all(dir: &Path, seeds: u64) -> anyhow::Result<ExitCode> {
    let mut missing = false;
    println!("{HEAD}");
    for mutant in Mutant::ALL.iter().copied() {
        let path = dir.join(format!("{}.toml", kebab(&mutant.to_string())));
        if path.exists() {
            continue;
        }
        match smallest(mutant, seeds) {
            None => {
                println!("| {mutant} | not found in {seeds} runs");
                missing = true;
            }
            Some(shrunk) => write(&path, &shrunk.scenario.to_string())?,
        }
    }
    Ok(ExitCode::from(u8::from(missing)))
}

/// The first failure with a bug that becomes small enough, or the smallest of some.
fn smallest(mutant: Mutant, seeds: u64) -> Option<Shrunk> {
    let failing = (0..seeds).filter_map(|seed| {
        let scenario = of_seed(seed, Some(mutant));
        let fails = |planted| scenario.run(planted, None).violation.is_some();
        // A run that fails without the bug as well says nothing about it.
        (fails(true) && !fails(false)).then_some((seed, scenario))
    });
    let mut best: Option<Shrunk> = None;
    for (seed, scenario) in failing.take(FAILURES_MAX) {
        let began = cpu_time();
        let Some(shrunk) = shrink(&scenario) else {
            continue;
        };
        println!("| {mutant} {}", row(&shrunk, seed, began));
        let is_smaller = |best: &Shrunk| shrunk.after.troubles() < best.after.troubles();
        if best.as_ref().is_none_or(is_smaller) {
            best = Some(shrunk);
        }
        if best
            .as_ref()
            .is_some_and(|best| best.after.troubles() <= TROUBLES_MAX)
        {
            break;
        }
    }
    best
}

/// Faults, and messages lost, late or doubled, that a person can follow.
const TROUBLES_MAX: usize = 15;
/// Failures with one bug that are shrunk until one becomes small enough. One that hangs on the
/// exact time of a hundred messages does not; most bugs have others.
const FAILURES_MAX: usize = 6;

const HEAD: &str =
    "| bug | seed | faults | lost | late or twice | clients | events | runs | core s | violates |
|---|---|---|---|---|---|---|---|---|---|";

fn row(shrunk: &Shrunk, seed: u64, began: Duration) -> String {
    let (before, after) = (shrunk.before, shrunk.after);
    let property = match &shrunk.scenario.expect {
        Expect::Violates(property) => property,
        Expect::NoViolation => "nothing",
    };
    format!(
        "| {seed} | {} -> {} | {} -> {} | {} -> {} | {} -> {} | {} -> {} | {} | {:.1} | {property} |",
        before.faults,
        after.faults,
        before.lost,
        after.lost,
        before.late,
        after.late,
        before.clients,
        after.clients,
        before.events,
        after.events,
        shrunk.runs,
        cpu_time().saturating_sub(began).as_secs_f64(),
    )
}

/// The run of a seed as a scenario.
fn of_seed(seed: u64, mutant: Option<Mutant>) -> Scenario {
    let (name, why) = match mutant {
        Some(mutant) => {
            let name = format!("{mutant} shows");
            (name, mutant.describe().to_owned())
        }
        None => (format!("seed {seed}"), "it failed".to_owned()),
    };
    Scenario {
        name,
        why,
        mutant,
        expect: Expect::NoViolation,
        catches: Vec::new(),
        probes: Vec::new(),
        loses_majority: false,
        setup: Setup::from_seed(seed),
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if path.is_dir() {
        bail!("{} is a directory: name a file in it", path.display());
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
