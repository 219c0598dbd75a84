//! `doozer-sim`: runs whole clusters from a seed, one or many. One file for each subcommand.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "runs seeds on several threads and tells how long they took"
)]

mod draw;
mod explain;
mod mutants;
mod progress;
mod replay;
mod run;
mod shrink;
mod source;
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
    /// Runs one seed or scenario: `doozer-sim run --seed 42`
    Run(run::Options),
    /// Runs again and tells what happens, line by line: `doozer-sim replay --seed 42 --print slot=17`
    Replay(replay::Options),
    /// Draws a run: `doozer-sim draw --seed 42 --out run.html`
    Draw(draw::Options),
    /// Tells why a slot holds what it holds: `doozer-sim explain --seed 42 --slot 17`
    Explain(explain::Options),
    /// Plants bugs in the node and tells how soon runs find them: `doozer-sim mutants --jobs 2`
    Mutants(mutants::Mutants),
    /// Makes a failure small: `doozer-sim shrink --seed 42 --out simulations/corpus/some.toml`
    Shrink(shrink::Options),
    /// Runs many seeds: `doozer-sim sweep --minutes 10`
    Sweep(sweep::Options),
    /// Runs the production runtime on simulated sockets: `doozer-sim turmoil --seeds 0..50`
    Turmoil(turmoil::Options),
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Draw(options) => draw::main(&options),
        Command::Explain(options) => explain::main(&options),
        Command::Mutants(options) => options.run(),
        Command::Replay(options) => replay::main(&options),
        Command::Run(options) => run::main(&options),
        Command::Shrink(options) => shrink::main(&options),
        Command::Sweep(options) => sweep::main(&options),
        Command::Turmoil(options) => turmoil::main(&options),
    }
}
