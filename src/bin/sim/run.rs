//! `doozer-sim run`: one seed.

use std::process::ExitCode;

use clap::Args;
use doozer::sim::setup::Setup;
use doozer::sim::world::Narrator;

use crate::subject::Subject;

/// Arguments of `run`.
#[derive(Args)]
pub struct Options {
    /// The seed.
    #[arg(long)]
    seed: u64,
    /// Tells everything that happens.
    #[arg(long)]
    verbose: bool,
    /// Runs it twice, and tells the first event that differs.
    #[arg(long)]
    twice: bool,
    #[command(flatten)]
    subject: Subject,
}

/// Runs the seed, prints how it went; fails if a rule was broken.
pub fn main(options: &Options) -> anyhow::Result<ExitCode> {
    let narrator = options.verbose.then_some(print_line as Narrator);
    let subject = &options.subject;
    let setup = Setup::from_seed(options.seed);
    let mut report = subject.run(&setup, narrator);
    println!(
        "seed {}: trace {} events={} simulated={:?} excused={}",
        report.seed, report.trace, report.events, report.simulated, report.excused
    );
    if options.twice {
        report.violation = subject.repeat(&setup, &report).or(report.violation);
    }
    let Some(violation) = &report.violation else {
        return Ok(ExitCode::SUCCESS);
    };
    println!("{violation}");
    println!("replay: {}", subject.replay(&report));
    Ok(ExitCode::FAILURE)
}

fn print_line(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}
