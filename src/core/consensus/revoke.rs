//! Revocation: when the next slot to apply waits for an owner that brings nothing about, another
//! member takes all open slots of that owner over with one Prepare. Being wrong about a death costs
//! skipped slots and nothing else, so suspicion is quick.

use std::collections::BTreeMap;
use std::time::Duration;

use super::propose::{RETRANSMIT, RETRANSMIT_MAX};
use super::{Ballot, Consensus, Slot};
use crate::core::durable::Record;
use crate::core::env::{Env, Notice, RecordId, Time};
use crate::core::id::NodeId;
use crate::core::instrument::{planted, sometimes};
use crate::core::log::Entry;
use crate::core::membership::{Peer, Peers, SUSPICION, SUSPICION_CEILING, SUSPICION_FLOOR};
use crate::core::protocol::peer::{Message, Promised};

/// Longest pause between two attempts at the same slot, beside a random part that is as long,
/// unless the members are further apart than that.
const PATIENCE_MAX: Duration = Duration::from_secs(4);

/// How often in a row somebody who knows the outcome of a slot is asked for it, before the slot is
/// taken over nevertheless: that one may be heard and not hear.
const SPARED_MAX: u32 = 3;

/// Round trips of a revocation, one lost message forgiven: before as much time has passed, another
/// attempt would only get in the way of the first.
const ROUND_TRIPS: u32 = 3;

/// Round trips are taken for no longer than this: beyond it, a measurement tells of a pause and not
/// of a distance.
const FAR_MAX: Duration = Duration::from_secs(30);

/// A slot that something waits for.
#[derive(Clone, Debug)]
pub(super) struct Stall {
    slot: Slot,
    since: Time,
    /// How long to wait before a revocation.
    patience: Duration,
    /// Whether others have been asked for the outcome.
    asked: bool,
    /// How often others were asked in place of a revocation.
    spared: u32,
    /// Whether the wait began anew because this member stood still itself.
    excused: bool,
}

/// A revocation by this member.
#[derive(Clone, Debug)]
pub(super) struct Revocation {
    ballot: Ballot,
    /// Whose slots it takes over.
    owner: NodeId,
    /// Whether a majority has found one of them open.
    justified: bool,
    slots: BTreeMap<Slot, Answers>,
    /// The record of its round.
    record: RecordId,
    /// When what is not answered is sent again, and how long to wait from then on.
    due: Time,
    pause: Duration,
}

impl Revocation {
    /// Whether it takes this slot over.
    pub(super) fn is_of(&self, slot: Slot) -> bool {
        self.slots.contains_key(&slot)
    }
}

#[derive(Clone, Debug, Default)]
struct Answers {
    /// Who has promised, as bits by index.
    promised: u16,
    /// The entry accepted at the highest ballot, as far as promises have told.
    best: Option<(Ballot, Entry)>,
    /// A majority has promised, and the slot has been proposed.
    proposed: bool,
}

impl Consensus {
    /// Whether the slot to apply next is being waited for.
    fn is_wanted(&self, slot: Slot) -> bool {
        self.seen >= slot
            || slot < self.fence
            || self.reader.needs(slot)
            || self.epochs.latest().start > slot
            || (self.backlog.has_unsent() && self.is_owner())
    }

    pub(super) fn check_stall(&mut self, now: Time, peers: &Peers, env: &mut impl Env) {
        let slot = self.window.first();
        let is_decided = self
            .window
            .get(slot)
            .is_some_and(|state| state.decided.is_some());
        if is_decided || !self.is_wanted(slot) {
            self.stall = None;
            return;
        }
        if self.stall.as_ref().is_none_or(|stall| stall.slot != slot) {
            let patience = self.patience(slot, now, peers, env);
            self.stall = Some(Stall {
                slot,
                since: now,
                patience,
                asked: false,
                spared: 0,
                excused: false,
            });
        }
        let far = self.far(peers);
        let Some(stall) = &mut self.stall else {
            return;
        };
        let patience_max = PATIENCE_MAX.max(far * ROUND_TRIPS) * 2;
        sometimes!(PatienceForgotten, stall.patience > patience_max);
        // Patience that was learnt from distances is lost with them: a clock that jumped, or a pause,
        // may have made them up.
        stall.patience = stall.patience.min(patience_max);
        // Compared as points in time, as the deadline is: a span may hold a part of a microsecond,
        // and what is due at the deadline must be done then.
        if now < stall.since + stall.patience {
            if now >= stall.since + stall.patience / 2 && !stall.asked {
                stall.asked = true;
                self.ask_somebody(now, peers, env);
            }
        } else if stall.spared < SPARED_MAX && is_known(slot, peers, now) {
            // A member that is behind would only get in the way of the others.
            sometimes!(RevocationSpared);
            stall.spared += 1;
            stall.since = now;
            self.ask_somebody(now, peers, env);
        } else {
            let patience = (stall.patience * 2)
                .min(PATIENCE_MAX)
                .max(far * ROUND_TRIPS);
            sometimes!(PatienceAtLimit, patience == PATIENCE_MAX);
            let jitter = env.random() % (patience.as_micros() as u64).max(1);
            stall.since = now;
            stall.patience = patience + Duration::from_micros(jitter);
            (stall.asked, stall.spared) = (false, 0);
            self.revoke(now, peers, env);
        }
    }

    /// This member stood still, and may have heard nothing for that reason: what it waits for gets
    /// its time once more.
    pub fn excuse(&mut self, now: Time) {
        if let Some(stall) = &mut self.stall
            && !stall.excused
        {
            sometimes!(OwnerExcused);
            stall.excused = true;
            stall.since = now;
        }
    }

    pub(super) fn stall_deadline(&self) -> Time {
        match &self.stall {
            Some(stall) if !stall.asked => stall.since + stall.patience / 2,
            Some(stall) => stall.since + stall.patience,
            None => Time::NEVER,
        }
    }

    /// The round trip to the nearest majority, nearly at the longest. Members whose connection is
    /// broken do not count: what was measured of them may be anything.
    fn far(&self, peers: &Peers) -> Duration {
        let epoch = self.epochs.at(self.window.first());
        let heard = epoch.members.iter().filter_map(|member| peers.get(*member));
        let mut trips: Vec<Duration> = heard
            .filter(|peer| peer.linked)
            .filter_map(Peer::long_round_trip)
            .collect();
        trips.sort_unstable();
        trips.truncate(epoch.quorum() - 1);
        trips.last().copied().unwrap_or_default().min(FAR_MAX)
    }

    /// Somebody else has begun to take the stalled slot over: this member gives it the time that
    /// it would need itself.
    pub(super) fn defer(&mut self, rival: NodeId, slot: Slot, now: Time) {
        if let Some(stall) = &mut self.stall
            && stall.slot == slot
            && rival != self.me
        {
            stall.since = now;
        }
    }

    /// How long the owner of a slot is waited for: the nearer a member follows the owner in the
    /// order of members, the sooner it acts, so that they do not duel.
    fn patience(&self, slot: Slot, now: Time, peers: &Peers, env: &mut impl Env) -> Duration {
        let epoch = self.epochs.at(slot);
        let owner = epoch.owner(slot);
        let members = epoch.members.len();
        let base = if owner == self.me {
            // What it proposes itself takes as long as the nearest majority does.
            (self.far(peers) * SUSPICION).clamp(SUSPICION_FLOOR, SUSPICION_CEILING)
        } else {
            peers
                .get(owner)
                .map_or(SUSPICION_FLOOR, |peer| peer.suspicion(now))
        };
        let rank = match (epoch.index(self.me), epoch.index(owner)) {
            // The owner itself comes last: it is busy proposing.
            (Some(me), Some(owner)) if me == owner => members,
            (Some(me), Some(owner)) => (me + members - owner - 1) % members,
            _ => members,
        };
        let jitter = env.random() % (base.as_micros() as u64 / 4).max(1);
        // The next one needs to have heard of the first one's attempt.
        let step = base.max(self.far(peers).min(SUSPICION_CEILING)) / 2;
        base + step * rank as u32 + Duration::from_micros(jitter)
    }

    fn revoke(&mut self, now: Time, peers: &Peers, env: &mut impl Env) {
        if planted!(NeverRevokes) {
            return;
        }
        let first = self.window.first();
        let epoch = self.epochs.at(first);
        let owner = epoch.owner(first);
        if !epoch.has(self.me) {
            // A standby cannot do anything about it; somebody else has or will.
            self.ask_somebody(now, peers, env);
            return;
        }
        let coming = Slot(self.epochs.latest().start.0 - 1);
        let mut last = self.seen.max(coming).max(first);
        let is_unheard = |since| peers.get(owner).is_none_or(|peer| peer.heard <= since);
        let revoked = self.revoked_last;
        let is_again = revoked.is_some_and(|(id, at)| id == owner && is_unheard(at));
        if owner != self.me && (is_again || peers.is_silent(owner, now)) {
            // It will miss its later turns, too.
            sometimes!(UnheardTwice, is_again && !peers.is_silent(owner, now));
            last = self.window.last();
        }
        if owner == self.me && self.fence > last {
            // An earlier life may have used these, and nobody else gives them up.
            last = Slot(self.fence.0 - 1);
        }
        self.revoked_last = Some((owner, now));
        last = last.min(self.window.last());
        let mut slots = Vec::new();
        let mut slot = first;
        while slot <= last {
            let is_open = self
                .window
                .get(slot)
                .is_some_and(|state| state.decided.is_none());
            if is_open && self.epochs.at(slot).owner(slot) == owner {
                slots.push(slot);
            }
            slot = slot.next();
        }
        sometimes!(RevokesUnusedTurns, owner == self.me && self.own.is_empty());
        let is_deaf = |id: &NodeId| *id == self.me || peers.is_silent(*id, now);
        sometimes!(
            RevokesAlone,
            epoch.members.len() > 1 && epoch.members.iter().all(is_deaf)
        );
        let before = self.revocation.as_ref().and_then(|r| r.slots.get(&first));
        sometimes!(
            RevocationRetried,
            before.is_some_and(|answers| answers.proposed)
        );
        let round = match planted!(RoundNeverGrows) {
            true => Some(1),
            false => self.round_max.checked_add(1),
        };
        let Some(round) = round else { return };
        self.round_max = round;
        let ballot = Ballot {
            round,
            member: self.me,
        };
        let answers = slots
            .iter()
            .map(|slot| (*slot, Answers::default()))
            .collect();
        env.notice(Notice::Revoked {
            owner,
            slots: slots.len(),
        });
        // I5: the round is never used again, not by a later life either.
        let record = env.record(Record::Round {
            round: ballot.round,
        });
        self.revocation = Some(Revocation {
            ballot,
            owner,
            justified: false,
            slots: answers,
            record,
            due: now + RETRANSMIT,
            pause: RETRANSMIT * 2,
        });
        let mut to = self.others(first, last);
        to.push(self.me);
        env.send(&to, Message::Prepare { ballot, slots }, Some(record));
    }

    /// Sends what a revocation asks for again to those who have not answered. What is lost with a
    /// connection must not cost the wait for another attempt, which leaves room for those of others
    /// and so takes seconds.
    pub(super) fn repeat_revocation(&mut self, now: Time, env: &mut impl Env) {
        if planted!(NeverRetransmits) {
            return;
        }
        let Some(mut revocation) = self.revocation.take_if(|r| now >= r.due) else {
            return;
        };
        let (ballot, record) = (revocation.ballot, revocation.record);
        let mut asked = Vec::new();
        let mut silent: Vec<NodeId> = Vec::new();
        let mut proposed = Vec::new();
        for (slot, answers) in &revocation.slots {
            let state = self.window.get(*slot);
            let Some(state) = state.filter(|state| state.decided.is_none()) else {
                continue;
            };
            if answers.proposed {
                let accepted = state.accepted.clone();
                let own = accepted.filter(|(accepted, _)| *accepted == ballot);
                proposed.extend(own.map(|(_, entry)| (*slot, entry)));
                continue;
            }
            asked.push(*slot);
            let members = self.epochs.at(*slot).members.iter().enumerate();
            let missing = members.filter(|(index, _)| answers.promised & 1 << index == 0);
            silent.extend(missing.map(|(_, member)| *member));
        }
        silent.sort_unstable();
        silent.dedup();
        silent.retain(|member| *member != self.me);
        revocation.due = match asked.is_empty() && proposed.is_empty() {
            true => Time::NEVER,
            false => now + revocation.pause,
        };
        revocation.pause = (revocation.pause * 2).min(RETRANSMIT_MAX);
        self.revocation = Some(revocation);
        if !asked.is_empty() && !silent.is_empty() {
            sometimes!(PrepareRepeated);
            let slots = asked;
            env.send(&silent, Message::Prepare { ballot, slots }, Some(record));
        }
        if let (Some((first, _)), Some((last, _))) = (proposed.first(), proposed.last()) {
            sometimes!(RevokedProposalRepeated);
            let others = self.others(*first, *last);
            self.send_accept(&others, ballot, proposed, env);
        }
    }

    pub(super) fn repeat_deadline(&self) -> Time {
        if planted!(NeverRetransmits) {
            return Time::NEVER;
        }
        self.revocation.as_ref().map_or(Time::NEVER, |r| r.due)
    }

    /// An acceptor has promised.
    pub fn on_promise(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        slots: Vec<Promised>,
        env: &mut impl Env,
    ) {
        let Some(mut revocation) = self
            .revocation
            .take_if(|r| r.ballot == ballot || planted!(OldPromisesCount))
        else {
            return;
        };
        let ballot = revocation.ballot;
        let mut entries = Vec::new();
        for Promised { slot, accepted } in slots {
            let Some(answers) = revocation.slots.get_mut(&slot) else {
                continue;
            };
            if self
                .window
                .get(slot)
                .is_none_or(|state| state.decided.is_some())
            {
                continue;
            }
            let epoch = self.epochs.at(slot);
            let Some(member) = epoch.index(from) else {
                continue;
            };
            answers.promised |= 1 << member;
            let best = answers.best.as_ref().map(|(ballot, _)| *ballot);
            let told = accepted.as_ref().map(|(ballot, _)| *ballot);
            let is_better = match planted!(RevokerTakesLowest) {
                true => best.is_none() || (told.is_some() && told < best),
                false => told > best,
            };
            if is_better && !planted!(RevokerIgnoresAccepted) {
                sometimes!(PromisesDiffer, best.is_some());
                answers.best = accepted;
            }
            let quorum = epoch.quorum() - usize::from(planted!(OnePromiseTooFew));
            let goes_on = !answers.proposed || planted!(TwoEntriesAtOneBallot);
            if answers.promised.count_ones() as usize >= quorum && goes_on {
                answers.proposed = true;
                let adopted = answers.best.as_ref().map(|(_, entry)| entry.clone());
                let accepted = self.window.get(slot).and_then(|s| s.accepted.as_ref());
                sometimes!(RevocationAdopts, adopted.is_some() && accepted.is_none());
                let best = answers.best.as_ref().map(|(ballot, _)| ballot.round);
                sometimes!(AdoptsFromRevoker, best > Some(0));
                entries.push((slot, adopted.unwrap_or(Entry::Skip)));
            }
        }
        if !entries.is_empty() && !revocation.justified {
            revocation.justified = true;
            self.revoked.push(revocation.owner);
        }
        self.revocation = Some(revocation);
        if let (Some((first, _)), Some((last, _))) = (entries.first(), entries.last()) {
            let others = self.others(*first, *last);
            for (slot, entry) in &entries {
                let promised = self.window.get(*slot).and_then(|state| state.promised);
                sometimes!(RevokerOvertaken, promised > Some(ballot));
                if promised.is_none_or(|promised| promised <= ballot) {
                    self.accept(*slot, ballot, entry, env);
                }
            }
            self.send_accept(&others, ballot, entries, env);
        }
    }

    /// An acceptor has promised a higher ballot to somebody else. That one gets the time that a
    /// revocation takes, and no more: it may be a member that is heard and does not hear, whose
    /// attempts come to nothing.
    pub fn on_reject(&mut self, promised: Ballot, peers: &Peers, env: &mut impl Env) {
        self.heed_round(promised);
        if self
            .revocation
            .take_if(|revocation| revocation.ballot < promised)
            .is_none()
        {
            return;
        }
        sometimes!(RevocationRejected);
        let far = self.far(peers).max(SUSPICION_FLOOR) * ROUND_TRIPS;
        let jitter = env.random() % (far.as_micros() as u64).max(1);
        if let Some(stall) = &mut self.stall {
            stall.patience = stall.patience.min(far + Duration::from_micros(jitter));
        }
    }
}

/// Whether somebody who is heard has applied a slot.
fn is_known(slot: Slot, peers: &Peers, now: Time) -> bool {
    let mut others = peers.iter();
    others.any(|(_, peer)| peer.applied >= slot && !peer.is_silent(now))
}
