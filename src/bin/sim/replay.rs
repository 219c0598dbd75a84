//! `doozer-sim replay`: a run again, line by line.

use std::io::{BufWriter, Write, stdout};
use std::process::ExitCode;

use clap::Args;
use doozer::sim::narration::Narrator;
use doozer::sim::narration::filter::Filter;
use doozer::sim::narration::line::{HEAD, Line};

use crate::run::summary;
use crate::source::Source;

/// Arguments of `replay`.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    part: Part,
    /// Only some lines: `slot=17,node=2`. Keys are slot, node (a host, or one process on it as 2.1),
    /// client and kind (of event, message, record or request).
    #[arg(long, value_name = "KEY=VALUE,..", default_value = "")]
    print: Filter,
}

/// A part of a run.
#[derive(Args)]
pub struct Part {
    /// Tells nothing before this event; the run up to there is done at full speed.
    #[arg(long, value_name = "N", default_value_t = 0)]
    from_event: u64,
    /// Tells nothing after this event.
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    to_event: u64,
}

impl Part {
    /// The numbers of the events.
    pub fn events(&self) -> std::ops::RangeInclusive<u64> {
        self.from_event..=self.to_event
    }
}

/// Runs it again and prints a line for each thing that happens; fails if a rule is broken.
pub fn main(options: &Options) -> anyhow::Result<ExitCode> {
    // Panics of nodes are told as what they are, a broken rule.
    std::panic::set_hook(Box::new(|_| {}));
    println!("{HEAD}");
    let mut out = BufWriter::new(stdout());
    let filter = options.print.clone();
    let narrator = Narrator::within(options.part.events(), move |told| {
        let line = Line::of(told);
        if filter.takes(&line) && writeln!(out, "{line}").is_err() {
            // Nobody reads on.
            std::process::exit(0);
        }
    });
    let report = options.source.run(narrator)?;
    println!("{}", summary(&report));
    let Some(violation) = &report.violation else {
        println!("no rule is broken");
        return Ok(ExitCode::SUCCESS);
    };
    println!("{violation}");
    Ok(ExitCode::FAILURE)
}
