//! Looks at every turn of every node, and has the checkers of safety judge what it sees.

use super::acceptors::{Acceptors, Memory};
use super::agreement::Agreement;
use super::configuration::{Configuration, check_seats};
use super::decisions::Decisions;
use super::takeover::Seat;
use super::{Violation, bounds, revisions};
use crate::core::consensus::Slot;
use crate::core::durable::Record;
use crate::core::env::RecordId;
use crate::core::id::{NodeId, Rev};
use crate::core::membership::Epoch;
use crate::core::protocol::peer::Message;
use crate::sim::machine::{Machine, View};
use crate::sim::process::Pid;

/// The checkers that look at every turn.
#[derive(Debug, Default)]
pub struct Observer {
    agreement: Agreement,
    acceptors: Acceptors,
    configuration: Configuration,
    decisions: Decisions,
    /// What each process has shown last.
    shown: Vec<Option<View>>,
    /// The latest slot that is known to have changed who holds a seat, and the seats since then,
    /// until somebody takes note.
    seats: (Slot, Option<Vec<Seat>>),
}

impl Observer {
    /// The last slot that a process has shown that it has applied.
    pub fn applied(&self, pid: Pid) -> Slot {
        let shown = self.shown.get(pid).copied().flatten();
        shown.map_or(Slot(0), |view| view.applied)
    }

    /// The configurations that have been shown, by their first slots.
    pub fn epochs(&self) -> impl ExactSizeIterator<Item = &Epoch> {
        self.configuration.all()
    }

    /// A process has recorded something in this turn.
    pub fn recorded(&mut self, id: NodeId, at: RecordId, record: Record) -> Result<(), Violation> {
        self.acceptors.recorded(id, at, record)
    }

    /// Records of a process are durable.
    pub fn durable(&mut self, id: NodeId, upto: RecordId) -> Result<(), Violation> {
        let Observer {
            acceptors,
            decisions,
            configuration,
            ..
        } = self;
        acceptors.durable(id, upto, |acceptors, slot| {
            decisions.check_late(slot, acceptors, configuration)
        })
    }

    /// A new cluster begins after this slot, and at this revision. What was before is judged no more.
    pub fn begin_anew(&mut self, applied: Slot, rev: Rev) {
        *self = Observer {
            decisions: Decisions::after(applied, rev),
            seats: (applied, None),
            ..Observer::default()
        };
    }

    /// A process could come back with this memory.
    pub fn remembers(&self, id: NodeId, memory: &Memory) -> Result<(), Violation> {
        self.acceptors.remembers(id, memory)
    }

    /// A process comes back with this memory, of which so much is durable.
    pub fn comes_back(
        &mut self,
        id: NodeId,
        memory: &Memory,
        durable: &Memory,
    ) -> Result<(), Violation> {
        self.acceptors.comes_back(id, memory, durable)
    }

    /// A process says something to others.
    pub fn said(&mut self, id: NodeId, message: &Message) -> Result<(), Violation> {
        self.acceptors.said(id, message, self.decisions.next())
    }

    /// A process has had its turn; what it recorded in it is known.
    pub fn turned<M: Machine>(
        &mut self,
        pid: Pid,
        id: NodeId,
        machine: &M,
        view: &View,
    ) -> Result<(), Violation> {
        if let Some(node) = machine.node() {
            bounds::check(id, node)?;
        }
        if self.shown.len() <= pid {
            self.shown.resize(pid + 1, None);
        }
        let before = self.shown[pid].replace(*view);
        if before.as_ref() == Some(view) {
            return Ok(());
        }
        self.agreement.check(id, view)?;
        revisions::check_node(id, before.as_ref(), view)?;
        let Some((node, state)) = machine.node().and_then(|node| Some((node, node.state()?)))
        else {
            return Ok(());
        };
        self.configuration.check(id, state)?;
        let before = before.map_or(Slot(0), |view| view.applied);
        let mut slot = before.next();
        while slot <= view.applied {
            let (acceptors, configuration) = (&self.acceptors, &self.configuration);
            let by_votes = || self.decisions.by_votes(slot, acceptors, configuration);
            // What lies before a snapshot, others have applied and shown.
            if let Some(entry) = node.outcome(slot).or_else(by_votes) {
                self.decisions
                    .check(id, slot, entry, acceptors, configuration)?;
            }
            slot = slot.next();
        }
        self.decisions.check_rev(id, view.applied, view.rev)?;
        if self.decisions.may_change_seats(before, view.applied) {
            check_seats(id, state)?;
            if view.applied > self.seats.0 {
                self.seats = (view.applied, Some(machine.seats()));
            }
        }
        Ok(())
    }

    /// Who holds which seat, if that may have changed.
    pub fn take_seats(&mut self) -> Option<Vec<Seat>> {
        self.seats.1.take()
    }
}
