//! What is run: the real node, or the stand-in that tests the harness itself.

use clap::{Args, ValueEnum};
use doozer::core::node::Node;
use doozer::sim::check::Violation;
use doozer::sim::repeat;
use doozer::sim::run::{Report, run, run_watching};
use doozer::sim::setup::Setup;
use doozer::sim::standin::{Bug, Shared, Standin};
use doozer::sim::world::Narrator;

/// What is run.
#[derive(Args, Clone)]
pub struct Subject {
    /// The real node, or a stand-in that tests the harness itself.
    #[arg(long, value_enum, default_value_t = Machine::Node)]
    machine: Machine,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Machine {
    /// The real node.
    Node,
    /// A stand-in that is correct.
    Standin,
    /// A stand-in that lets the order of a hash map decide.
    LeakyStandin,
}

impl Subject {
    /// Does one run.
    pub fn run(&self, setup: &Setup, narrator: Option<Narrator>) -> Report {
        match self.machine {
            Machine::Node => run::<Node>(setup, (), narrator),
            machine => run::<Standin>(setup, machine.shared(), narrator),
        }
    }

    /// Does a run again; what is wrong if that is another run.
    pub fn repeat(&self, setup: &Setup, first: &Report) -> Option<Violation> {
        repeat::compare(first, |block| match self.machine {
            Machine::Node => run_watching::<Node>(setup, (), block),
            machine => run_watching::<Standin>(setup, machine.shared(), block),
        })
    }

    /// Whether it is the real node.
    pub fn is_node(&self) -> bool {
        self.machine == Machine::Node
    }

    /// The command that runs a failure again.
    pub fn replay(&self, report: &Report) -> String {
        let is_other = |violation: &Violation| violation.property == repeat::PROPERTY;
        let how = match &report.violation {
            Some(violation) if is_other(violation) => "--twice",
            _ => "--verbose",
        };
        let machine = match self.machine {
            Machine::Node => "",
            Machine::Standin => " --machine standin",
            Machine::LeakyStandin => " --machine leaky-standin",
        };
        format!("doozer-sim run --seed {} {how}{machine}", report.seed)
    }
}

impl Machine {
    fn shared(self) -> Shared {
        Shared::new(match self {
            Machine::LeakyStandin => Bug::HashOrder,
            Machine::Node | Machine::Standin => Bug::None,
        })
    }
}
