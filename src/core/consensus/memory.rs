//! What outlives a life: what a log that begins anew has to begin with, and how a node that comes
//! back under its old identity takes up what it has promised.

use super::{Consensus, Slot};
use crate::core::durable::Record;
use crate::core::env::Env;
use crate::core::instrument::planted;
use crate::core::log::Entry;

impl Consensus {
    /// All that must not be forgotten: together with the state after the last applied slot it says
    /// as much as all records so far.
    pub fn memory(&self) -> Vec<Record> {
        let mut records = vec![
            Record::Reserved {
                below: self.reserved,
            },
            Record::Round {
                round: self.round_max,
            },
        ];
        let mut slot = self.window.first();
        while let Some(state) = self.window.get(slot) {
            if let Some(ballot) = state.promised {
                let slots = vec![slot];
                records.push(Record::Promised { slots, ballot });
            }
            if let Some((ballot, entry)) = state.accepted.clone() {
                records.push(Record::Accepted {
                    slot,
                    ballot,
                    entry,
                });
            }
            slot = slot.next();
        }
        records
    }

    /// Records the outcome that is about to be applied.
    pub fn note_decided(&self, slot: Slot, entry: &Entry, env: &mut impl Env) {
        let state = self.window.get(slot);
        let accepted = state.and_then(|state| state.accepted.as_ref());
        let is_accepted = accepted.is_some_and(|(_, accepted)| accepted == entry);
        let entry = (!is_accepted).then(|| entry.clone());
        env.record(Record::Decided { slot, entry });
    }

    /// Before records of earlier lives are recalled: finds out which own slots those may have used
    /// (I3), and which rounds (I5).
    pub fn begin_recalling(&mut self, records: &[Record]) {
        for record in records {
            match record {
                Record::Reserved { .. } if planted!(ReservationForgotten) => {}
                Record::Reserved { below } => self.reserved = self.reserved.max(*below),
                Record::Round { .. } if planted!(RoundForgotten) => {}
                Record::Round { round } => self.round_max = self.round_max.max(*round),
                Record::Promised { ballot, .. } | Record::Accepted { ballot, .. } => {
                    self.round_max = self.round_max.max(ballot.round);
                }
                Record::Decided { .. } => {}
            }
        }
        self.fence = self.fence.max(self.reserved);
        self.secured = self.reserved;
        self.next = self.next.max(self.fence);
    }

    /// Takes up one record of an earlier life, in the order in which they were written. What is
    /// decided by it is to be applied before the next. What lies before the applied state is
    /// history, and says nothing.
    pub fn recall(&mut self, record: Record) {
        match record {
            Record::Promised { .. } if planted!(PromiseForgotten) => {}
            Record::Promised { slots, ballot } => {
                for slot in slots {
                    if let Some(state) = self.window.get_mut(slot) {
                        state.promised = state.promised.max(Some(ballot));
                        self.seen = self.seen.max(slot);
                    }
                }
            }
            Record::Accepted {
                slot,
                ballot,
                entry,
            } => {
                self.accepted_max = self.accepted_max.max(slot);
                let Some(state) = self.window.get_mut(slot) else {
                    return;
                };
                state.promised = state.promised.max(Some(ballot));
                if state
                    .accepted
                    .as_ref()
                    .is_none_or(|(accepted, _)| *accepted <= ballot)
                {
                    state.accepted = Some((ballot, entry));
                }
                self.seen = self.seen.max(slot);
            }
            Record::Decided { slot, entry } => {
                let Some(state) = self.window.get(slot) else {
                    return;
                };
                let accepted = state.accepted.as_ref().map(|(_, entry)| entry.clone());
                let entry = entry.or(accepted);
                self.decide(slot, entry.expect("recovery has checked that it is there"));
            }
            Record::Reserved { .. } | Record::Round { .. } => {}
        }
    }

    /// After the last record: says again what it has accepted, for whoever counts votes anew.
    pub fn end_recalling(&mut self) {
        let mut slot = self.window.first();
        while slot <= self.window.last() {
            let quorum = self.epochs.at(slot).quorum();
            let state = self.window.get_mut(slot).expect("it is in the window");
            if let Some((ballot, entry)) = state.accepted.clone()
                && state.decided.is_none()
            {
                state.offer(ballot, &entry, quorum);
                self.votes.push((slot, ballot));
            }
            slot = slot.next();
        }
    }
}
