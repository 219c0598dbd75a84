//! What a node has done since it began, in numbers: for those who watch over it.

use super::Node;
use crate::core::histogram::Histogram;
use crate::core::log::Entry;

/// What a node has done since it began. Every count only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Batches that this node put into slots of its own.
    pub proposed: u64,
    /// Batches that were decided and applied, whoever proposed them.
    pub batches: u64,
    /// Slots that were decided to be left empty, and passed over.
    pub skips: u64,
    /// Times that this node took over slots of another owner.
    pub revocations: u64,
    /// Commands of the batches that were applied.
    pub batch_sizes: Histogram,
    /// How long writes of clients waited for their place in the log, in microseconds.
    pub write_waits: Histogram,
    /// How long reads of clients waited until the state was up to date, in microseconds.
    pub read_waits: Histogram,
}

impl Counters {
    /// Counts an entry that is applied.
    pub(super) fn note(&mut self, entry: &Entry) {
        match entry {
            Entry::Batch(batch) => {
                self.batches += 1;
                let commands = batch.runs.iter().map(|run| run.ops.len() as u64);
                self.batch_sizes.note(commands.sum());
            }
            _ => self.skips += 1,
        }
    }
}

impl Node {
    /// What this node has done since it began.
    pub fn counters(&self) -> Counters {
        let proposed = self.replica.as_ref();
        Counters {
            proposed: proposed.map_or(0, |replica| replica.consensus.proposed()),
            write_waits: *self.service.write_waits(),
            read_waits: *self.service.read_waits(),
            ..self.counters
        }
    }
}
