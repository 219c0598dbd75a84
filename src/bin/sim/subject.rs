//! What is run: the real node, or the stand-in that tests the harness itself.

use clap::{Args, ValueEnum};
use doozer::core::node::Node;
use doozer::sim::run::{Report, run};
use doozer::sim::standin::{Bug, Shared, Standin};
use doozer::sim::world::Narrator;

/// What is run.
#[derive(Args, Clone)]
pub struct Subject {
    /// The real node, or the stand-in that tests the harness itself.
    #[arg(long, value_enum, default_value_t = Machine::Node)]
    machine: Machine,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Machine {
    Node,
    Standin,
}

impl Subject {
    /// Runs one seed.
    pub fn run(&self, seed: u64, narrator: Option<Narrator>) -> Report {
        match self.machine {
            Machine::Node => run::<Node>(seed, (), narrator),
            Machine::Standin => run::<Standin>(seed, Shared::new(Bug::None), narrator),
        }
    }

    /// Tells of a run that broke a rule, with the command that runs it again.
    pub fn print_failure(&self, report: &Report) {
        if let Some(violation) = &report.violation {
            println!("seed {}: {violation}", report.seed);
            println!("  replay: {}", self.replay(report.seed));
        }
    }

    fn replay(&self, seed: u64) -> String {
        let machine = match self.machine {
            Machine::Node => "",
            Machine::Standin => " --machine standin",
        };
        format!("doozer-sim run --seed {seed} --verbose{machine}")
    }
}
