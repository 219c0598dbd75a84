//! Tells whoever listens what happens, without changing any of it.

use std::rc::Rc;

use super::{Parcel, World};
use crate::core::consensus::Slot;
use crate::core::protocol::peer::decode;
use crate::sim::check::Violation;
use crate::sim::machine::Machine;
use crate::sim::narration::{Cast, Happened, Loss, Narrator, Place, Told};
use crate::sim::process::{HostId, Pid};

impl<M: Machine> World<M> {
    /// Whether anybody wants to hear what happens now.
    fn is_told(&self) -> bool {
        let narrator = self.narrator.as_ref();
        narrator.is_some_and(|narrator| narrator.tells(self.trace.events()))
    }

    /// Tells what happens, if anybody wants to hear it.
    pub(in crate::sim) fn tell<'a>(&self, place: Place, what: impl FnOnce() -> Happened<'a>) {
        if let Some(narrator) = &self.narrator
            && self.is_told()
        {
            self.tell_to(narrator, place, what());
        }
    }

    /// Tells which rule was broken, whatever else the listener wants to hear.
    pub(in crate::sim) fn tell_violation(&self, violation: &Violation) {
        if let Some(narrator) = &self.narrator {
            self.tell_to(narrator, Place::World, Happened::Violated(violation));
        }
    }

    fn tell_to(&self, narrator: &Narrator, place: Place, what: Happened<'_>) {
        narrator.tell(&Told {
            number: self.trace.events(),
            time: self.now,
            place,
            what,
            cast: Cast {
                by_id: &self.by_id,
                names: self.net.names(),
            },
        });
    }

    /// Tells that a message does not reach `to`.
    pub(super) fn tell_loss(&self, from: Pid, to: Pid, sent: u64, parcel: &Parcel, loss: Loss) {
        if !self.is_told() {
            return;
        }
        let message = match parcel {
            Parcel::Bytes(bytes) => decode(bytes).ok().map(Rc::new),
            Parcel::Plain(message) => Some(Rc::clone(message)),
            Parcel::Damaged(..) => None,
        };
        self.tell(Place::Node(to), || Happened::Lost {
            from,
            sent,
            message: message.as_deref(),
            loss,
        });
    }

    /// Tells which slots a process has applied in a turn, and which configurations it is the first
    /// to show, of which so many were known.
    pub(super) fn tell_progress(&self, pid: Pid, before: Slot, applied: Slot, epochs: usize) {
        let Some(node) = self.processes[pid].machine.as_ref().and_then(M::node) else {
            return;
        };
        if !self.is_told() {
            return;
        }
        for epoch in self.observer.epochs().skip(epochs) {
            self.tell(Place::Node(pid), || Happened::Configured(epoch));
        }
        for slot in before.0..applied.0 {
            let slot = Slot(slot).next();
            let entry = node.outcome(slot);
            let entry = entry.as_ref();
            self.tell(Place::Node(pid), || Happened::Applied { slot, entry });
        }
    }

    /// Ends all that holds messages up between two hosts.
    pub(super) fn mend_between(&mut self, one: HostId, other: HostId) {
        self.net.mend_all(one, other);
        self.tell(Place::World, || Happened::Mended { one, other });
    }
}
