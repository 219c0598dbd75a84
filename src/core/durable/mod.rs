//! What must not be forgotten: the records that a node writes ahead of what depends on them, the
//! files that hold them, and how a node comes back from these.
//!
//! All of it works on bytes, and on a [`Disk`]: files in production (`runtime/durable`), virtual ones
//! in the simulator, so that both do the same in the same order.
//!
//! A *log* is a head, then frames; each frame holds the records of one write, which is made durable
//! before the next begins. So at most the last frame of the newest log can be torn by a crash, and
//! whatever else is not whole was damaged later. A *snapshot* is a state and what its node had to
//! remember then. Log and snapshot of the same number begin at the same moment: a snapshot and the
//! logs from its number on give everything.

mod damage;
mod directory;
mod disk;
mod file;
mod identity;
mod journal;
mod pen;
mod record;
mod recover;
#[cfg(test)]
mod tests;

pub use damage::{Damage, Fault};
pub use directory::{Directory, IDENTITY, LOCK, Unusable};
pub use disk::{Disk, DiskError};
pub use file::{FORMAT, HEAD_BYTES, Head, Kind, Part, frame, put_record};
pub use identity::{Identity, IdentityError, Standing};
pub use journal::Journal;
pub use pen::{Order, Pen, Progress, Sketch};
pub use record::Record;
pub use recover::{End, Recovered, Tail, recover};

use super::id::Lineage;
use super::instrument::planted;
use super::state::StateExport;

/// All that a node must not forget, at one moment.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Which cluster it is of.
    pub lineage: Lineage,
    /// The state after the last applied slot.
    pub state: StateExport,
    /// What was promised and accepted beyond it, and which slots and rounds were used.
    pub memory: Vec<Record>,
}

impl Checkpoint {
    /// The frame of a snapshot of this number, from 0; `None` behind the last.
    pub fn part(&mut self, number: u32) -> Option<(Part, Vec<u8>)> {
        if let Some(piece) = self.state.piece(number) {
            return Some((Part::Piece, piece));
        }
        let is_first_behind = number == 0 || self.state.piece(number - 1).is_some();
        is_first_behind.then(|| {
            let mut bytes = Vec::new();
            for record in &self.memory {
                if planted!(SnapshotLacksAccepted) && matches!(record, Record::Accepted { .. }) {
                    continue;
                }
                put_record(record, &mut bytes);
            }
            (Part::Memory, bytes)
        })
    }
}
