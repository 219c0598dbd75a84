//! All nodes have the same state after the same slot.
//!
//! Looked at after every turn of every node: the first digest shown for a slot is the truth.

use std::collections::BTreeMap;

use super::Violation;
use crate::core::consensus::Slot;
use crate::core::id::{NodeId, Rev};
use crate::core::protocol::peer::Digest;
use crate::sim::machine::View;

/// The property, as a sentence.
pub const PROPERTY: &str = "all nodes have the same state after the same slot";

/// The state after each slot that any node has shown.
#[derive(Debug, Default)]
pub struct Agreement {
    known: BTreeMap<Slot, (Digest, Rev, NodeId)>,
}

impl Agreement {
    /// Compares what a node shows with what others have shown.
    pub fn check(&mut self, node: NodeId, view: &View) -> Option<Violation> {
        let shown = (view.digest, view.rev, node);
        let (digest, rev, first) = *self.known.entry(view.applied).or_insert(shown);
        if (digest, rev) == (view.digest, view.rev) {
            return None;
        }
        let detail = format!(
            "after slot {} {node} has {:x} at rev {}, {first} had {:x} at rev {rev}",
            view.applied, view.digest.0, view.rev, digest.0
        );
        Some(Violation::new(PROPERTY, detail))
    }
}
