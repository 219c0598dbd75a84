//! All nodes have the same state after the same slot.
//!
//! Looked at after every turn of every node: the first digest shown for a slot is the truth.

use super::Violation;
use crate::core::id::{NodeId, Rev};
use crate::core::protocol::peer::Digest;
use crate::sim::machine::View;

/// The property, as a sentence.
pub const PROPERTY: &str = "all nodes have the same state after the same slot";

/// The state after each slot that any node has shown.
#[derive(Debug, Default)]
pub struct Agreement {
    /// By slot.
    known: Vec<Option<(Digest, Rev, NodeId)>>,
}

impl Agreement {
    /// Compares what a node shows with what others have shown.
    pub fn check(&mut self, node: NodeId, view: &View) -> Result<(), Violation> {
        let index = usize::try_from(view.applied.0).expect("slots are counted in memory");
        if self.known.len() <= index {
            self.known.resize(index + 1, None);
        }
        let shown = (view.digest, view.rev, node);
        let (digest, rev, first) = *self.known[index].get_or_insert(shown);
        if (digest, rev) == (view.digest, view.rev) {
            return Ok(());
        }
        let detail = format!(
            "after slot {} {node} has {:x} at rev {}, {first} had {:x} at rev {rev}",
            view.applied, view.digest.0, view.rev, digest.0
        );
        Err(Violation::new(PROPERTY, detail))
    }
}
