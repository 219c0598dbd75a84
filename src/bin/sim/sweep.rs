//! `doozer-sim sweep`: many seeds.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use doozer::sim::sweep::Totals;

use crate::subject::Subject;

/// Arguments of `sweep`.
#[derive(Args)]
pub struct Options {
    /// The seeds, the second number excluded.
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    seeds: (u64, u64),
    /// Threads.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    #[command(flatten)]
    subject: Subject,
}

/// Runs the seeds, prints what they add up to; fails if a rule was broken.
pub fn main(options: &Options) -> anyhow::Result<ExitCode> {
    silence_panics();
    let began = Instant::now();
    let totals = sweep(options.seeds, options.jobs, &options.subject)?;
    for report in &totals.failures {
        options.subject.print_failure(report);
    }
    let wall = began.elapsed().as_secs_f64();
    let speed = totals.events as f64 / wall;
    println!("{totals} wall={wall:.1}s events/s={speed:.0}");
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
            totals.add(subject.run(seed, None));
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

fn parse_range(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once("..").ok_or("write it as A..B")?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text} is not a number"));
    match (number(from)?, number(to)?) {
        (from, to) if from < to => Ok((from, to)),
        _ => Err("the range is empty".to_owned()),
    }
}
