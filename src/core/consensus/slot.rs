//! Slots, ballots, lane statements: the words of the protocol.

use std::fmt;

use bincode::{Decode, Encode};

use crate::core::id::NodeId;

/// A position in the log, from 1. 0 is before the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Encode, Decode)]
pub struct Slot(pub u64);

impl Slot {
    /// The slot after this one. The last number there is stays where it is: only others' messages
    /// name it.
    pub fn next(self) -> Slot {
        self.plus(1)
    }

    /// The slot `n` after this one.
    pub fn plus(self, n: u64) -> Slot {
        Slot(self.0.saturating_add(n))
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The right to propose in a slot: ordered by round, then by member.
///
/// Round 0 belongs to the slot's owner alone, who needs no Prepare for it. A ballot is never used
/// for two different entries in one slot (I5), so votes need to name the ballot only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct Ballot {
    /// 0 for the owner, more for whoever takes the slot over.
    pub round: u32,
    /// Who proposes.
    pub member: NodeId,
}

impl Ballot {
    /// The ballot with which a slot's owner proposes.
    pub fn of_owner(owner: NodeId) -> Ballot {
        Ballot {
            round: 0,
            member: owner,
        }
    }
}

/// A statement of the member that sends it: of all slots in `[base, next)`, it has used exactly
/// `used` at round 0, and will never use another. Never contradicted later (I8).
///
/// Only a slot's owner may bring an entry other than Skip into it, so each slot of the speaker in
/// the range that is not in `used` is thereby decided Skip.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Lane {
    /// First slot spoken of.
    pub base: Slot,
    /// First slot not spoken of.
    pub next: Slot,
    /// Slots that the speaker has used, ascending.
    pub used: Vec<Slot>,
}
