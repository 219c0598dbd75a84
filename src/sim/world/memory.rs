//! What processes find on their disks is compared with what they must not forget.

use super::lives::{HISTORY_BYTES, READABLE};
use super::{Harm, World};
use crate::core::durable::{Directory, Identity, Recovered};
use crate::core::id::NodeId;
use crate::core::store::HistoryLimits;
use crate::sim::check::Violation;
use crate::sim::check::acceptors::{Memory, REMEMBERS};
use crate::sim::disk::{Device, Lane};
use crate::sim::machine::Machine;
use crate::sim::process::{HostId, Pid};

/// That damage is noticed, as a sentence.
const REFUSED: &str = "what was damaged on a disk is refused";

impl<M: Machine> World<M> {
    /// A disk says whose it is: if that is not the process that has written to it, with all its lives,
    /// nobody has been told anything that this one had to remember.
    pub(super) fn check_identity(
        &self,
        host: HostId,
        found: Option<&Identity>,
    ) -> Result<(), Violation> {
        let Some((holder, boot)) = self.mounts[host].holder else {
            return Ok(());
        };
        let id = self.processes[holder].id;
        match found.filter(|identity| identity.id == id) {
            None => self.observer.remembers(id, &Memory::default()),
            Some(identity) if identity.boot < boot => {
                let detail = format!(
                    "{id} was started {boot} times before, and knows of {}",
                    identity.boot
                );
                Err(Violation::new(REMEMBERS, detail))
            }
            Some(_) => Ok(()),
        }
    }

    /// Whoever comes back remembers what it must; and what it remembers is durable, or it could forget
    /// it in its next life.
    pub(super) fn check_memory(&mut self, pid: Pid) {
        if self.is_given_up(pid) {
            return;
        }
        let process = &self.processes[pid];
        let id = process.id;
        let checkpoint = process.machine.as_ref().and_then(M::checkpoint);
        let (Some(checkpoint), Some(device)) = (checkpoint, process.storage.device()) else {
            return;
        };
        let view = process.machine.as_ref().and_then(M::view);
        let applied = view.map(|view| view.applied).unwrap_or_default();
        let memory = Memory::of(applied, &checkpoint.memory);
        let durable = self.memory_on(&device.worst(self.now), id);
        let judged = durable.and_then(|durable| self.observer.comes_back(id, &memory, &durable));
        if let Err(violation) = judged {
            self.accuse(violation);
        }
    }

    /// What was damaged must not have been read as if nothing were.
    pub(super) fn check_harm(&self, host: HostId, recovered: &Recovered) -> Result<(), Violation> {
        let what = match &self.mounts[host].harm {
            None | Some(Harm::Perhaps) => return Ok(()),
            Some(Harm::Surely) => "something was changed or is missing",
            Some(Harm::Log(before)) => {
                let now = Memory::of(recovered.state.applied(), &recovered.records);
                if now == *before {
                    return Ok(());
                }
                "a log is missing"
            }
        };
        let detail = format!("host {host} at {} ms: {what}", self.now.0 / 1000);
        Err(Violation::new(REFUSED, detail))
    }

    /// Whose a disk is, and what can be read there, if it is anybody's. Changes nothing.
    pub(in crate::sim) fn examine(&self, device: &Device) -> Option<(NodeId, Recovered)> {
        let copy = device.copy();
        let directory = Directory::on(copy.handle(Lane::Log, self.now));
        let id = directory.identity().ok()??.id;
        let recovered = directory.recover(id, self.history_limits()).ok()?;
        Some((id, recovered))
    }

    /// What a process would remember that came back with this disk.
    fn memory_on(&self, device: &Device, id: NodeId) -> Result<Memory, Violation> {
        let directory = Directory::on(device.handle(Lane::Log, self.now));
        match directory.recover(id, self.history_limits()) {
            Ok(recovered) => Ok(Memory::of(recovered.state.applied(), &recovered.records)),
            Err(error) => {
                let detail = format!(
                    "{id} at {} ms, after a loss of power: {error}",
                    self.now.0 / 1000
                );
                Err(Violation::new(READABLE, detail))
            }
        }
    }

    /// Should the power go now everywhere, everybody would remember what it must.
    pub(in crate::sim) fn check_disks(&self) -> Result<(), Violation> {
        for (host, mount) in self.mounts.iter().enumerate() {
            let Some(device) = mount.device.as_ref().filter(|_| mount.harm.is_none()) else {
                continue;
            };
            let worst = device.worst(self.now);
            let directory = Directory::on(worst.handle(Lane::Log, self.now));
            let identity = directory.identity().map_err(|error| {
                let detail = format!("at the end, after a loss of power: {error}");
                Violation::new(READABLE, detail)
            })?;
            self.check_identity(host, identity.as_ref())?;
            if let Some(Identity { id, .. }) = identity {
                let memory = self.memory_on(&worst, id)?;
                self.observer.remembers(id, &memory)?;
            }
        }
        Ok(())
    }

    pub(super) fn history_limits(&self) -> HistoryLimits {
        HistoryLimits {
            revs: self.params.history_revs.max(1),
            bytes: HISTORY_BYTES,
        }
    }
}
