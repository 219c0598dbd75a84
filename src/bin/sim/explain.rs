//! `doozer-sim explain`: why a slot holds what it holds.

use std::process::ExitCode;

use clap::Args;
use doozer::core::consensus::Slot;
use doozer::sim::explain::listen;

use crate::source::Source;

/// Arguments of `explain`.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    source: Source,
    /// The slot.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    slot: u64,
}

/// Runs it again and prints the account of the slot; fails if a rule is broken.
pub fn main(options: &Options) -> anyhow::Result<ExitCode> {
    // Panics of nodes are told as what they are, a broken rule.
    std::panic::set_hook(Box::new(|_| {}));
    let (account, narrator) = listen(Slot(options.slot));
    let report = options.source.run(narrator)?;
    print!("{}", account.borrow());
    Ok(ExitCode::from(u8::from(report.violation.is_some())))
}
