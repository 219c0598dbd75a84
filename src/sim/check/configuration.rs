//! All nodes act in a slot under one configuration: the members that `/ctl/cal` named ALPHA slots
//! before. Each seat has one holder, and nobody holds two.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Violation;
use crate::core::consensus::Slot;
use crate::core::id::NodeId;
use crate::core::membership::Epoch;
use crate::core::state::State;

/// The property, as a sentence.
pub const PROPERTY: &str = "all nodes have the same configuration for a slot, and it is sound";
/// Who sits where, as a sentence.
pub const SEATS: &str = "a seat has one holder, and nobody holds two";

/// The configurations that any node has shown.
#[derive(Debug, Default)]
pub struct Configuration {
    /// By their first slots.
    known: BTreeMap<Slot, Epoch>,
    /// Up to this slot, all are known, but for those that begin in `passed`.
    settled: Slot,
    /// Slots that every node which got there went over in one turn: the configurations that begin
    /// there were never to be seen.
    passed: Vec<Range<Slot>>,
}

impl Configuration {
    /// The configuration of a slot, if any node can know it.
    pub fn at(&self, slot: Slot) -> Option<&Epoch> {
        self.known
            .range(..=slot)
            .next_back()
            .map(|(_, epoch)| epoch)
    }

    /// All of them, by their first slots.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &Epoch> {
        self.known.values()
    }

    /// Compares what a node takes for the configurations of the slots that it has not applied with
    /// what others do.
    pub fn check(&mut self, node: NodeId, state: &State) -> Result<(), Violation> {
        let broken = |what: String| {
            let detail = format!("{node} after slot {}: {what}", state.applied());
            Err(Violation::new(PROPERTY, detail))
        };
        let (first, last) = (state.applied().next(), state.applied().plus(state.alpha()));
        let mut count = 0;
        for epoch in state.epochs().iter() {
            count += 1;
            if epoch.start > last {
                return broken(format!("{epoch:?} lies beyond slot {last}"));
            }
            match self.known.get(&epoch.start) {
                Some(known) if known == epoch => {}
                Some(known) => return broken(format!("{epoch:?}, elsewhere {known:?}")),
                None if self.has_shown(epoch.start) => {
                    return broken(format!("{epoch:?}, of which others know nothing"));
                }
                None => {
                    if let Some(what) = unsound(epoch) {
                        return broken(format!("{epoch:?}: {what}"));
                    }
                    self.known.insert(epoch.start, epoch.clone());
                }
            }
        }
        let from = self.at(first).map_or(first, |epoch| epoch.start);
        if self.known.range(from..=last).count() != count {
            let known: Vec<_> = self.known.range(from..=last).collect();
            return broken(format!("{:?}, elsewhere {known:?}", state.epochs()));
        }
        let oldest = state.epochs().iter().next().map_or(first, |e| e.start);
        self.note_shown(oldest, last);
        Ok(())
    }

    fn has_shown(&self, slot: Slot) -> bool {
        slot <= self.settled && !self.passed.iter().any(|range| range.contains(&slot))
    }

    /// A node has shown all configurations from slot `from` to slot `to`.
    fn note_shown(&mut self, from: Slot, to: Slot) {
        if from > self.settled.next() {
            self.passed.push(self.settled.next()..from);
        }
        let rests = |range: &Range<Slot>| {
            let before = range.start..range.end.min(from);
            let after = range.start.max(to.next())..range.end;
            [before, after].into_iter().filter(|rest| !rest.is_empty())
        };
        self.passed = self.passed.iter().flat_map(rests).collect();
        self.settled = self.settled.max(to);
    }
}

/// Why a configuration must not be, if there is a reason.
fn unsound(epoch: &Epoch) -> Option<&'static str> {
    let members: BTreeSet<&NodeId> = epoch.members.iter().collect();
    let owners: BTreeSet<&NodeId> = epoch.owners.iter().collect();
    if members.len() != epoch.members.len() || owners.len() != epoch.owners.len() {
        return Some("somebody is named twice");
    }
    if !owners.is_subset(&members) {
        return Some("an owner is no member");
    }
    // One more than may die while a majority lives: somebody can always bring a change in.
    if owners.len() < members.len().div_ceil(2) || members.is_empty() {
        return Some("there are too few owners");
    }
    None
}

/// Checks who holds the seats, and that they are the members of the latest configuration.
pub fn check_seats(node: NodeId, state: &State) -> Result<(), Violation> {
    let mut holders: Vec<NodeId> = Vec::new();
    for (file, _, value) in state.slot_files() {
        let Some(id) = std::str::from_utf8(&value.0)
            .ok()
            .and_then(|text| text.parse().ok())
        else {
            continue;
        };
        if holders.contains(&id) {
            let detail = format!("{id} holds {file} and another seat, says {node}");
            return Err(Violation::new(SEATS, detail));
        }
        holders.push(id);
    }
    holders.sort_unstable();
    let members = &state.epochs().latest().members;
    // Members stay who they are while no seat is taken.
    if holders.is_empty() || holders == *members {
        return Ok(());
    }
    let detail = format!("{holders:?} hold seats, {members:?} are members, says {node}");
    Err(Violation::new(SEATS, detail))
}

#[cfg(test)]
mod tests;
