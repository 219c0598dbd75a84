//! Clusters that were made anew of what one process knew: who belongs to which.

use super::World;
use crate::core::env::Time;
use crate::core::id::{Lineage, NodeId};
use crate::core::instrument::sometimes;
use crate::core::node::Start;
use crate::core::state::State;
use crate::sim::chance::What;
use crate::sim::machine::Machine;
use crate::sim::process::Pid;

impl<M: Machine> World<M> {
    /// The cluster that a process belongs to, as far as it knows.
    fn lineage_of(&self, pid: Pid) -> Option<Lineage> {
        let process = &self.processes[pid];
        let own = process.machine.as_ref().and_then(M::lineage);
        own.or(process.lineage)
    }

    /// Whether a process belongs to a cluster that has been given up.
    pub(in crate::sim) fn is_given_up(&self, pid: Pid) -> bool {
        let Some(latest) = self.lineage else {
            return false;
        };
        let lineage = self.lineage_of(pid);
        lineage.is_some_and(|lineage| lineage != latest)
    }

    /// Whether two processes let each other in. Who belongs to no cluster yet takes that of the other.
    pub(super) fn greet(&mut self, one: Pid, other: Pid) -> bool {
        match (self.lineage_of(one), self.lineage_of(other)) {
            (Some(mine), Some(theirs)) => {
                sometimes!(LineagesMeet, mine != theirs);
                return mine == theirs;
            }
            (None, Some(theirs)) => self.processes[one].lineage = Some(theirs),
            (Some(mine), None) => self.processes[other].lineage = Some(mine),
            (None, None) => {}
        }
        true
    }

    /// A process has halted to make a new cluster of what it knows, and begins it. Whatever those do
    /// who are not there is judged no more.
    pub(super) fn recover(&mut self, pid: Pid, state: Box<State>) {
        self.stop(pid);
        let survivor = self.processes[pid].id;
        let host = self.processes[pid].host;
        let who = self.name_next(host);
        let mut dice = self.chance.dice(What::Identity, who);
        let id = NodeId::from_random(dice.draw(), dice.draw());
        let applied = state.applied();
        self.chronicle.truncate(state.store().rev());
        let storage = self.new_storage(host, id);
        let start = Start::Recover { survivor, state };
        let pid = self.add_process(host, id, 0, start, storage);
        self.lineage = self.lineage_of(pid);
        let rev = self.processes[pid].machine.as_ref().and_then(M::view);
        let rev = rev.map(|view| view.rev).unwrap_or_default();
        self.observer.begin_anew(applied, rev);
        self.takeover.note_seats(Vec::new(), self.now);
        for other in 0..self.processes.len() {
            if other != pid && self.is_given_up(other) {
                self.troubled_until[other] = Time::NEVER;
            }
        }
    }
}
