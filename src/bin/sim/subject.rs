//! What is run: the real node, with a bug planted in it or without, or the stand-in that tests the
//! harness itself.

use clap::{Args, ValueEnum};
use doozer::core::instrument::mutant::Mutant;
use doozer::core::node::Node;
use doozer::sim::check::Violation;
use doozer::sim::mutants::Planted;
use doozer::sim::narration::Narrator;
use doozer::sim::repeat;
use doozer::sim::run::{Report, run, run_watching};
use doozer::sim::setup::Setup;
use doozer::sim::standin::{Bug, Shared, Standin};

/// What is run.
#[derive(Args, Clone)]
pub struct Subject {
    /// The real node, or a stand-in that tests the harness itself.
    #[arg(long, value_enum, default_value_t = Machine::Node)]
    machine: Machine,
    /// A bug that is planted in the node.
    #[arg(long, value_name = "NAME", value_parser = parse_mutant, conflicts_with = "machine")]
    pub mutant: Option<Mutant>,
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
        let _planted = Planted::new(self.mutant);
        match self.machine {
            Machine::Node => run::<Node>(setup, (), narrator),
            machine => run::<Standin>(setup, machine.shared(), narrator),
        }
    }

    /// Does a run again; what is wrong if that is another run.
    pub fn repeat(&self, setup: &Setup, first: &Report) -> Option<Violation> {
        let _planted = Planted::new(self.mutant);
        repeat::compare(first, |block| match self.machine {
            Machine::Node => run_watching::<Node>(setup, (), block),
            machine => run_watching::<Standin>(setup, machine.shared(), block),
        })
    }

    /// Whether it is the real node, as it is.
    pub fn is_node(&self) -> bool {
        self.machine == Machine::Node && self.mutant.is_none()
    }

    /// The command that runs a failure again.
    pub fn replay(&self, report: &Report) -> String {
        let is_other = |violation: &Violation| violation.property == repeat::PROPERTY;
        let (seed, subject) = (report.seed, self.arguments());
        match &report.violation {
            Some(violation) if is_other(violation) => {
                format!("doozer-sim run --seed {seed} --twice{subject}")
            }
            _ => format!("doozer-sim replay --seed {seed}{subject}"),
        }
    }

    /// The arguments that choose it, each after a space.
    pub fn arguments(&self) -> String {
        match (self.machine, self.mutant) {
            (_, Some(mutant)) => format!(" --mutant {mutant}"),
            (Machine::Node, None) => String::new(),
            (Machine::Standin, None) => " --machine standin".to_owned(),
            (Machine::LeakyStandin, None) => " --machine leaky-standin".to_owned(),
        }
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

/// The bug of a name.
pub fn parse_mutant(name: &str) -> Result<Mutant, String> {
    let found = Mutant::ALL.iter().find(|mutant| mutant.to_string() == name);
    found.copied().ok_or_else(|| {
        let all: Vec<String> = Mutant::ALL.iter().map(Mutant::to_string).collect();
        format!("there is no bug {name}; there are {}", all.join(", "))
    })
}
