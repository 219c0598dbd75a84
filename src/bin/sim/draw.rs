//! `doozer-sim draw`: a run as a picture.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use doozer::sim::draw::{listen, page};

use crate::replay::Part;
use crate::run::summary;
use crate::source::Source;

/// Arguments of `draw`.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    part: Part,
    /// The page; it needs nothing else.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs it again and writes the page, whether a rule is broken or not.
pub fn main(options: &Options) -> anyhow::Result<ExitCode> {
    // Panics of nodes are told as what they are, a broken rule.
    std::panic::set_hook(Box::new(|_| {}));
    let (picture, narrator) = listen(options.part.events());
    let report = options.source.run(narrator)?;
    let run = options.source.arguments();
    let html = page(&picture.borrow(), run.trim(), &summary(&report));
    let path = &options.out;
    std::fs::write(path, html).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}: {}", path.display(), summary(&report));
    if let Some(violation) = &report.violation {
        println!("{violation}");
    }
    Ok(ExitCode::SUCCESS)
}
