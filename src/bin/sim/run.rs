//! `doozer-sim run`: one seed.

use std::process::ExitCode;

use clap::Args;
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
    #[command(flatten)]
    subject: Subject,
}

/// Runs the seed, prints how it went; fails if a rule was broken.
pub fn main(options: &Options) -> anyhow::Result<ExitCode> {
    let narrator = options.verbose.then_some(print_line as Narrator);
    let report = options.subject.run(options.seed, narrator);
    println!(
        "seed {}: trace {} events={} simulated={:?} excused={}",
        report.seed, report.trace, report.events, report.simulated, report.excused
    );
    options.subject.print_failure(&report);
    Ok(ExitCode::from(u8::from(report.violation.is_some())))
}

fn print_line(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}
