//! What decided a slot, and whether that was allowed.
//!
//! The rules are stated here once more, by themselves: a majority of the members, the owner's
//! ballot 0, promises of a majority and the highest entry among them, lane statements of the owner.

use std::collections::BTreeSet;

use super::account::{Account, Attempt, Moment};
use crate::core::consensus::Ballot;
use crate::core::id::NodeId;
use crate::core::log::Entry;
use crate::core::membership::Epoch;
use crate::sim::process::Pid;

/// What decided a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A majority accepted an entry at this ballot, durably.
    Majority {
        /// The ballot.
        ballot: Ballot,
        /// Who, as far as they were needed, in order.
        by: Vec<Pid>,
    },
    /// The owner said that it will never use it, or knew that it will not.
    GivenUp,
}

/// A decision: when it was made, by what, and the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub at: Moment,
    pub reason: Reason,
    pub entry: Entry,
}

/// Whether the entry of a ballot may be proposed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Basis {
    /// The ballot is the owner's own: nobody's promise is needed.
    Owner,
    /// Promises of a majority tell of nothing accepted, so nothing may have been decided: Skip.
    NothingAccepted(Vec<Pid>),
    /// Promises of a majority were told; the entry is that of the highest ballot among them.
    Adopted {
        /// Whose promises had come by then.
        by: Vec<Pid>,
        /// The highest ballot among those told of.
        from: Ballot,
        /// Who told of it.
        told_by: Pid,
    },
    /// None of these.
    None(Wrong),
}

/// Why an entry may not be proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Ballots of round 0 are the owner's.
    NotTheOwner,
    /// So many promises of members had come; so many are needed.
    TooFew(usize, usize),
    /// Another entry was told of at the highest ballot, by this process.
    NotAdopted(Ballot, Pid),
    /// Nobody told of any entry, and it is not Skip.
    OutOfNothing,
}

/// Processes that are a majority.
pub(super) fn majority(members: usize) -> usize {
    members / 2 + 1
}

impl Account {
    /// The owner of the slot.
    pub(super) fn owner(&self) -> Option<NodeId> {
        self.epoch.as_ref().map(|(epoch, _)| epoch.owner(self.slot))
    }

    /// All that decided the slot, the first first. By the rules all of them have the same entry.
    pub(super) fn decisions(&self) -> Vec<Decision> {
        let Some((epoch, _)) = &self.epoch else {
            return Vec::new();
        };
        let attempts = self.attempts.iter();
        let chosen = attempts.filter_map(|(ballot, attempt)| self.chosen(epoch, *ballot, attempt));
        let mut decisions: Vec<Decision> = chosen.collect();
        decisions.extend(self.given_up_at().map(|at| Decision {
            at,
            reason: Reason::GivenUp,
            entry: Entry::Skip,
        }));
        decisions.sort_by_key(|decision| decision.at);
        decisions
    }

    fn chosen(&self, epoch: &Epoch, ballot: Ballot, attempt: &Attempt) -> Option<Decision> {
        let (_, entry) = attempt.proposed.as_ref()?;
        let mut votes: Vec<(Moment, Pid)> = attempt
            .votes
            .iter()
            .filter_map(|vote| Some((vote.durable?, vote.by)))
            .collect();
        votes.sort_unstable();
        // A member that comes back and says it again counts once.
        let mut voters = BTreeSet::new();
        votes.retain(|(_, pid)| {
            let place = self.place(*pid, &epoch.members);
            place.is_some_and(|place| voters.insert(place))
        });
        let needed = majority(epoch.members.len());
        let (at, _) = votes.get(needed - 1)?;
        let by = votes[..needed].iter().map(|(_, pid)| *pid).collect();
        Some(Decision {
            at: *at,
            reason: Reason::Majority { ballot, by },
            entry: entry.clone(),
        })
    }

    /// When the owner gave the slot up: by a statement, or by taking it for Skip before anybody
    /// else did.
    fn given_up_at(&self) -> Option<Moment> {
        let owner = self.owner()?;
        let own = self.attempts.get(&Ballot::of_owner(owner));
        if own.is_some_and(|attempt| attempt.proposed.is_some()) {
            return None;
        }
        let said = self.given_up.map(|(at, _)| at);
        let first = self.learned.first().filter(|one| self.is(one.by, owner));
        let knew = first.and_then(|one| match &one.knew {
            Some((at, Entry::Skip, _)) => Some(*at),
            Some(_) => None,
            // It has forgotten the slot already; what it did not bring in there was a skip.
            None => one.applied,
        });
        [said, knew].into_iter().flatten().min()
    }

    /// Why the entry of a ballot may be proposed, or why not.
    pub(super) fn basis(&self, ballot: Ballot) -> Option<Basis> {
        let (epoch, _) = self.epoch.as_ref()?;
        let attempt = self.attempts.get(&ballot)?;
        let (at, entry) = attempt.proposed.as_ref()?;
        if ballot.round == 0 {
            let is_owner = ballot.member == epoch.owner(self.slot);
            return Some(match is_owner {
                true => Basis::Owner,
                false => Basis::None(Wrong::NotTheOwner),
            });
        }
        let promises = self.promises_before(epoch, ballot, *at);
        let by: Vec<Pid> = promises.iter().map(|(pid, _)| *pid).collect();
        let needed = majority(epoch.members.len());
        if by.len() < needed {
            return Some(Basis::None(Wrong::TooFew(by.len(), needed)));
        }
        let told = promises.iter().filter_map(|(pid, told)| {
            let (ballot, entry) = told.as_ref()?;
            Some((*ballot, *pid, entry))
        });
        let highest = told.max_by_key(|(ballot, ..)| *ballot);
        Some(match highest {
            None if *entry == Entry::Skip => Basis::NothingAccepted(by),
            None => Basis::None(Wrong::OutOfNothing),
            Some((from, told_by, told)) if told == entry => Basis::Adopted { by, from, told_by },
            Some((from, told_by, _)) => Basis::None(Wrong::NotAdopted(from, told_by)),
        })
    }

    /// The promises of members that the proposer had when it proposed, with what they told it. Its
    /// own does not travel: what counts is what it had accepted when it promised.
    fn promises_before(
        &self,
        epoch: &Epoch,
        ballot: Ballot,
        at: Moment,
    ) -> Vec<(Pid, Option<(Ballot, Entry)>)> {
        let promises = self.attempts[&ballot].promises.iter();
        let had = promises.filter_map(|promise| match &promise.reached {
            _ if self.is(promise.by, ballot.member) => Some((promise.by, promise.before.clone())),
            Some((reached, told)) if *reached <= at => Some((promise.by, told.clone())),
            _ => None,
        });
        let mut members = BTreeSet::new();
        had.filter(|(by, _)| {
            let place = self.place(*by, &epoch.members);
            place.is_some_and(|place| members.insert(place))
        })
        .collect()
    }
}
