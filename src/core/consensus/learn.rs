//! The learner: votes and lane statements become decisions, decisions are applied in order.

use super::{Consensus, Lane, Slot};
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::instrument::{planted, sometimes};
use crate::core::log::{Entry, Seq};
use crate::core::membership::{Epochs, MEMBERS_MAX};
use crate::core::protocol::peer::{Accepted, Digest};

impl Consensus {
    /// An acceptor has voted. Returns the own slots among the votes with the time at which they
    /// were proposed, from which round trips can be measured.
    pub fn on_accepted(&mut self, from: NodeId, accepted: Accepted) -> Option<Time> {
        if let Some(lane) = accepted.lane {
            self.on_lane(from, lane);
        }
        let mut proposed = None;
        for (slot, ballot) in accepted.votes {
            self.on_seen(slot);
            if ballot.round == 0
                && ballot.member == self.me
                && let Some(own) = self.own.get(&slot)
                && own.tries == 1
            {
                proposed = proposed.max(Some(own.sent));
            }
            let epoch = match planted!(VotesCountByLatest) {
                true => self.epochs.latest(),
                false => self.epochs.at(slot),
            };
            let (member, quorum) = (epoch.index(from), epoch.quorum());
            let Some(state) = self.window.get_mut(slot) else {
                continue;
            };
            // Standbys do not vote, whatever they say.
            let stranger = planted!(StandbyVotesCount).then_some(MEMBERS_MAX);
            let Some(member) = member.or(stranger) else {
                continue;
            };
            if state.decided.is_none()
                && let Some(entry) = state.vote(ballot, member, quorum)
            {
                self.decide(slot, entry);
            }
        }
        proposed
    }

    /// A member gives up slots of its own.
    pub fn on_lane(&mut self, from: NodeId, lane: Lane) {
        if from == self.me {
            self.on_reserved(lane.base);
            return;
        }
        let is_sound = lane.base <= lane.next && lane.used.len() <= self.window.len();
        if !is_sound || !self.is_voter(from) {
            return;
        }
        let (base, next) = (lane.base, lane.next);
        let is_ahead = base > self.window.last();
        sometimes!(LaneBeyondWindow, is_ahead && !self.own.is_empty());
        let is_news = self.lanes.get(&from).is_none_or(|known| known.next <= next);
        sometimes!(LaneComesLate, !is_news && next <= self.window.first());
        if is_news {
            let known = self.lanes.get(&from).map_or(Slot(0), |known| known.next);
            self.lanes.insert(from, lane);
            // What was given up before is settled already, as far as the window went.
            self.settle(base.max(known.min(self.window.last())), next);
        }
    }

    /// Decides Skip in the slots of `[from, to)` that their owners have given up: only an owner
    /// brings an entry into its slot (I2), and these never will (I8).
    ///
    /// That uses no slot: were these seen, a member that gave up all slots to come would make the
    /// others give up theirs, window after window without end.
    pub(super) fn settle(&mut self, from: Slot, to: Slot) {
        let mut slot = from.max(self.window.first());
        let end = to.min(self.window.last().next());
        while slot < end {
            if self.is_given_up(slot) {
                self.decide(slot, Entry::Skip);
            }
            slot = slot.next();
        }
    }

    fn is_given_up(&self, slot: Slot) -> bool {
        let owner = self.epochs.at(slot).owner(slot);
        if owner == self.me {
            let end = match planted!(GivesUpUnreserved) {
                true => self.next,
                false => self.next.min(self.secured),
            };
            return slot >= self.fence && slot < end && !self.own.contains_key(&slot);
        }
        self.lanes
            .get(&owner)
            .is_some_and(|lane| slot >= lane.base && slot < lane.next && !lane.used.contains(&slot))
    }

    /// Notes an outcome that a peer knows. Returns whether it is that of the slot to apply next.
    pub fn learn(&mut self, slot: Slot, entry: Entry) -> bool {
        self.on_seen(slot);
        sometimes!(LearnBeyondWindow, slot > self.window.last());
        if self.window.get(slot).is_some() {
            self.decide(slot, entry);
        }
        slot == self.window.first()
    }

    pub(super) fn decide(&mut self, slot: Slot, entry: Entry) {
        let owner = self.epochs.at(slot).owner(slot);
        let state = self
            .window
            .get_mut(slot)
            .expect("I6: only slots of the window are decided");
        match &state.decided {
            Some(decided) => assert_eq!(*decided, entry, "I1: two outcomes of slot {slot}"),
            None => {
                let is_own_given_up = owner == self.me
                    && entry != Entry::Skip
                    && slot >= self.fence
                    && !self.own.contains_key(&slot);
                assert!(
                    !is_own_given_up,
                    "I2: somebody else filled slot {slot} of this owner"
                );
                state.decided = Some(entry);
            }
        }
    }

    /// The entry of the next slot has been applied. `digest` is that of the state after it,
    /// `epochs` the configurations if it has changed them, and `last` tells the latest command of
    /// each origin that is in effect.
    pub fn on_applied(
        &mut self,
        now: Time,
        digest: Digest,
        epochs: Option<&Epochs>,
        last: impl Fn(NodeId) -> Seq,
    ) {
        let slot = self.window.first();
        let (_, entry) = self
            .next_decided()
            .expect("I9: entries are applied in slot order");
        if let Entry::Batch(batch) = &entry {
            for run in &batch.runs {
                let has_moved = self.backlog.applied(run.origin, last(run.origin));
                if has_moved
                    && run.origin == self.me
                    && let Some((_, since)) = &mut self.forwarded
                {
                    *since = now;
                }
            }
        }
        let own = self.own.remove(&slot);
        self.window.advance();
        self.stall = None;
        if let Some(epochs) = epochs {
            self.change_epochs(epochs);
        }
        if self.epochs.prune(slot) {
            self.forget_lanes();
        }
        let last_slot = self.window.last();
        self.settle(last_slot, last_slot.next());
        self.retained.push(entry, digest);
        if let Some(own) = own
            && let Entry::Batch(batch) = own.entry
        {
            for run in &batch.runs {
                let end = run.first.plus(run.ops.len().saturating_sub(1));
                let last = last(run.origin);
                if last < end && !planted!(LostNotProposedAgain) {
                    sometimes!(OwnBatchMoved);
                    let next = self.next.max(slot.next());
                    self.backlog.lost(run.origin, slot, next);
                }
            }
        }
    }

    /// Forgets the lane statements of those who are members no more.
    fn forget_lanes(&mut self) {
        let epochs = &self.epochs;
        self.lanes
            .retain(|member, _| epochs.iter().any(|epoch| epoch.has(*member)));
    }

    /// Adopts the configurations that an applied entry has made. Everybody moves to the slots of
    /// the latest one at once, so that those between become Skip within one delay.
    pub(super) fn change_epochs(&mut self, epochs: &Epochs) {
        self.epochs = epochs.clone();
        self.forget_lanes();
        let start = self.epochs.latest().start;
        self.seen = self.seen.max(Slot(start.0 - 1));
        self.give_up_below(start);
        if !self.is_owner() {
            let me = self.me;
            sometimes!(
                DroppedWithForwarded,
                self.backlog.origins().any(|id| id != me)
            );
            self.backlog.keep_only(self.me);
            self.backlog.resend(self.me);
        } else {
            self.failed = None;
            if self.forwarded.take().is_some() {
                // What was forwarded may be lost, and from here on nobody else looks after it.
                self.backlog.resend(self.me);
            }
        }
        self.catch_up.hasten();
    }
}
