//! Configurations: who decides a slot, and who may propose in it.

use bincode::{Decode, Encode};

use crate::core::consensus::Slot;
use crate::core::id::NodeId;
use crate::core::instrument::planted;

/// The configuration of the slots from `start` up to the start of the next one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Epoch {
    /// The first slot that it governs.
    pub start: Slot,
    /// Who votes, ascending.
    pub members: Vec<NodeId>,
    /// Who owns slots, ascending: `owners[(slot - start) % owners.len()]`. At least
    /// [`owners_min`] of the members (I7).
    pub owners: Vec<NodeId>,
}

/// Most members of a configuration: votes are counted in a bit set, and each member more costs
/// messages without adding safety that anybody asks for.
pub const MEMBERS_MAX: usize = 15;

/// Votes that decide among `members`.
pub fn quorum(members: usize) -> usize {
    if planted!(QuorumOfHalf) {
        return (members / 2).max(1);
    }
    if planted!(QuorumOfAll) {
        return members;
    }
    members / 2 + 1
}

/// The fewest owners that `members` may have: one more than can fail, so that somebody is left who
/// may bring a change of owners into the log (I7).
pub fn owners_min(members: usize) -> usize {
    if planted!(OneOwnerIsEnough) {
        return 1;
    }
    members - quorum(members) + 1
}

impl Epoch {
    /// A configuration. `members` and `owners` are sorted here.
    pub fn new(start: Slot, mut members: Vec<NodeId>, mut owners: Vec<NodeId>) -> Epoch {
        members.sort_unstable();
        owners.sort_unstable();
        let epoch = Epoch {
            start,
            members,
            owners,
        };
        assert!(epoch.is_sound(), "I7: {epoch:?}");
        epoch
    }

    /// Whether the lists are ascending and I7 holds.
    pub fn is_sound(&self) -> bool {
        let ascending = |ids: &[NodeId]| ids.windows(2).all(|pair| pair[0] < pair[1]);
        ascending(&self.members)
            && ascending(&self.owners)
            && !self.members.is_empty()
            && self.members.len() <= MEMBERS_MAX
            && self.owners.iter().all(|owner| self.has(*owner))
            && self.owners.len() >= owners_min(self.members.len())
    }

    /// Whether this process votes.
    pub fn has(&self, node: NodeId) -> bool {
        self.members.binary_search(&node).is_ok()
    }

    /// The position of a member, for bit sets of votes.
    pub fn index(&self, node: NodeId) -> Option<usize> {
        self.members.binary_search(&node).ok()
    }

    /// Votes that decide.
    pub fn quorum(&self) -> usize {
        quorum(self.members.len())
    }

    /// The owner of a slot of this configuration.
    pub fn owner(&self, slot: Slot) -> NodeId {
        assert!(slot >= self.start, "slot {slot} lies before {self:?}");
        let turn = (slot.0 - self.start.0) % self.owners.len() as u64;
        self.owners[turn as usize]
    }
}

/// The configurations of all slots that are not applied yet: the one in force, and those that
/// later slots have coming. A function of the applied log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Epochs {
    list: Vec<Epoch>,
}

impl Epochs {
    /// The first configuration of a cluster.
    pub fn founded_by(member: NodeId) -> Epochs {
        Epochs::of(member, Slot(1))
    }

    /// The configuration of one member alone, from this slot on.
    pub fn of(member: NodeId, start: Slot) -> Epochs {
        Epochs {
            list: vec![Epoch::new(start, vec![member], vec![member])],
        }
    }

    /// Whether a list from outside can be worked with.
    pub fn is_sound(&self) -> bool {
        !self.list.is_empty()
            && self.list.iter().all(Epoch::is_sound)
            && self
                .list
                .windows(2)
                .all(|pair| pair[0].start < pair[1].start)
    }

    /// Whether these are the configurations of the slots after `applied`, where a change takes
    /// effect `alpha` slots after the command that makes it.
    pub fn are_of(&self, applied: Slot, alpha: u64) -> bool {
        let first = self.list.first();
        first.is_some_and(|first| first.start >= Slot(1) && first.start <= applied.next())
            && self.latest().start <= applied.plus(alpha)
    }

    /// All of them, by start.
    pub fn iter(&self) -> impl Iterator<Item = &Epoch> {
        self.list.iter()
    }

    /// Whether the same members decide all slots that are not applied, as far as is known.
    pub fn has_settled_members(&self) -> bool {
        let latest = self.latest();
        self.list
            .iter()
            .all(|epoch| epoch.members == latest.members)
    }

    /// The configuration of a slot that is not applied yet, or was applied last.
    pub fn at(&self, slot: Slot) -> &Epoch {
        let after = self.list.partition_point(|epoch| epoch.start <= slot);
        &self.list[after.saturating_sub(1)]
    }

    /// The latest configuration, in force or coming.
    pub fn latest(&self) -> &Epoch {
        self.list.last().expect("there is always a configuration")
    }

    /// The configurations that govern slots from `first` to `last`.
    pub fn covering(&self, first: Slot, last: Slot) -> impl Iterator<Item = &Epoch> {
        let from = self
            .list
            .partition_point(|epoch| epoch.start <= first)
            .saturating_sub(1);
        self.list[from..]
            .iter()
            .take_while(move |epoch| epoch.start <= last)
    }

    /// Adds the configuration that governs from `epoch.start` on. One that starts in the same slot
    /// is replaced: several changes in one entry make one configuration.
    pub fn push(&mut self, epoch: Epoch) {
        if self.latest().start == epoch.start {
            self.list.pop();
        }
        assert!(
            self.list.last().is_none_or(|last| last.start < epoch.start),
            "{epoch:?}"
        );
        self.list.push(epoch);
    }

    /// Forgets the configurations that no slot after `applied` needs. Returns whether there were any.
    pub fn prune(&mut self, applied: Slot) -> bool {
        let first = applied.plus(if planted!(PrunesTooEarly) { 2 } else { 1 });
        let keep = self.list.partition_point(|epoch| epoch.start <= first);
        self.list.drain(..keep.saturating_sub(1)).count() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> NodeId {
        NodeId([n; 10])
    }

    #[test]
    fn quorums_overlap_and_one_owner_survives_what_a_quorum_survives() {
        // members, quorum, fewest owners
        for (n, q, o) in [
            (1, 1, 1),
            (2, 2, 1),
            (3, 2, 2),
            (4, 3, 2),
            (5, 3, 3),
            (7, 4, 4),
        ] {
            assert_eq!(quorum(n), q);
            assert_eq!(owners_min(n), o);
            assert!(2 * q > n);
            assert!(o > n - q);
        }
    }

    #[test]
    fn slots_find_their_configuration_and_owner() {
        let mut epochs = Epochs::founded_by(id(1));
        epochs.push(Epoch::new(
            Slot(10),
            vec![id(2), id(1), id(3)],
            vec![id(3), id(1)],
        ));
        assert_eq!(epochs.at(Slot(9)).owner(Slot(9)), id(1));
        let later = epochs.at(Slot(11));
        assert_eq!(
            (later.owner(Slot(10)), later.owner(Slot(11))),
            (id(1), id(3))
        );
        assert_eq!(epochs.covering(Slot(3), Slot(9)).count(), 1);
        assert_eq!(epochs.covering(Slot(3), Slot(10)).count(), 2);
        epochs.prune(Slot(8));
        assert_eq!(epochs.covering(Slot(9), Slot(30)).count(), 2);
        epochs.prune(Slot(9));
        assert_eq!(epochs.covering(Slot(10), Slot(30)).count(), 1);
    }
}
