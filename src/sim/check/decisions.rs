//! One entry is decided in each slot, for a reason that the protocol allows, and each of its
//! commands takes effect at most once.
//!
//! A reason is: a majority of the slot's members has durably accepted the entry at one ballot; or
//! the slot's owner has given the slot up, which decides Skip. Whatever is not Skip was proposed by
//! the owner at round 0. What the commands may do to the revision is counted here once more.

use std::collections::BTreeMap;

use super::Violation;
use super::acceptors::{Acceptors, Offer};
use super::configuration::Configuration;
use crate::core::consensus::{Ballot, Slot};
use crate::core::id::{NodeId, Rev};
use crate::core::log::{Author, Entry, Op, Restore, Seq};
use crate::core::membership::Epoch;
use crate::core::store::Mutation;

/// The property, as a sentence.
pub const PROPERTY: &str = "one entry is decided in a slot, by a majority or for want of use";
/// What becomes of commands, as a sentence.
pub const ONCE: &str = "a command takes effect at most once, and in the order of its origin";

/// What the paths of the membership slots begin with.
const SEATS: &str = "/ctl/cal";
/// What the paths of files about processes begin with.
const NODES: &str = "/ctl/node";

/// Revisions that taking a process out takes at most: its seat, and the five files about it.
const UNSEAT_REVS_MAX: u64 = 6;

/// The outcome of every slot that any node has applied.
#[derive(Debug, Default)]
pub struct Decisions {
    /// That of slot 1 first.
    list: Vec<Decided>,
    /// The latest command of each origin that took effect.
    last: BTreeMap<NodeId, Seq>,
    /// The latest slot after which the revision is known, and that revision.
    anchor: (Slot, Rev),
    /// The revision that each restoration leads to, as far as it began.
    restorations: BTreeMap<u64, Rev>,
}

#[derive(Debug)]
struct Decided {
    entry: Entry,
    /// Revisions up to here that commands take in any case, and those that claims, evictions and
    /// what processes write about themselves may take.
    revs: u64,
    claims: u64,
    /// Whether it may change who holds a seat.
    seats: bool,
    /// The revision that a restoration leads to which may have been committed here.
    jump: Option<Rev>,
}

impl Decisions {
    /// Nothing is known of a cluster that begins after this slot, at this revision.
    pub fn after(applied: Slot, rev: Rev) -> Decisions {
        let past = (0..applied.0).map(|_| Decided {
            entry: Entry::Skip,
            revs: 0,
            claims: 0,
            seats: false,
            jump: None,
        });
        Decisions {
            list: past.collect(),
            last: BTreeMap::new(),
            restorations: BTreeMap::new(),
            anchor: (applied, rev),
        }
    }

    /// The first slot whose outcome is not known.
    pub fn next(&self) -> Slot {
        Slot(self.list.len() as u64 + 1)
    }

    /// Whether any slot in this range may have changed who holds a seat.
    pub fn may_change_seats(&self, after: Slot, upto: Slot) -> bool {
        let range = after.0 as usize..(upto.0 as usize).min(self.list.len());
        self.list
            .get(range)
            .is_none_or(|slots| slots.iter().any(|slot| slot.seats))
    }

    /// A node has applied this entry.
    pub fn check(
        &mut self,
        node: NodeId,
        slot: Slot,
        entry: Entry,
        acceptors: &Acceptors,
        configuration: &Configuration,
    ) -> Result<(), Violation> {
        if slot < self.next() {
            let known = &self.list[slot.0 as usize - 1].entry;
            if *known != entry {
                let detail = format!("slot {slot} is {entry:?} on {node}, {known:?} elsewhere");
                return Err(Violation::new(PROPERTY, detail));
            }
            return Ok(());
        }
        if slot > self.next() {
            let detail = format!(
                "{node} applies slot {slot}; slot {} is nobody's",
                self.next()
            );
            return Err(Violation::new(PROPERTY, detail));
        }
        let epoch = configuration.at(slot);
        if let Some(what) = epoch.and_then(|epoch| unfounded(slot, &entry, epoch, acceptors, node))
        {
            let detail = format!("{node} applies {entry:?} in slot {slot}: {what}");
            return Err(Violation::new(PROPERTY, detail));
        }
        self.push(entry);
        Ok(())
    }

    /// The outcome of the next slot as the votes tell it, where a node has forgotten it before it
    /// showed it: alone, or with a short memory, it may apply many slots in one turn.
    pub fn by_votes(
        &self,
        slot: Slot,
        acceptors: &Acceptors,
        configuration: &Configuration,
    ) -> Option<Entry> {
        let epoch = configuration.at(slot).filter(|_| slot == self.next())?;
        let offers = acceptors.facts(slot).map_or(&[][..], |facts| &facts.offers);
        let chosen = offers.iter().find(|offer| is_chosen(offer, epoch));
        Some(chosen.map_or(Entry::Skip, |offer| offer.entry.clone()))
    }

    /// A record became durable in a slot whose outcome is known: it must not bring about another.
    pub fn check_late(
        &self,
        slot: Slot,
        acceptors: &Acceptors,
        configuration: &Configuration,
    ) -> Result<(), Violation> {
        let decided = (slot.0 as usize)
            .checked_sub(1)
            .and_then(|index| self.list.get(index));
        let (Some(decided), Some(epoch), Some(facts)) =
            (decided, configuration.at(slot), acceptors.facts(slot))
        else {
            return Ok(());
        };
        let mut chosen = facts.offers.iter().filter(|offer| is_chosen(offer, epoch));
        match chosen.find(|offer| offer.entry != decided.entry) {
            None => Ok(()),
            Some(offer) => {
                let detail = format!("slot {slot} was {:?}; now {offer:?}", decided.entry);
                Err(Violation::new(PROPERTY, detail))
            }
        }
    }

    /// A node shows the revision after a slot. What lies between it and the last one shown must be
    /// what the commands take.
    pub fn check_rev(&mut self, node: NodeId, slot: Slot, rev: Rev) -> Result<(), Violation> {
        let (before, known) = self.anchor;
        if slot <= before || slot >= self.next() {
            return Ok(());
        }
        let sums = |slot: Slot| match slot.0.checked_sub(1) {
            None => (0, 0),
            Some(index) => {
                let decided = &self.list[index as usize];
                (decided.revs, decided.claims)
            }
        };
        let (from, to) = (sums(before), sums(slot));
        let least = known.0 + to.0 - from.0;
        let most = least + to.1 - from.1;
        // What was before the jump does not count; what is behind it takes no more than all does.
        let all = most - known.0;
        let range = before.0 as usize..slot.0 as usize;
        let mut jumps = self.list[range].iter().filter_map(|decided| decided.jump);
        let has_jumped = jumps.any(|to| (to.0..=to.0 + all).contains(&rev.0));
        if (least..=most).contains(&rev.0) || has_jumped {
            self.anchor = (slot, rev);
            return Ok(());
        }
        let detail = format!(
            "{node} is at rev {rev} after slot {slot}; from rev {known} after slot {before} the \
             commands lead to {least}, or {most} with all that may take one"
        );
        Err(Violation::new(ONCE, detail))
    }

    fn push(&mut self, entry: Entry) {
        let (mut revs, mut claims) = self.list.last().map_or((0, 0), |d| (d.revs, d.claims));
        let (mut seats, mut jump) = (false, None);
        if let Entry::Batch(batch) = &entry {
            for run in &batch.runs {
                for (index, op) in run.ops.iter().enumerate() {
                    let seq = run.first.plus(index);
                    let last = self.last.entry(run.origin).or_default();
                    let is_next = seq.0 == last.0 + 1 || (seq.begins_life() && seq > *last);
                    if !is_next {
                        continue;
                    }
                    *last = seq;
                    match op {
                        // A process that was put out writes about itself in vain.
                        Op::Mutate { mutation, author } if is_of_process(mutation, *author) => {
                            claims += 1;
                        }
                        Op::Mutate { mutation, .. } => {
                            revs += 1;
                            seats |= touches_seats(mutation);
                        }
                        Op::Seat { .. } => (revs, seats) = (revs + 1, true),
                        Op::Claim { .. } => (claims, seats) = (claims + 1, true),
                        Op::Unseat { .. } => (claims, seats) = (claims + UNSEAT_REVS_MAX, true),
                        Op::Restore(Restore::Begin { id, rev, .. }) => {
                            self.restorations.insert(*id, *rev);
                        }
                        Op::Restore(Restore::Commit { id, .. }) => {
                            jump = jump.or(self.restorations.get(id).copied());
                        }
                        Op::Restore(Restore::Files { .. }) | Op::Void | Op::Owners { .. } => {}
                    }
                }
            }
        }
        self.list.push(Decided {
            entry,
            revs,
            claims,
            seats,
            jump,
        });
    }
}

/// Whether a process writes about itself.
fn is_of_process(mutation: &Mutation, author: Author) -> bool {
    match mutation {
        Mutation::Set { path, .. } | Mutation::Del { path, .. } => {
            author == Author::Server && path.as_str().starts_with(NODES)
        }
        Mutation::Nop => false,
    }
}

fn touches_seats(mutation: &Mutation) -> bool {
    match mutation {
        Mutation::Set { path, .. } | Mutation::Del { path, .. } => path.as_str().starts_with(SEATS),
        Mutation::Nop => false,
    }
}

fn is_chosen(offer: &Offer, epoch: &Epoch) -> bool {
    let votes = offer
        .durable
        .iter()
        .filter(|voter| epoch.members.contains(voter));
    2 * votes.count() > epoch.members.len()
}

/// Why an outcome must not be, if there is a reason.
fn unfounded(
    slot: Slot,
    entry: &Entry,
    epoch: &Epoch,
    acceptors: &Acceptors,
    node: NodeId,
) -> Option<String> {
    let owner = owner_of(epoch, slot);
    let offers = acceptors.facts(slot).map_or(&[][..], |facts| &facts.offers);
    let own = offers
        .iter()
        .find(|offer| offer.ballot == Ballot::of_owner(owner));
    if let Some(stranger) = offers
        .iter()
        .find(|o| o.ballot.round == 0 && o.ballot.member != owner)
    {
        return Some(format!(
            "{} proposed in the slot of {owner}",
            stranger.ballot.member
        ));
    }
    if *entry != Entry::Skip && own.is_none_or(|own| own.entry != *entry) {
        return Some(format!("its owner {owner} never proposed that"));
    }
    let mut chosen = offers
        .iter()
        .filter(|offer| is_chosen(offer, epoch))
        .peekable();
    if let Some(other) = chosen.clone().find(|offer| offer.entry != *entry) {
        return Some(format!("a majority accepted {other:?}"));
    }
    // An owner knows before it says so that it will not use a slot.
    let given_up = acceptors.has_given_up(owner, slot) || node == owner;
    let is_founded = match entry {
        Entry::Skip => chosen.peek().is_some() || (given_up && own.is_none()),
        Entry::Batch(_) => chosen.peek().is_some(),
    };
    (!is_founded).then(|| format!("no majority of {:?} accepted it: {offers:?}", epoch.members))
}

fn owner_of(epoch: &Epoch, slot: Slot) -> NodeId {
    epoch.owners[(slot.0 - epoch.start.0) as usize % epoch.owners.len()]
}

#[cfg(test)]
mod tests;
