//! The acceptor.

use super::backlog::{split, weight};
use super::{Ballot, Consensus, Lane, Slot};
use crate::core::durable::Record;
use crate::core::env::Env;
use crate::core::id::NodeId;
use crate::core::instrument::{planted, sometimes};
use crate::core::log::Entry;
use crate::core::protocol::peer::{Accepted, Message, Promised};

impl Consensus {
    /// A proposer asks to accept.
    pub fn on_accept(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        entries: Vec<(Slot, Entry)>,
        lane: Option<Lane>,
        env: &mut impl Env,
    ) {
        if let Some(lane) = lane {
            self.on_lane(from, lane);
        }
        if ballot.member != from || !self.heed_round(ballot) {
            return;
        }
        let mut known = Vec::new();
        for (slot, entry) in entries.into_iter().take(self.window.len()) {
            self.on_seen(slot);
            if let Some(entry) = self.outcome(slot) {
                known.push((slot, entry));
                continue;
            }
            if self.window.get(slot).is_none() {
                continue;
            }
            let epoch = self.epochs.at(slot);
            let (may_propose, votes) = (
                if ballot.round == 0 {
                    epoch.owner(slot) == from
                } else {
                    epoch.has(from)
                },
                epoch.has(self.me) || planted!(StandbyVotesCount),
            );
            // I2: round 0 belongs to the owner, and only the owner brings anything in. The others
            // propose what they have been told in promises.
            if !may_propose {
                continue;
            }
            let quorum = epoch.quorum();
            let state = self.window.get_mut(slot).expect("it was just found");
            if let Some(entry) = state.offer(ballot, &entry, quorum) {
                sometimes!(VotesBeforeProposal);
                self.decide(slot, entry);
                continue;
            }
            if !votes {
                continue;
            }
            let promised = self.window.get(slot).and_then(|state| state.promised);
            match promised {
                Some(promised) if outbids(promised, ballot) => {
                    sometimes!(OwnerFenced, ballot.round == 0);
                    sometimes!(RevokerFenced, ballot.round > 0);
                    env.send(&[from], Message::Reject { slot, promised }, None);
                }
                _ => self.accept(slot, ballot, &entry, env),
            }
        }
        self.tell(from, known, env);
    }

    /// Accepts, and lets the vote leave with the next flush, once it is durable (I4).
    pub(super) fn accept(&mut self, slot: Slot, ballot: Ballot, entry: &Entry, env: &mut impl Env) {
        let quorum = self.epochs.at(slot).quorum();
        let state = self
            .window
            .get_mut(slot)
            .expect("I6: only slots of the window are accepted");
        assert!(
            state
                .promised
                .is_none_or(|promised| !outbids(promised, ballot)),
            "I4 in slot {slot}"
        );
        let decided = state.offer(ballot, entry, quorum);
        if state
            .accepted
            .as_ref()
            .is_none_or(|(accepted, _)| *accepted != ballot)
        {
            let before = state.accepted.as_ref().map(|(_, entry)| entry);
            sometimes!(
                AcceptsOtherEntry,
                before.is_some_and(|before| before != entry)
            );
            if !planted!(AcceptPromisesNothing) {
                state.promised = Some(ballot);
            }
            state.accepted = Some((ballot, entry.clone()));
            self.accepted_max = self.accepted_max.max(slot);
            let record = env.record(Record::Accepted {
                slot,
                ballot,
                entry: entry.clone(),
            });
            self.acted_at = Some(record);
        }
        self.votes.push((slot, ballot));
        if let Some(entry) = decided {
            self.decide(slot, entry);
        }
    }

    /// Says which own slots are given up, without any vote.
    fn tell_skips(&mut self, env: &mut impl Env) {
        let (lane, after) = self.lane(env);
        let first = self.window.first();
        let to = self.others(first, first);
        if to.is_empty() || lane.is_none() {
            return;
        }
        let applied = self.applied();
        let accepted = Accepted {
            votes: Vec::new(),
            lane,
            applied,
        };
        env.send(&to, Message::Accepted(accepted), after);
    }

    /// Sends the votes of this group of inputs to all members, this one included.
    pub(super) fn send_votes(&mut self, env: &mut impl Env) {
        if self.votes.is_empty() {
            if self.has_untold() {
                sometimes!(SkipsToldAlone);
                self.tell_skips(env);
            }
            return;
        }
        let votes = std::mem::take(&mut self.votes);
        let first = votes
            .iter()
            .map(|(slot, _)| *slot)
            .min()
            .expect("there is a vote");
        let last = votes
            .iter()
            .map(|(slot, _)| *slot)
            .max()
            .expect("there is a vote");
        let mut to = self.others(first, last);
        to.push(self.me);
        let (lane, reserved) = self.lane(env);
        let after = self.acted_at.max(reserved);
        let applied = self.applied();
        env.send(
            &to,
            Message::Accepted(Accepted {
                votes,
                lane,
                applied,
            }),
            after,
        );
    }

    /// A revoker asks for promises.
    pub fn on_prepare(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        slots: Vec<Slot>,
        env: &mut impl Env,
    ) {
        if ballot.member != from || ballot.round == 0 || !self.heed_round(ballot) {
            return;
        }
        let now = env.now();
        let mut promises = Vec::new();
        let mut fresh = Vec::new();
        let mut known = Vec::new();
        for slot in slots.into_iter().take(self.window.len()) {
            if let Some(entry) = self.outcome(slot) {
                known.push((slot, entry));
                continue;
            }
            let epoch = self.epochs.at(slot);
            let Some(state) = self.window.get_mut(slot) else {
                continue;
            };
            if !epoch.has(from) || !epoch.has(self.me) {
                continue;
            }
            match state.promised {
                Some(promised) if outbids(promised, ballot) && !planted!(PromiseGoesBack) => {
                    sometimes!(RevokersCross);
                    env.send(&[from], Message::Reject { slot, promised }, None);
                    continue;
                }
                Some(promised) if promised == ballot => sometimes!(PromiseRepeated),
                _ => {
                    if !planted!(PromiseNotKept) {
                        state.promised = Some(ballot);
                    }
                    fresh.push(slot);
                }
            }
            let mut accepted = state.accepted.clone();
            if planted!(PromiseForgetsAccepted) {
                accepted = None;
            }
            if planted!(PromiseForgetsRoundZero) {
                accepted = accepted.filter(|(ballot, _)| ballot.round > 0);
            }
            promises.push(Promised { slot, accepted });
            let is_mine = epoch.owner(slot) == self.me;
            self.on_seen(slot);
            if is_mine && slot >= self.next {
                sometimes!(OwnSlotPromisedAway, from != self.me);
                // An own slot that is promised away is no use to this owner.
                self.give_up_below(slot.next());
            }
        }
        if let Some(first) = fresh.first() {
            self.defer(from, *first, now);
            self.acted_at = Some(env.record(Record::Promised {
                slots: fresh,
                ballot,
            }));
        }
        let size = |promised: &Promised| {
            promised
                .accepted
                .as_ref()
                .map_or(1, |(_, entry)| weight(entry))
        };
        for slots in split(promises, size) {
            let decided = Vec::new();
            env.send(
                &[from],
                Message::Promise {
                    ballot,
                    slots,
                    decided,
                },
                self.acted_at,
            );
        }
        for decided in split(known, |(_, entry)| weight(entry)) {
            let slots = Vec::new();
            env.send(
                &[from],
                Message::Promise {
                    ballot,
                    slots,
                    decided,
                },
                None,
            );
        }
    }

    /// The outcome of a slot, where this node knows it.
    pub fn outcome(&self, slot: Slot) -> Option<Entry> {
        if slot <= self.applied() {
            return self.retained.get(slot).cloned();
        }
        self.window.get(slot)?.decided.clone()
    }
}

/// Whether a promise forbids a ballot.
fn outbids(promised: Ballot, ballot: Ballot) -> bool {
    if planted!(OwnerIgnoresPromise) && ballot.round == 0 {
        return false;
    }
    if planted!(TiedRoundsBothWin) && ballot.round == promised.round {
        return false;
    }
    promised > ballot
}
