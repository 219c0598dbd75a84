//! Entries: what a slot decides.

use std::sync::Arc;

use bincode::{Decode, Encode};

use super::command::{Op, Seq};
use crate::core::id::NodeId;

/// What a slot decides. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Entry {
    /// Nothing.
    Skip,
    /// Commands, to be applied in order.
    Batch(Arc<Batch>),
}

/// The commands of one entry.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Default)]
pub struct Batch {
    /// Consecutive commands of one origin each. An origin may appear several times.
    pub runs: Vec<Run>,
}

/// Consecutive commands of one origin.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Run {
    /// The process that they come from.
    pub origin: NodeId,
    /// The number of the first.
    pub first: Seq,
    /// The commands, numbered from `first`.
    pub ops: Vec<Op>,
}
