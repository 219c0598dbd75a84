//! `doozer-sim mutants`: plants bugs in the node and tells how soon runs find them.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, bail};
use clap::Args;
use doozer::core::instrument::mutant::Mutant;
use doozer::sim::mutants::{Effort, HEAD, Hunt, hunt};

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
        println!("{HEAD}");
        let hunts = self.hunt_all(wanted)?;
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

    /// Prints each row as soon as all rows before it are known.
    fn hunt_all(&self, wanted: &[Mutant]) -> anyhow::Result<Vec<Hunt>> {
        let effort = Effort {
            runs: self.runs,
            hits: self.hits,
        };
        let next = AtomicUsize::new(0);
        let done: Mutex<(usize, Vec<Option<Hunt>>)> = Mutex::new((0, vec![None; wanted.len()]));
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(mutant) = wanted.get(index) else {
                    return;
                };
                let hunt = hunt(*mutant, effort);
                let Ok(mut done) = done.lock() else { return };
                let (printed, hunts) = &mut *done;
                hunts[index] = Some(hunt);
                while let Some(Some(hunt)) = hunts.get(*printed) {
                    println!("{hunt}");
                    *printed += 1;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(work);
            }
        });
        let (_, hunts) = done.into_inner().ok().context("a worker failed")?;
        let hunts: Option<Vec<Hunt>> = hunts.into_iter().collect();
        hunts.context("a worker failed; run with --jobs 1")
    }
}
