//! Commands: what nodes put into the log.

use bincode::{Decode, Encode};

use super::Restore;
use crate::core::consensus::Slot;
use crate::core::id::{NodeId, Rev};
use crate::core::store::{Mutation, Path};

/// The position of a command in the sequence of the process that it comes from.
///
/// Commands of one process are applied strictly in this order, each once: one that comes twice is
/// ignored, and so is one whose predecessor is not applied yet; its origin hands it in again. That
/// keeps the writes of a connection in order, and makes the memory of what was applied one number
/// for each origin. The upper bits count the lives of the process, so that a process that comes
/// back under its old id begins a sequence of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Encode, Decode)]
pub struct Seq(pub u64);

impl Seq {
    /// Bits that count the commands of one life; enough for a million a second over twelve days,
    /// and sixteen million lives.
    const INDEX_BITS: u32 = 40;

    /// The first command of a life.
    pub fn first_of(life: u32) -> Seq {
        Seq(u64::from(life) << Self::INDEX_BITS | 1)
    }

    /// The life that it belongs to.
    pub fn life(self) -> u32 {
        (self.0 >> Self::INDEX_BITS) as u32
    }

    /// Whether this is the first command of a life.
    pub fn begins_life(self) -> bool {
        self == Seq::first_of(self.life())
    }

    /// The command after this one. Nothing comes after the last number there is, which only others'
    /// messages name.
    pub fn next(self) -> Seq {
        self.plus(1)
    }

    /// The `n`-th command after this one; see [`Seq::next`].
    pub fn plus(self, n: usize) -> Seq {
        Seq(self.0.saturating_add(n as u64))
    }

    /// Whether a command with this number may be applied right after `last`, the latest one of the
    /// same origin that was.
    pub fn follows(self, last: Seq) -> bool {
        let is_later = self.life() > last.life() || last == Seq::default();
        last.0.checked_add(1) == Some(self.0) || (is_later && self.begins_life())
    }
}

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Op {
    /// Changes a file, or only takes a revision.
    Mutate {
        /// The change.
        mutation: Mutation,
        /// On whose behalf.
        author: Author,
    },
    /// Does nothing and takes no revision. A command that nobody waits for any more becomes this,
    /// as its place in the sequence must be filled.
    Void,
    /// Takes the vacant membership slot `file` for the process that the command comes from.
    /// Without effect and without a revision if somebody was faster.
    Claim {
        /// A file `/ctl/cal/<slot>`.
        file: Path,
        /// Its revision, as the claimant saw it when it was empty.
        rev: Rev,
    },
    /// Replaces the owner list. Without effect if `expect` is not the start of the latest
    /// configuration, or if the list would break I7. Takes no revision.
    Owners {
        /// The start of the configuration that the proposer knows as the latest.
        expect: Slot,
        /// The owners, in order.
        owners: Vec<NodeId>,
    },
    /// Takes a process out: its membership slot goes to `successor` in the same step, or becomes
    /// vacant, and its files go. Without effect and without a revision if nothing of it is left, or
    /// if it is the only member; otherwise each change takes a revision.
    Unseat {
        /// Who goes.
        id: NodeId,
        /// Who takes its slot: a process that has registered and holds none.
        successor: Option<NodeId>,
    },
    /// Changes a membership slot for a client. Its node has found that this does no harm to the
    /// majority of these members; if they are others by now, it is refused, as another change came
    /// first with which it might.
    Seat {
        /// The change.
        mutation: Mutation,
        /// Who voted by the latest configuration that the node knew, ascending.
        members: Vec<NodeId>,
    },
    /// Restores a backup, step by step. Refused with a reason where it does not fit the state.
    Restore(Restore),
}

/// On whose behalf a file changes. Rules that guard `/ctl` bind clients only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Author {
    /// A client.
    Client,
    /// A node, for its own housekeeping.
    Server,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_command_or_the_first_of_a_later_life_follows() {
        let (one, two) = (Seq::first_of(1), Seq::first_of(2));
        assert!(one.follows(Seq::default()));
        assert!(!one.next().follows(Seq::default()));
        assert!(one.next().follows(one));
        assert!(!one.follows(one));
        assert!(!one.plus(2).follows(one));
        assert!(two.follows(one.plus(9)));
        assert!(!two.next().follows(one.plus(9)));
        assert!(!one.follows(two));
        assert!(Seq::first_of(0).follows(Seq::default()));
    }
}
