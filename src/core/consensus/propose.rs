//! The proposer: own slots, batches, lane statements, forwarding.

use std::time::Duration;

use super::backlog::{split, weight};
use super::{Ballot, Consensus, Lane, Own, Slot};
use crate::core::durable::Record;
use crate::core::env::{Env, RecordId, Time};
use crate::core::id::NodeId;
use crate::core::instrument::{planted, sometimes};
use crate::core::log::{Entry, Op, Run, Seq};
use crate::core::membership::Peers;
use crate::core::protocol::peer::{Accepted, Message};

/// Batches of one owner that are on their way at a time. With fewer, a slow vote holds everything
/// up; with more, batches get smaller and each costs as much as a large one.
pub const PIPELINE: usize = 4;

/// Before an unanswered proposal or forwarded command is sent again, doubled each time. Messages
/// are lost only with a connection.
pub(super) const RETRANSMIT: Duration = Duration::from_millis(50);
/// Longest pause between two times.
pub(super) const RETRANSMIT_MAX: Duration = Duration::from_secs(1);

/// How long an owner may bring nothing about before commands are handed to another one.
const FORWARD_PATIENCE: Duration = Duration::from_millis(200);

/// Slots reserved ahead at a time at most: no more than the window (I7), so that an owner that
/// comes back is never fenced out of all of it.
const RESERVE_BLOCK_MAX: u64 = 256;

impl Consensus {
    /// Takes a command of this process.
    pub fn submit(&mut self, seq: Seq, op: Op) {
        self.backlog.push(self.me, seq, op);
    }

    /// Roughly the bytes of the commands of this process that wait.
    pub fn bytes_open(&self) -> usize {
        self.backlog.bytes_of(self.me)
    }

    /// Batches that this owner has brought into slots of its own since it began.
    pub fn proposed(&self) -> u64 {
        self.proposed
    }

    /// The commands of this process that wait.
    pub fn commands_open(&self) -> usize {
        self.backlog.commands_of(self.me)
    }

    /// Empties a command of this process that nobody waits for any more.
    pub fn void(&mut self, seq: Seq) {
        self.backlog.void(self.me, seq);
    }

    /// Takes commands of another process. `last` is the latest one of it that was applied.
    pub fn on_forward(&mut self, from: NodeId, run: Run, last: Seq) {
        // Also by one that is no owner: it may be about to learn that it is.
        if run.origin == from && from != self.me {
            sometimes!(ForwardedToNonOwner, !self.is_owner());
            self.backlog.forwarded(run, last);
        }
    }

    /// Whether slots that this node gave up have been applied before anybody was told: no later
    /// statement would speak of them.
    pub(super) fn has_untold(&self) -> bool {
        self.given_up
            .is_some_and(|(from, to)| from < self.window.first() && to >= self.window.first())
    }

    /// Which of its own slots this node gives up, as of now, and the record that the statement
    /// depends on.
    pub(super) fn lane(&mut self, env: &mut impl Env) -> (Option<Lane>, Option<RecordId>) {
        let first = self.fence.max(self.window.first());
        // All of it was given up, also what is applied by now: others may not have.
        let base = match self.given_up.take() {
            Some((from, to)) if to >= first => from.min(first),
            _ => first,
        };
        if base >= self.next || planted!(NeverTellsSkips) {
            return (None, None);
        }
        self.reserve(env);
        let used = self.own.range(base..self.next).map(|(slot, _)| *slot);
        let mut lane = Lane {
            base,
            next: self.next,
            used: used.collect(),
        };
        if planted!(LaneForgetsUsed) {
            lane.used.clear();
        }
        if planted!(LaneReachesTooFar) {
            lane.next = lane.next.next();
        }
        (Some(lane), self.reserved_at)
    }

    /// Makes sure that everything below `next` is reserved (I3). An empty statement comes back from
    /// there once that is durable.
    pub(super) fn reserve(&mut self, env: &mut impl Env) {
        if self.next <= self.reserved {
            return;
        }
        let alpha = self.window.last().0 - self.window.applied().0;
        self.reserved = self.next.plus(alpha.min(RESERVE_BLOCK_MAX));
        self.reserved_at = Some(env.record(Record::Reserved {
            below: self.reserved,
        }));
        let lane = Lane {
            base: self.reserved,
            next: self.reserved,
            used: Vec::new(),
        };
        let accepted = Accepted {
            votes: Vec::new(),
            lane: Some(lane),
            applied: self.applied(),
        };
        env.send(&[self.me], Message::Accepted(accepted), self.reserved_at);
    }

    /// Everything below `reserved` is reserved durably. Own slots there that this owner had given up
    /// before are decided by that.
    pub(super) fn on_reserved(&mut self, reserved: Slot) {
        let before = self.secured;
        self.secured = before.max(reserved);
        sometimes!(GivenUpBeforeReserved, self.next > before);
        self.settle(before, self.next.min(self.secured));
    }

    /// Brings waiting commands into own slots, or hands them to somebody who has slots; then gives
    /// up own slots that others wait for.
    pub(super) fn propose(&mut self, now: Time, peers: &Peers, env: &mut impl Env) {
        if !self.is_owner() {
            self.forward(now, peers, env);
            return;
        }
        let mut entries = Vec::new();
        while self.backlog.has_unsent() {
            let Some(slot) = self.free_slot() else {
                sometimes!(WindowFull, self.own.len() >= PIPELINE);
                break;
            };
            // Below what others use, a slot has to be filled anyway: use it.
            if self.own.len() >= PIPELINE && slot > self.seen {
                break;
            }
            sometimes!(PipelineExceeded, self.own.len() >= PIPELINE);
            let Some(batch) = self.backlog.take(self.batch) else {
                break;
            };
            let entry = Entry::Batch(batch.into());
            self.next = slot.next();
            let again = self.own.insert(
                slot,
                Own {
                    entry: entry.clone(),
                    sent: now,
                    tries: 1,
                },
            );
            self.proposed += 1;
            assert!(again.is_none(), "I3: two entries in slot {slot}");
            self.seen = self.seen.max(slot);
            entries.push((slot, entry));
        }
        if !self.backlog.has_unsent() {
            self.give_up_below(self.seen.next());
        }
        if let (Some((first, _)), Some((last, _))) = (entries.first(), entries.last()) {
            let others = self.others(*first, *last);
            self.reserve(env);
            let ballot = Ballot::of_owner(self.me);
            for (slot, entry) in &entries {
                self.accept(*slot, ballot, entry, env);
            }
            if !others.is_empty() {
                self.send_accept(&others, ballot, entries, env);
            }
        }
    }

    /// Gives up all own slots below `slot`, as far as the window goes.
    pub(super) fn give_up_below(&mut self, slot: Slot) {
        let slot = slot.min(self.window.last().next());
        if slot > self.next {
            let from = self.next.max(self.window.first());
            let is_whole = from == self.window.first() && slot > self.window.last();
            sometimes!(WholeWindowGivenUp, is_whole);
            self.next = slot;
            self.given_up = match self.given_up {
                Some((first, to)) if to == from => Some((first, slot)),
                _ => Some((from, slot)),
            };
            self.settle(from, slot);
        }
    }

    pub(super) fn send_accept(
        &mut self,
        to: &[NodeId],
        ballot: Ballot,
        entries: Vec<(Slot, Entry)>,
        env: &mut impl Env,
    ) {
        let (lane, after) = self.lane(env);
        let applied = self.applied();
        for entries in split(entries, |(_, entry)| weight(entry)) {
            let lane = lane.clone();
            env.send(
                to,
                Message::Accept {
                    ballot,
                    entries,
                    lane,
                    applied,
                },
                after,
            );
        }
    }

    /// The least own slot that may still be used.
    fn free_slot(&self) -> Option<Slot> {
        let mut slot = self.next.max(self.window.first());
        while slot <= self.window.last() {
            let owner = self.epochs.at(slot).owner(slot);
            if owner == self.me && self.window.get(slot).is_some_and(|state| state.is_free()) {
                return Some(slot);
            }
            sometimes!(OwnSlotPassedOver, owner == self.me);
            slot = slot.next();
        }
        None
    }

    fn forward(&mut self, now: Time, peers: &Peers, env: &mut impl Env) {
        if !self.backlog.has_unsent() {
            return;
        }
        let owners = &self.epochs.latest().owners;
        let alive: Vec<NodeId> = owners
            .iter()
            .copied()
            .filter(|owner| !peers.is_silent(*owner, now))
            .collect();
        // The nearest owner, and the same one again as long as it brings them about: commands of one
        // process that come through different owners overtake each other.
        let keeps = self
            .forwarded
            .map(|(owner, _)| owner)
            .filter(|owner| alive.contains(owner));
        let nearest = || {
            alive
                .iter()
                .copied()
                .min_by_key(|owner| (self.failed == Some(*owner), distance(*owner, peers)))
        };
        let Some(owner) = keeps.or_else(nearest) else {
            return;
        };
        sometimes!(FailedOwnerAgain, self.failed == Some(owner));
        if keeps.is_none() {
            self.backlog.resend(self.me);
        }
        let since = match self.forwarded {
            Some((_, since)) if keeps.is_some() => since,
            _ => now,
        };
        self.forwarded = Some((owner, since));
        loop {
            let mut budget = self.batch;
            let Some(run) = self.backlog.take_of(self.me, &mut budget) else {
                break;
            };
            env.send(&[owner], Message::Forward { run }, None);
        }
    }

    /// Hands everything to another owner when the one that has it brings nothing about.
    pub(super) fn repeat_forward(&mut self, now: Time, peers: &Peers) {
        if self.is_owner() || !self.backlog.waits_for(self.me) {
            self.forwarded = None;
            return;
        }
        if planted!(ForwardsOnce) {
            return;
        }
        let late = now >= self.forward_deadline();
        if let Some((owner, _)) = self.forwarded
            && (late || peers.is_silent(owner, now))
        {
            let is_second = self.failed.is_some_and(|failed| failed != owner);
            sometimes!(ForwardLostTwice, late && is_second);
            sometimes!(ForwardOwnerSilent, !late);
            self.forwarded = None;
            self.failed = Some(owner);
            self.backlog.resend(self.me);
        }
    }

    pub(super) fn forward_deadline(&self) -> Time {
        match self.forwarded {
            Some((_, since)) if self.backlog.waits_for(self.me) && !planted!(ForwardsOnce) => {
                since + FORWARD_PATIENCE
            }
            _ => Time::NEVER,
        }
    }

    /// Sends own proposals again that have not been decided for long.
    pub(super) fn retransmit(&mut self, now: Time, env: &mut impl Env) {
        if planted!(NeverRetransmits) {
            return;
        }
        let late: Vec<Slot> = self
            .own
            .iter()
            .filter(|(slot, own)| now >= own.due() && self.window.get(**slot).is_some())
            .map(|(slot, _)| *slot)
            .collect();
        for slot in late {
            let own = self.own.get_mut(&slot).expect("it was just found");
            own.sent = now;
            own.tries += 1;
            let entry = own.entry.clone();
            let state = self.window.get(slot).expect("it was just found");
            let taken_over = state.promised.is_some_and(|ballot| ballot.round > 0);
            if state.decided.is_some() || taken_over {
                sometimes!(RetryOfOvertaken, state.decided.is_none());
                continue;
            }
            sometimes!(ProposalRetried, self.own[&slot].tries > 3);
            let ballot = Ballot::of_owner(self.me);
            self.votes.push((slot, ballot));
            let others = self.others(slot, slot);
            self.send_accept(&others, ballot, vec![(slot, entry)], env);
        }
    }

    pub(super) fn retransmit_deadline(&self) -> Time {
        if planted!(NeverRetransmits) {
            return Time::NEVER;
        }
        self.own.values().map(Own::due).min().unwrap_or(Time::NEVER)
    }
}

/// Whom nobody has measured counts as furthest.
fn distance(owner: NodeId, peers: &Peers) -> Duration {
    let measured = peers.get(owner).and_then(|peer| peer.round_trip());
    measured.unwrap_or(Duration::MAX)
}

impl Own {
    fn due(&self) -> Time {
        let pause = RETRANSMIT * 2u32.saturating_pow(self.tries.min(10) - 1);
        self.sent + pause.min(RETRANSMIT_MAX)
    }
}
