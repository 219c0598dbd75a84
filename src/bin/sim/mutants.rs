//! `doozer-sim mutants`: plants bugs in the node and tells how soon runs find them.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, bail};
use clap::Args;
use doozer::core::instrument::mutant::Mutant;
use doozer::sim::mutants::{Effort, HEAD, Hunt, hunt};
use doozer::sim::scenario::Scenario;

use crate::source::read;
use crate::subject::parse_mutant;

/// Which bugs, and how long each is looked for.
#[derive(Args)]
pub struct Mutants {
    /// Only these, by name; several are separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = parse_mutant)]
    only: Vec<Mutant>,
    /// Runs for each at most, with the seeds from 0.
    #[arg(long, default_value_t = 1000)]
    runs: u64,
    /// Failed runs after which one counts as found.
    #[arg(long, default_value_t = 5)]
    hits: usize,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Runs the scenarios of this folder with each bug instead, and tells which of them fail.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["runs", "hits"])]
    scenarios: Option<PathBuf>,
}

impl Mutants {
    /// Prints the table. Fails if a bug is not found.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        if self.jobs == 0 || self.hits == 0 || self.runs == 0 {
            bail!("--jobs, --hits and --runs must be at least 1");
        }
        let wanted = match self.only.is_empty() {
            true => Mutant::ALL,
            false => &self.only,
        };
        // Panics of nodes are what is looked for.
        std::panic::set_hook(Box::new(|_| {}));
        if let Some(dir) = &self.scenarios {
            let scenarios = read_all(dir)?;
            let rows = self.print_each(wanted, |mutant| Row::new(mutant, &scenarios))?;
            let is_caught = rows.iter().all(|row| !row.failing.is_empty());
            return Ok(ExitCode::from(u8::from(!is_caught)));
        }
        println!("{HEAD}");
        let effort = Effort {
            runs: self.runs,
            hits: self.hits,
        };
        let hunts = self.print_each(wanted, |mutant| hunt(mutant, effort))?;
        let lost: Vec<&Hunt> = hunts.iter().filter(|hunt| !hunt.is_found()).collect();
        println!(
            "\n{} planted, {} found",
            hunts.len(),
            hunts.len() - lost.len()
        );
        for hunt in &lost {
            println!("not found: {}: {}", hunt.mutant, hunt.mutant.describe());
        }
        Ok(ExitCode::from(u8::from(!lost.is_empty())))
    }

    /// Prints a row for each bug as soon as all rows before it are known.
    fn print_each<T: Send + Display>(
        &self,
        wanted: &[Mutant],
        row_of: impl Fn(Mutant) -> T + Sync,
    ) -> anyhow::Result<Vec<T>> {
        let next = AtomicUsize::new(0);
        let rows = wanted.iter().map(|_| None).collect();
        let done: Mutex<(usize, Vec<Option<T>>)> = Mutex::new((0, rows));
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(mutant) = wanted.get(index) else {
                    return;
                };
                let row = row_of(*mutant);
                let Ok(mut done) = done.lock() else { return };
                let (printed, rows) = &mut *done;
                rows[index] = Some(row);
                while let Some(Some(row)) = rows.get(*printed) {
                    println!("{row}");
                    *printed += 1;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(work);
            }
        });
        let (_, rows) = done.into_inner().ok().context("a worker failed")?;
        let rows: Option<Vec<T>> = rows.into_iter().collect();
        rows.context("a worker failed; run with --jobs 1")
    }
}

/// Which scenarios find a bug.
struct Row {
    mutant: Mutant,
    failing: Vec<String>,
}

impl Row {
    fn new(mutant: Mutant, scenarios: &[(String, Scenario)]) -> Row {
        let fails = |scenario: &Scenario| {
            let report = scenario.run_with(Some(mutant), None);
            report.violation.is_some()
        };
        let failing = scenarios.iter().filter(|(_, scenario)| fails(scenario));
        Row {
            mutant,
            failing: failing.map(|(name, _)| name.clone()).collect(),
        }
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { mutant, failing } = self;
        let count = failing.len();
        write!(f, "| {mutant} | {count} | {} |", failing.join(" "))
    }
}

/// The scenarios of a folder, by the names of their files.
fn read_all(dir: &Path) -> anyhow::Result<Vec<(String, Scenario)>> {
    let entries =
        std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path()));
    let mut paths = paths.collect::<anyhow::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| path.extension().is_some_and(|is| is == "toml"));
    paths.sort();
    let named = paths.iter().map(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Ok((name.into_owned(), read(path)?))
    });
    named.collect()
}
