//! `doozer-sim turmoil`: the production runtime on simulated sockets.

use std::time::Instant;

use clap::Args;
use doozer::sim::sweep::Totals;
use doozer::sim::turmoil::run;
use doozer::sim::world::Narrator;

use super::{parse_range, print_line};

/// Which seeds to run.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Seeds {
    /// One seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Many seeds, the second number excluded.
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    seeds: Option<(u64, u64)>,
}

/// Runs seeds one after the other, and tells what came of them.
pub fn sweep(seeds: &Seeds, verbose: bool) -> Totals {
    let (from, to) = match (seeds.seed, seeds.seeds) {
        (Some(seed), _) => (seed, seed.saturating_add(1)),
        (None, range) => range.unwrap_or_default(),
    };
    let narrator = verbose.then_some(print_line as Narrator);
    let began = Instant::now();
    let mut totals = Totals::default();
    for seed in from..to {
        let report = run(seed, narrator);
        if seeds.seed.is_some() {
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
    totals
}
