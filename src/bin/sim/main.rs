//! `doozer-sim`: runs whole clusters from a seed, one or many. One file for each subcommand.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "runs seeds on several threads and tells how long they took"
)]

mod progress;
mod run;
mod subject;
mod summary;
mod sweep;
mod turmoil;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Run(run::Options),
    /// Runs many seeds: `doozer-sim sweep --minutes 10`
    Sweep(sweep::Options),
    /// Runs the production runtime on simulated sockets: `doozer-sim turmoil --seeds 0..50`
    Turmoil(turmoil::Options),
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Run(options) => run::main(&options),
        Command::Sweep(options) => sweep::main(&options),
        Command::Turmoil(options) => turmoil::main(&options),
    }
}
