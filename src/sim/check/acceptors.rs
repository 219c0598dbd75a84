//! No ballot is used twice, nobody accepts below a promise, and nobody says what is not durable.
//!
//! The checker keeps a ledger of its own: what each process has recorded (promises, acceptances,
//! rounds, reservations), up to where that is durable, and which slots each has given up. Whatever
//! a process then says to others must follow from the ledger.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Violation;
use crate::core::consensus::{Ballot, Lane, Slot};
use crate::core::durable::Record;
use crate::core::env::RecordId;
use crate::core::id::NodeId;
use crate::core::log::Entry;
use crate::core::protocol::peer::{Message, Promised};

/// The property, as a sentence.
pub const PROPERTY: &str = "promises, ballots and lane statements are kept, and durable when told";

/// Slots beyond the last one known that anybody may speak of: far above any window.
const SLOTS_AHEAD_MAX: usize = 1 << 16;

/// That memory outlives its process, as a sentence.
pub const REMEMBERS: &str = "who comes back remembers all that it has told, durably";

/// What all processes have recorded.
#[derive(Debug, Default)]
pub struct Acceptors {
    slots: Vec<Facts>,
    speakers: BTreeMap<NodeId, Speaker>,
}

/// What is known of one slot.
#[derive(Debug, Default)]
pub struct Facts {
    /// Everything that was ever accepted or proposed there.
    pub offers: Vec<Offer>,
    /// The highest promise of each process, and the highest that is durable.
    promises: Vec<Promise>,
}

/// An entry at a ballot.
#[derive(Debug)]
pub struct Offer {
    /// At which ballot.
    pub ballot: Ballot,
    /// What.
    pub entry: Entry,
    /// Who has recorded that it accepts it.
    accepted: Vec<NodeId>,
    /// Whose record of that is durable.
    pub durable: Vec<NodeId>,
    /// Whether anybody has been told of it.
    said: bool,
}

#[derive(Debug)]
struct Promise {
    by: NodeId,
    made: Option<Ballot>,
    durable: Option<Ballot>,
}

/// What is known of one process.
#[derive(Debug, Default)]
struct Speaker {
    /// Records that are not durable.
    pending: VecDeque<(RecordId, Record)>,
    round: u32,
    round_durable: u32,
    reserved_durable: Slot,
    given_up: GivenUp,
}

/// The slots that a process has said it will never use.
#[derive(Debug, Default)]
struct GivenUp {
    /// The ranges spoken of, ascending and apart.
    ranges: Vec<(Slot, Slot)>,
    /// The slots in them that were used.
    used: Vec<Slot>,
    /// Slots whose outcome it told before it spoke of them.
    told: BTreeSet<Slot>,
}

impl Acceptors {
    /// What is known of a slot.
    pub fn facts(&self, slot: Slot) -> Option<&Facts> {
        self.slots.get(usize::try_from(slot.0).ok()?)
    }

    /// Whether a process has said that it will never use a slot.
    pub fn has_given_up(&self, id: NodeId, slot: Slot) -> bool {
        let speaker = self.speakers.get(&id);
        speaker.is_some_and(|speaker| speaker.given_up.has(slot))
    }

    fn facts_mut(&mut self, slot: Slot) -> Result<&mut Facts, Violation> {
        let index = usize::try_from(slot.0).unwrap_or(usize::MAX);
        if index >= self.slots.len().saturating_add(SLOTS_AHEAD_MAX) {
            return broken(format!("slot {slot} is beyond every window"));
        }
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, Facts::default);
        }
        Ok(&mut self.slots[index])
    }

    /// A process has recorded something.
    pub fn recorded(&mut self, id: NodeId, at: RecordId, record: Record) -> Result<(), Violation> {
        match &record {
            Record::Accepted {
                slot,
                ballot,
                entry,
            } => {
                if ballot.round == 0 && self.has_given_up(ballot.member, *slot) {
                    return broken(format!(
                        "{id} accepts in slot {slot}, which its owner {} gave up",
                        ballot.member
                    ));
                }
                let facts = self.facts_mut(*slot)?;
                facts.promise(id, *slot, *ballot, false)?;
                let offer = facts.offer(*slot, *ballot, entry)?;
                if !offer.accepted.contains(&id) {
                    offer.accepted.push(id);
                }
            }
            Record::Promised { slots, ballot } => {
                for slot in slots {
                    self.facts_mut(*slot)?.promise(id, *slot, *ballot, true)?;
                }
            }
            Record::Round { round } => {
                let known = &mut self.speakers.entry(id).or_default().round;
                if *round <= *known {
                    return broken(format!("{id} uses round {round} after round {known}"));
                }
                *known = *round;
            }
            Record::Reserved { .. } | Record::Decided { .. } => {}
        }
        let speaker = self.speakers.entry(id).or_default();
        speaker.pending.push_back((at, record));
        Ok(())
    }

    /// The records of a process up to this one are durable. `each` is called for every acceptance
    /// that becomes so.
    pub fn durable(
        &mut self,
        id: NodeId,
        upto: RecordId,
        mut each: impl FnMut(&Acceptors, Slot) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        loop {
            let speaker = self.speakers.entry(id).or_default();
            if speaker.pending.front().is_none_or(|(at, _)| *at > upto) {
                return Ok(());
            }
            let (_, record) = speaker.pending.pop_front().expect("it was just seen");
            match record {
                Record::Round { round } => speaker.round_durable = round,
                Record::Reserved { below } => speaker.reserved_durable = below,
                Record::Decided { .. } => {}
                Record::Promised { slots, ballot } => {
                    for slot in slots {
                        self.facts_mut(slot)?.promise_of(id).durable = Some(ballot);
                    }
                }
                Record::Accepted { slot, ballot, .. } => {
                    let facts = self.facts_mut(slot)?;
                    facts.promise_of(id).durable = Some(ballot);
                    let offer = facts.offers.iter_mut().find(|o| o.ballot == ballot);
                    let offer = offer.expect("it was noted when it was recorded");
                    if !offer.durable.contains(&id) {
                        offer.durable.push(id);
                    }
                    each(self, slot)?;
                }
            }
        }
    }

    /// A process has come back, or could: this is what it remembers. It must be all that was durable
    /// before.
    pub fn remembers(&self, id: NodeId, memory: &Memory) -> Result<(), Violation> {
        let Some(speaker) = self.speakers.get(&id) else {
            return Ok(());
        };
        let forgets = |what: String| {
            let detail = format!(
                "{id} knows what is decided up to {}, {what}",
                memory.applied
            );
            Err(Violation::new(REMEMBERS, detail))
        };
        if memory.round < speaker.round_durable {
            let (was, is) = (speaker.round_durable, memory.round);
            return forgets(format!("and of round {was} only {is}"));
        }
        if memory.reserved < speaker.reserved_durable {
            let (was, is) = (speaker.reserved_durable, memory.reserved);
            return forgets(format!("and of slots reserved below {was} only {is}"));
        }
        let first = usize::try_from(memory.applied.0 + 1).unwrap_or(usize::MAX);
        for (index, facts) in self.slots.iter().enumerate().skip(first) {
            let slot = Slot(index as u64);
            let promised = facts.promises.iter().find(|promise| promise.by == id);
            let promised = promised.and_then(|promise| promise.durable);
            if promised > memory.promised.get(&slot).copied() {
                return forgets(format!(
                    "and not that it promised {promised:?} in slot {slot}"
                ));
            }
            let offers = facts.offers.iter().filter(|o| o.durable.contains(&id));
            let accepted = offers.map(|offer| offer.ballot).max();
            let known = memory.accepted.get(&slot).map(|(ballot, _)| *ballot);
            if accepted > known {
                return forgets(format!(
                    "and not that it accepted {accepted:?} in slot {slot}"
                ));
            }
        }
        Ok(())
    }

    /// A process comes back with this memory, of which `durable` would outlive the loss of power:
    /// what was not durable counts from now on as it remembers it.
    pub fn comes_back(
        &mut self,
        id: NodeId,
        memory: &Memory,
        durable: &Memory,
    ) -> Result<(), Violation> {
        self.remembers(id, memory)?;
        let speaker = self.speakers.entry(id).or_default();
        speaker.pending.clear();
        speaker.round = memory.round;
        speaker.round_durable = speaker.round_durable.max(durable.round);
        speaker.reserved_durable = speaker.reserved_durable.max(durable.reserved);
        for (index, facts) in self.slots.iter_mut().enumerate() {
            let slot = Slot(index as u64);
            let kept = memory.accepted.get(&slot).map(|(ballot, _)| *ballot);
            for offer in &mut facts.offers {
                if Some(offer.ballot) != kept && !offer.durable.contains(&id) {
                    offer.accepted.retain(|by| *by != id);
                }
            }
            // Nobody has ever heard of it.
            facts
                .offers
                .retain(|offer| offer.said || !offer.accepted.is_empty());
            if let Some(promise) = facts.promises.iter_mut().find(|one| one.by == id) {
                promise.made = promise.durable;
            }
        }
        for (slot, ballot) in &memory.promised {
            let promise = self.facts_mut(*slot)?.promise_of(id);
            promise.made = promise.made.max(Some(*ballot));
            let durable = durable.promised.get(slot).copied();
            promise.durable = promise.durable.max(durable);
        }
        for (slot, (ballot, entry)) in &memory.accepted {
            let is_durable = durable.accepted.get(slot).is_some_and(|(b, _)| b == ballot);
            let offer = self.facts_mut(*slot)?.offer(*slot, *ballot, entry)?;
            if !offer.accepted.contains(&id) {
                offer.accepted.push(id);
            }
            if is_durable && !offer.durable.contains(&id) {
                offer.durable.push(id);
            }
        }
        Ok(())
    }

    /// A process says something to others, for the first time or again. No node has applied slot
    /// `next` so far.
    pub fn said(&mut self, id: NodeId, message: &Message, next: Slot) -> Result<(), Violation> {
        match message {
            Message::Accept {
                ballot,
                entries,
                lane,
                ..
            } => {
                self.on_proposal(id, *ballot, entries)?;
                self.on_lane(id, lane.as_ref())
            }
            Message::Accepted(accepted) => {
                for (slot, ballot) in &accepted.votes {
                    let facts = self.facts_mut(*slot)?;
                    let mut offers = facts.offers.iter();
                    if !offers.any(|o| o.ballot == *ballot && o.durable.contains(&id)) {
                        return broken(format!(
                            "{id} votes for {ballot:?} in slot {slot}, which is not durable there"
                        ));
                    }
                }
                self.on_lane(id, accepted.lane.as_ref())
            }
            Message::Beat(beat) => self.on_lane(id, beat.lane.as_ref()),
            Message::Prepare { ballot, .. } => {
                let speaker = self.speakers.entry(id).or_default();
                if ballot.member != id || ballot.round > speaker.round_durable {
                    return broken(format!(
                        "{id} prepares {ballot:?}, which is not durable there"
                    ));
                }
                Ok(())
            }
            Message::Promise {
                ballot,
                slots,
                decided,
            } => {
                for (slot, entry) in decided.iter().filter(|(slot, _)| *slot >= next) {
                    self.on_outcome(id, *slot, entry);
                }
                slots
                    .iter()
                    .try_for_each(|slot| self.on_promise(id, *ballot, slot))
            }
            Message::Learn { from, entries } => {
                let known = next.0.saturating_sub(from.0) as usize;
                for (index, entry) in entries.iter().enumerate().skip(known) {
                    self.on_outcome(id, from.plus(index as u64), entry);
                }
                Ok(())
            }
            Message::Reject { .. }
            | Message::Ask { .. }
            | Message::Truncated { .. }
            | Message::Follow { .. }
            | Message::SnapshotAsk { .. }
            | Message::SnapshotPiece { .. }
            | Message::Forward { .. }
            | Message::Where { .. }
            | Message::At { .. } => Ok(()),
        }
    }

    fn on_proposal(
        &mut self,
        id: NodeId,
        ballot: Ballot,
        entries: &[(Slot, Entry)],
    ) -> Result<(), Violation> {
        let speaker = self.speakers.entry(id).or_default();
        if ballot.member != id || ballot.round > speaker.round_durable {
            return broken(format!(
                "{id} proposes at {ballot:?}, which is not durable there"
            ));
        }
        let reserved = speaker.reserved_durable;
        for (slot, entry) in entries {
            if ballot.round == 0 && *slot >= reserved {
                return broken(format!(
                    "{id} proposes in slot {slot}, reserved is {reserved}"
                ));
            }
            if ballot.round == 0 && self.has_given_up(id, *slot) {
                return broken(format!("{id} proposes in slot {slot}, which it gave up"));
            }
            self.facts_mut(*slot)?.offer(*slot, ballot, entry)?.said = true;
        }
        Ok(())
    }

    /// A promise tells what was accepted at the highest ballot below it. (A promise that is told
    /// again may name its own ballot, which was accepted meanwhile.)
    fn on_promise(
        &mut self,
        id: NodeId,
        ballot: Ballot,
        promised: &Promised,
    ) -> Result<(), Violation> {
        let Promised { slot, accepted } = promised;
        let facts = self.facts_mut(*slot)?;
        if facts.promise_of(id).durable < Some(ballot) {
            return broken(format!(
                "{id} promises {ballot:?} in slot {slot}, which is not durable"
            ));
        }
        let told = accepted.as_ref().map(|(told, _)| *told);
        let known = facts.offers.iter().filter(|o| o.accepted.contains(&id));
        let highest = known
            .clone()
            .map(|o| o.ballot)
            .filter(|b| *b < ballot)
            .max();
        let is_true = match accepted {
            None => true,
            Some((told, entry)) => known
                .clone()
                .any(|o| o.ballot == *told && o.entry == *entry),
        };
        if !is_true || told < highest || told > Some(ballot) {
            return broken(format!(
                "{id} promises {ballot:?} in slot {slot} and tells {told:?}; it accepted {highest:?}"
            ));
        }
        Ok(())
    }

    /// An owner that tells that its slot is Skip, and has put nothing there, gives it up thereby.
    fn on_outcome(&mut self, id: NodeId, slot: Slot, entry: &Entry) {
        if *entry != Entry::Skip || self.has_proposed(id, slot) {
            return;
        }
        let speaker = self.speakers.entry(id).or_default();
        speaker.given_up.told.insert(slot);
    }

    /// Whether a process has put an entry into a slot as its owner.
    fn has_proposed(&self, id: NodeId, slot: Slot) -> bool {
        let own = Ballot::of_owner(id);
        let facts = self.facts(slot);
        facts.is_some_and(|facts| facts.offers.iter().any(|offer| offer.ballot == own))
    }

    fn on_lane(&mut self, id: NodeId, lane: Option<&Lane>) -> Result<(), Violation> {
        let Some(lane) = lane else { return Ok(()) };
        let speaker = self.speakers.entry(id).or_default();
        if lane.next > speaker.reserved_durable {
            let reserved = speaker.reserved_durable;
            return broken(format!(
                "{id} speaks of slots up to {}, reserved is {reserved}",
                lane.next
            ));
        }
        if let Some(slot) = lane.used.iter().find(|slot| speaker.given_up.has(**slot)) {
            return broken(format!("{id} has used slot {slot}, which it gave up"));
        }
        let Some(from) = speaker.given_up.add(lane) else {
            return Ok(());
        };
        for slot in from.0..lane.next.0 {
            let slot = Slot(slot);
            if !lane.used.contains(&slot) && self.has_proposed(id, slot) {
                return broken(format!("{id} gives up slot {slot}, which it has used"));
            }
        }
        Ok(())
    }
}

/// What a process remembers of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The last slot up to which it knows all outcomes.
    pub applied: Slot,
    promised: BTreeMap<Slot, Ballot>,
    accepted: BTreeMap<Slot, (Ballot, Entry)>,
    reserved: Slot,
    round: u32,
}

impl Memory {
    /// What records tell that follow a state after this slot.
    pub fn of(applied: Slot, records: &[Record]) -> Memory {
        let mut memory = Memory {
            applied,
            ..Memory::default()
        };
        for record in records {
            match record {
                Record::Promised { slots, ballot } => {
                    slots.iter().for_each(|slot| memory.promise(*slot, *ballot));
                }
                Record::Accepted {
                    slot,
                    ballot,
                    entry,
                } => {
                    memory.promise(*slot, *ballot);
                    memory.accepted.insert(*slot, (*ballot, entry.clone()));
                }
                Record::Reserved { below } => memory.reserved = memory.reserved.max(*below),
                Record::Round { round } => memory.round = memory.round.max(*round),
                Record::Decided { slot, .. } => memory.applied = memory.applied.max(*slot),
            }
        }
        let first = memory.applied.next();
        memory.promised = memory.promised.split_off(&first);
        memory.accepted = memory.accepted.split_off(&first);
        memory
    }

    fn promise(&mut self, slot: Slot, ballot: Ballot) {
        let promised = self.promised.entry(slot).or_insert(ballot);
        *promised = ballot.max(*promised);
    }
}

impl Facts {
    fn promise_of(&mut self, by: NodeId) -> &mut Promise {
        let index = self.promises.iter().position(|promise| promise.by == by);
        let index = index.unwrap_or_else(|| {
            let (made, durable) = (None, None);
            self.promises.push(Promise { by, made, durable });
            self.promises.len() - 1
        });
        &mut self.promises[index]
    }

    /// Promises rise; what is accepted is at least what was promised.
    fn promise(
        &mut self,
        by: NodeId,
        slot: Slot,
        ballot: Ballot,
        rises: bool,
    ) -> Result<(), Violation> {
        let promise = self.promise_of(by);
        if promise.made > Some(ballot) || (rises && promise.made == Some(ballot)) {
            return broken(format!(
                "{by} acts at {ballot:?} in slot {slot} after it promised {:?}",
                promise.made
            ));
        }
        promise.made = Some(ballot);
        Ok(())
    }

    fn offer(
        &mut self,
        slot: Slot,
        ballot: Ballot,
        entry: &Entry,
    ) -> Result<&mut Offer, Violation> {
        let index = self.offers.iter().position(|offer| offer.ballot == ballot);
        let index = index.unwrap_or_else(|| {
            self.offers.push(Offer {
                ballot,
                entry: entry.clone(),
                accepted: Vec::new(),
                durable: Vec::new(),
                said: false,
            });
            self.offers.len() - 1
        });
        let offer = &mut self.offers[index];
        if offer.entry != *entry {
            return broken(format!("two entries in slot {slot} at {ballot:?}"));
        }
        Ok(offer)
    }
}

impl GivenUp {
    fn has(&self, slot: Slot) -> bool {
        let after = self.ranges.partition_point(|(from, _)| *from <= slot);
        let range = after.checked_sub(1).map(|index| self.ranges[index]);
        let is_spoken_of = range.is_some_and(|(_, to)| slot < to);
        (is_spoken_of && self.used.binary_search(&slot).is_err()) || self.told.contains(&slot)
    }

    /// Adds what is new in a statement. Returns the first slot that was not spoken of before.
    fn add(&mut self, lane: &Lane) -> Option<Slot> {
        let end = self.ranges.last().map_or(Slot(0), |(_, to)| *to);
        let from = lane.base.max(end);
        if from >= lane.next {
            return None;
        }
        match self.ranges.last_mut() {
            Some((_, to)) if *to == from => *to = lane.next,
            _ => self.ranges.push((from, lane.next)),
        }
        let used = lane.used.iter().filter(|slot| **slot >= from);
        self.used.extend(used);
        Some(from)
    }
}

fn broken<T>(detail: String) -> Result<T, Violation> {
    Err(Violation::new(PROPERTY, detail))
}

#[cfg(test)]
mod tests;
