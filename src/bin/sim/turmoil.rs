//! `doozer-sim turmoil`: the production runtime on simulated sockets.

use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use doozer::sim::sweep::Totals;
use doozer::sim::turmoil::{Teller, run};

use crate::sweep::parse_range;

/// Arguments of `turmoil`.
#[derive(Args)]
#[group(id = "extent", required = true, multiple = false, args = ["seed", "seeds"])]
pub struct Options {
    /// One seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Many seeds, the second number excluded.
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    seeds: Option<Range<u64>>,
    /// Tells everything that happens.
    #[arg(long)]
    verbose: bool,
}

/// Runs seeds one after the other, and tells what came of them; fails if a rule was broken.
pub fn main(options: &Options) -> anyhow::Result<ExitCode> {
    let seeds = match (options.seed, &options.seeds) {
        (Some(seed), _) => seed..seed.saturating_add(1),
        (None, range) => range.clone().unwrap_or_default(),
    };
    let narrator = options.verbose.then_some(print_line as Teller);
    let began = Instant::now();
    let mut totals = Totals::default();
    for seed in seeds {
        let report = run(seed, narrator);
        if options.seed.is_some() {
            println!(
                "seed {seed}: trace {} events={} simulated={:?}",
                report.trace, report.events, report.simulated
            );
        }
        if let Some(violation) = &report.violation {
            println!("seed {seed}: {violation}");
            println!("  replay: doozer-sim turmoil --seed {seed} --verbose");
        }
        totals.add(report);
    }
    println!("{totals} wall={:.1}s", began.elapsed().as_secs_f64());
    Ok(ExitCode::from(u8::from(totals.failures > 0)))
}

fn print_line(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}
