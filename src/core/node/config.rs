//! What a node is told at its start.

use std::time::Duration;

use crate::core::consensus::{ALPHA, BatchLimits};
use crate::core::durable::Record;
use crate::core::id::{Lineage, NodeId};
use crate::core::limits::Limits;
use crate::core::state::State;
use crate::core::store::HistoryLimits;

/// What a node is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who it is.
    pub id: NodeId,
    /// How often this identity has been started before; 0 for a process that keeps nothing.
    pub boot: u32,
    /// Whether it may come back as who it is, with what it remembers.
    pub durable: bool,
    /// The address that others reach it at.
    pub addr: String,
    /// The address of its web view, for those who ask how it is; empty if it has none.
    pub web: String,
    /// The name of its machine, for `/ctl/node/<id>/hostname`.
    pub hostname: String,
    /// The version of the program, for `/ctl/node/<id>/version`.
    pub version: String,
    /// How its life begins.
    pub start: Start,
    /// The secret that grants everything; empty if unset.
    pub rw_secret: Vec<u8>,
    /// The secret that grants reading; empty if unset.
    pub ro_secret: Vec<u8>,
    /// How often a member writes its `applied` file.
    pub pulse: Duration,
    /// How long a silent member keeps its slot.
    pub timeout: Duration,
    /// Revisions of history to retain, at least one.
    pub history_revs: u64,
    /// Bytes of history to retain.
    pub history_bytes: u64,
    /// Whether reads without a `local` field are answered from this node's own copy.
    pub local_reads: bool,
    /// How long a client's request may wait for the cluster before it is answered with an error.
    pub request_timeout: Duration,
    /// Bounds on clients.
    pub limits: Limits,
    /// How the founder of a cluster sets it up, and how this node batches.
    pub tuning: Tuning,
}

/// How a node's life begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// It founds a cluster of this name, and is its only member.
    Found {
        /// The name of the cluster.
        cluster: String,
    },
    /// It attaches to whatever process it is linked to, copies its state, follows it, and waits
    /// for a vacant slot.
    Join,
    /// It makes a new cluster of what a process of an old one remembers, and is its only member.
    Recover {
        /// The process of the old cluster.
        survivor: NodeId,
        /// What it remembers.
        state: Box<State>,
    },
    /// It comes back as who it was.
    Resume {
        /// The name of the cluster.
        cluster: String,
        /// A state that it had.
        state: Box<State>,
        /// What it wrote since, and what it had to remember then, in order.
        records: Vec<Record>,
    },
}

/// What operators have no reason to change, but simulations do, to make rare situations frequent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Slots between a change of configuration and its effect, for a cluster that this node
    /// founds. At least twice the members that it will have.
    pub alpha: u64,
    /// Most that one batch of this node holds.
    pub batch: BatchLimits,
    /// Applied slots that are kept for those who missed some. Whoever is further behind takes a
    /// snapshot.
    pub retained_slots_max: usize,
    /// Writes of clients that wait for their place in the log at most. Beyond it they are refused.
    pub writes_open_max: usize,
    /// Bytes of them at most, estimated.
    pub bytes_open_max: usize,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            alpha: ALPHA,
            batch: BatchLimits {
                commands: 1024,
                bytes: 256 << 10,
            },
            // A minute or so of a busy cluster.
            retained_slots_max: 65_536,
            // Minutes of work for a cluster that is slow; more would only wait to time out.
            writes_open_max: 65_536,
            // A few hundred of the largest values.
            bytes_open_max: 256 << 20,
        }
    }
}

impl Config {
    /// The cluster that the node belongs to from the start; a node that joins learns it.
    pub fn lineage(&self) -> Option<Lineage> {
        let generation = match &self.start {
            Start::Found { .. } => 1,
            Start::Recover { state, .. } => state.lineage().generation.saturating_add(1),
            Start::Resume { state, .. } => return Some(state.lineage()),
            Start::Join => return None,
        };
        Some(Lineage {
            founder: self.id,
            generation,
        })
    }

    /// Whether the node is the first member of a cluster.
    pub fn is_founder(&self) -> bool {
        matches!(self.start, Start::Found { .. } | Start::Recover { .. })
    }

    /// How much history the node retains.
    pub fn history(&self) -> HistoryLimits {
        HistoryLimits {
            revs: self.history_revs.max(1),
            bytes: self.history_bytes,
        }
    }
}
