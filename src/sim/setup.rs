//! What a run is made from: a seed alone, or a seed and all that is told instead of drawn.
//!
//! What is listed here happens in addition to what the rates in [`Params`] draw, and each part can
//! be taken away without changing what the others do. So a run that failed is frozen by listing
//! what was drawn and setting the rates to zero, and shrunk by making the lists shorter.

use serde::{Deserialize, Serialize};

use super::chance::Chance;
use super::fault::Event;
use super::params::Params;
use super::process::HostId;
use super::script::{Check, Step};
use super::trouble::Troubles;
use super::workload::{self, Client};

/// What a run is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Decides all that is not told.
    pub seed: u64,
    /// Sizes, limits and rates.
    pub params: Params,
    /// Whether processes join one by one, so that host 0 holds slot 0, host 1 slot 1, and so on.
    /// Else they race for slots.
    pub orderly: bool,
    /// The clients of the storm.
    pub clients: Vec<Client>,
    /// Faults, besides those drawn.
    pub events: Vec<Event>,
    /// Troubles of single messages, besides those drawn.
    pub troubles: Troubles,
    /// What clients do to the letter, besides the others.
    pub steps: Vec<Step>,
    /// What must be so at some time.
    pub checks: Vec<Check>,
    /// The core of the final phase; drawn if not told.
    pub core: Option<Core>,
}

/// Who is healed in the final phase, and what becomes of the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Core {
    /// The hosts whose processes are healed: a majority of the members at least.
    pub hosts: Vec<HostId>,
    /// What becomes of the others.
    #[serde(default)]
    pub others: Others,
}

/// What becomes of those that are not in the core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Others {
    /// They stay as they are, faults included, for ever.
    #[default]
    Stay,
    /// They die.
    Die,
    /// They are cut off for good.
    CutOff,
}

impl Setup {
    /// The run of a seed: everything is drawn.
    pub fn from_seed(seed: u64) -> Setup {
        let chance = Chance::new(seed);
        let mut params = Params::draw(&chance);
        let clients = workload::draw(&chance, &mut params);
        Setup {
            params,
            clients,
            orderly: false,
            ..Setup::calm(seed)
        }
    }

    /// A run in which nothing happens.
    pub fn calm(seed: u64) -> Setup {
        Setup {
            seed,
            params: Params::default(),
            orderly: true,
            clients: Vec::new(),
            events: Vec::new(),
            troubles: Troubles::default(),
            steps: Vec::new(),
            checks: Vec::new(),
            core: None,
        }
    }
}
