//! The slots that may be acted in: the ALPHA slots after the last one applied (I6).

use std::collections::VecDeque;

use super::{Ballot, Slot};
use crate::core::instrument::{planted, sometimes};
use crate::core::log::Entry;

/// Ballots whose votes and entries are kept for one slot. More can only be in play when as many
/// members duel over it; the highest ones win.
const BALLOTS_KEPT: usize = 4;

/// What this node knows of one undecided or unapplied slot, as acceptor and as learner.
#[derive(Clone, Debug, Default)]
pub struct SlotState {
    /// The highest ballot promised: nothing below it is accepted (I4).
    pub promised: Option<Ballot>,
    /// What was accepted at the highest ballot.
    pub accepted: Option<(Ballot, Entry)>,
    /// Entries proposed, whether accepted here or not.
    offers: Vec<(Ballot, Entry)>,
    /// Members that have accepted, as bits by their index in the slot's configuration.
    votes: Vec<(Ballot, u16)>,
    /// The outcome.
    pub decided: Option<Entry>,
}

impl SlotState {
    /// Notes a proposal. Returns it if a majority is known to have accepted it already.
    pub fn offer(&mut self, ballot: Ballot, entry: &Entry, quorum: usize) -> Option<Entry> {
        match self.offers.iter().find(|(known, _)| *known == ballot) {
            // I5: one ballot, one entry.
            Some((_, known)) if known != entry => return None,
            Some(_) => {}
            None => keep_highest(&mut self.offers, (ballot, entry.clone()), |(ballot, _)| {
                *ballot
            }),
        }
        let (_, voters) = self.votes.iter().find(|(voted, _)| *voted == ballot)?;
        (voters.count_ones() as usize >= quorum).then(|| entry.clone())
    }

    /// Counts a vote. Returns the entry that a majority has accepted thereby, if it is known here.
    /// Votes of different ballots never add up.
    pub fn vote(&mut self, ballot: Ballot, member: usize, quorum: usize) -> Option<Entry> {
        let bit = 1 << member;
        let voters = match self
            .votes
            .iter_mut()
            .find(|(voted, _)| *voted == ballot || planted!(BallotsAddUp))
        {
            Some((_, voters)) => {
                *voters |= bit;
                *voters
            }
            None => {
                keep_highest(&mut self.votes, (ballot, bit), |(ballot, _)| *ballot);
                bit
            }
        };
        if (voters.count_ones() as usize) < quorum && !planted!(OneVoteDecides) {
            return None;
        }
        let (_, entry) = self.offers.iter().find(|(offered, _)| *offered == ballot)?;
        Some(entry.clone())
    }

    /// Whether an owner may still use the slot at round 0.
    pub fn is_free(&self) -> bool {
        self.decided.is_none() && self.promised.is_none()
    }
}

fn keep_highest<T>(list: &mut Vec<T>, item: T, ballot: impl Fn(&T) -> Ballot) {
    list.push(item);
    if list.len() > BALLOTS_KEPT {
        sometimes!(BallotForgotten);
        let lowest = (0..list.len())
            .min_by_key(|i| ballot(&list[*i]))
            .expect("it is not empty");
        list.swap_remove(lowest);
    }
}

/// The slots from `applied + 1` to `applied + alpha`.
#[derive(Clone, Debug)]
pub struct Window {
    applied: Slot,
    slots: VecDeque<SlotState>,
}

impl Window {
    /// An empty window of `alpha` slots.
    pub fn new(applied: Slot, alpha: u64) -> Window {
        let slots = (0..alpha).map(|_| SlotState::default()).collect();
        Window { applied, slots }
    }

    /// The last slot applied.
    pub fn applied(&self) -> Slot {
        self.applied
    }

    /// The first slot that is not applied.
    pub fn first(&self) -> Slot {
        self.applied.next()
    }

    /// The last slot that may be acted in.
    pub fn last(&self) -> Slot {
        self.applied.plus(self.slots.len() as u64)
    }

    /// How many slots may be acted in.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// What is known of a slot of the window.
    pub fn get(&self, slot: Slot) -> Option<&SlotState> {
        self.slots.get(self.index(slot)?)
    }

    /// What is known of a slot of the window.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut SlotState> {
        let index = self.index(slot)?;
        self.slots.get_mut(index)
    }

    /// The outcome of the first slot, if it is known.
    pub fn next_decided(&self) -> Option<&Entry> {
        self.slots.front()?.decided.as_ref()
    }

    /// Moves on by one slot, the first, which has been applied.
    pub fn advance(&mut self) {
        self.applied = self.applied.next();
        self.slots.pop_front();
        self.slots.push_back(SlotState::default());
    }

    /// Jumps to a later state, whose log up to `applied` was not seen here. What is known of slots
    /// after it stays: promises must not be forgotten (I4).
    pub fn jump(&mut self, applied: Slot) {
        while self.applied < applied {
            let ahead = applied.0 - self.applied.0;
            if ahead > self.slots.len() as u64 || planted!(JumpForgetsPromises) {
                let alpha = self.slots.len() as u64;
                *self = Window::new(applied, alpha);
            } else {
                self.advance();
            }
        }
    }

    /// Whether a slot has been promised to somebody whose proposal has not come.
    pub fn has_bare_promise(&self) -> bool {
        self.slots.iter().any(|slot| {
            let accepted = slot.accepted.as_ref().map(|(ballot, _)| *ballot);
            slot.promised > accepted && slot.decided.is_none()
        })
    }

    fn index(&self, slot: Slot) -> Option<usize> {
        let ahead = slot.0.checked_sub(self.first().0)?;
        usize::try_from(ahead)
            .ok()
            .filter(|index| *index < self.slots.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::NodeId;

    fn ballot(round: u32) -> Ballot {
        Ballot {
            round,
            member: NodeId([1; 10]),
        }
    }

    #[test]
    fn a_majority_at_one_ballot_decides_whatever_comes_first() {
        let mut slot = SlotState::default();
        assert_eq!(slot.vote(ballot(0), 0, 2), None);
        assert_eq!(
            slot.vote(ballot(0), 0, 2),
            None,
            "the same vote twice is one vote"
        );
        assert_eq!(
            slot.vote(ballot(1), 1, 2),
            None,
            "votes of two ballots do not add up"
        );
        assert_eq!(slot.offer(ballot(0), &Entry::Skip, 2), None);
        assert_eq!(slot.vote(ballot(0), 2, 2), Some(Entry::Skip));
        assert_eq!(slot.vote(ballot(1), 2, 2), None, "the entry is not known");
        assert_eq!(slot.offer(ballot(1), &Entry::Skip, 2), Some(Entry::Skip));
    }

    #[test]
    fn only_the_highest_ballots_are_remembered() {
        let mut slot = SlotState::default();
        for round in 0..100 {
            slot.vote(ballot(round), 0, 2);
            slot.offer(ballot(round), &Entry::Skip, 2);
        }
        assert_eq!(
            (slot.votes.len(), slot.offers.len()),
            (BALLOTS_KEPT, BALLOTS_KEPT)
        );
        assert_eq!(slot.vote(ballot(99), 1, 2), Some(Entry::Skip));
    }

    #[test]
    fn a_jump_keeps_promises_after_it() {
        let mut window = Window::new(Slot(4), 8);
        window.get_mut(Slot(9)).expect("inside").promised = Some(ballot(3));
        assert!(window.get(Slot(4)).is_none() && window.get(Slot(13)).is_none());
        window.jump(Slot(7));
        assert_eq!(
            window.get(Slot(9)).and_then(|slot| slot.promised),
            Some(ballot(3))
        );
        window.jump(Slot(1000));
        assert_eq!((window.first(), window.last()), (Slot(1001), Slot(1008)));
    }
}
