//! `doozer-sim`: runs whole clusters from a seed, one or many.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "runs seeds on several threads and tells how long they took"
)]

mod mutants;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use doozer::core::node::Node;
use doozer::sim::probes::REQUIRED_FROM;
use doozer::sim::run::{Report, run};
use doozer::sim::standin::{Bug, Shared, Standin};
use doozer::sim::sweep::Totals;
use doozer::sim::world::Narrator;

/// Runs whole clusters of the node logic in simulation. One seed decides everything.
#[derive(Parser)]
#[command(name = "doozer-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs one seed: `doozer-sim run --seed 42 --verbose`
    Run {
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// Tells everything that happens.
        #[arg(long)]
        verbose: bool,
        #[command(flatten)]
        subject: Subject,
    },
    /// Runs many seeds: `doozer-sim sweep --seeds 0..1000 --jobs 2`
    Sweep {
        /// The seeds, the second number excluded.
        #[arg(long, value_name = "A..B", value_parser = parse_range)]
        seeds: (u64, u64),
        /// Threads.
        #[arg(long, default_value_t = 1)]
        jobs: usize,
        /// Fails if a probe is missed, as sweeps of the node over 10,000 seeds or more always do.
        #[arg(long)]
        require_probes: bool,
        /// Tells in how many runs each probe was met.
        #[arg(long)]
        list_probes: bool,
        #[command(flatten)]
        subject: Subject,
    },
    /// Plants bugs in the node and tells how soon runs find them: `doozer-sim mutants --jobs 2`
    Mutants(mutants::Mutants),
}

/// What is run.
#[derive(Args, Clone)]
struct Subject {
    /// The real node, or the stand-in that tests the harness itself.
    #[arg(long, value_enum, default_value_t = Machine::Node)]
    machine: Machine,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Machine {
    Node,
    Standin,
}

impl Subject {
    fn run(&self, seed: u64, verbose: bool) -> Report {
        let narrator = verbose.then_some(print_line as Narrator);
        match self.machine {
            Machine::Node => run::<Node>(seed, (), narrator),
            Machine::Standin => run::<Standin>(seed, Shared::new(Bug::None), narrator),
        }
    }

    fn replay(&self, seed: u64) -> String {
        match self.machine {
            Machine::Node => format!("doozer-sim run --seed {seed} --verbose"),
            Machine::Standin => {
                format!("doozer-sim run --seed {seed} --verbose --machine standin")
            }
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let totals = match cli.command {
        Command::Run {
            seed,
            verbose,
            subject,
        } => {
            let report = subject.run(seed, verbose);
            println!(
                "seed {seed}: trace {} events={} simulated={:?} excused={}",
                report.trace, report.events, report.simulated, report.excused
            );
            let mut totals = Totals::default();
            totals.add(report);
            print_failures(&totals, &subject);
            totals
        }
        Command::Sweep {
            seeds,
            jobs,
            require_probes,
            list_probes,
            subject,
        } => {
            silence_panics();
            let began = Instant::now();
            let totals = sweep(seeds, jobs, &subject)?;
            print_failures(&totals, &subject);
            let wall = began.elapsed().as_secs_f64();
            let speed = totals.events as f64 / wall;
            println!("{totals} wall={wall:.1}s events/s={speed:.0}");
            println!("{}", totals.probes);
            if list_probes {
                print!("{}", totals.probes.table());
            }
            let is_large = totals.runs >= REQUIRED_FROM && subject.machine == Machine::Node;
            if (require_probes || is_large) && totals.probes.missed().next().is_some() {
                println!("probes were missed");
                return Ok(ExitCode::FAILURE);
            }
            totals
        }
        Command::Mutants(mutants) => {
            silence_panics();
            return mutants.run();
        }
    };
    Ok(ExitCode::from(u8::from(!totals.failures.is_empty())))
}

/// Panics of nodes are caught and reported with their seeds; where they happened is told once more
/// by the replay.
fn silence_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

fn sweep(seeds: (u64, u64), jobs: usize, subject: &Subject) -> anyhow::Result<Totals> {
    if jobs == 0 {
        bail!("--jobs must be at least 1");
    }
    let next = AtomicU64::new(seeds.0);
    let work = || {
        let mut totals = Totals::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.1 {
                return totals;
            }
            totals.add(subject.run(seed, false));
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let mut totals = Totals::default();
        for worker in workers {
            let part = worker
                .join()
                .ok()
                .context("a worker failed; run with --jobs 1")?;
            totals.merge(part);
        }
        Ok(totals)
    })
}

fn print_failures(totals: &Totals, subject: &Subject) {
    for report in &totals.failures {
        if let Some(violation) = &report.violation {
            println!("seed {}: {violation}", report.seed);
            println!("  replay: {}", subject.replay(report.seed));
        }
    }
}

fn print_line(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}

fn parse_range(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once("..").ok_or("write it as A..B")?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text} is not a number"));
    match (number(from)?, number(to)?) {
        (from, to) if from < to => Ok((from, to)),
        _ => Err("the range is empty".to_owned()),
    }
}
