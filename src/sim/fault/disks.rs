//! What befalls disks, and those who need them.

use super::Fault;
use crate::core::instrument::sometimes;
use crate::sim::check::acceptors::Memory;
use crate::sim::disk::{Damage, Damaged, Fate, damage};
use crate::sim::machine::Machine;
use crate::sim::params::micros;
use crate::sim::process::HostId;
use crate::sim::world::{Happening, Harm, World};

impl<M: Machine> World<M> {
    pub(super) fn befall_disks(&mut self, fault: &Fault) {
        match fault {
            Fault::PowerLoss {
                hosts,
                back_us,
                step_us,
                relapse,
            } => {
                let is_all = self
                    .alive()
                    .all(|pid| hosts.contains(&self.processes[pid].host));
                sometimes!(PowerLossOfAll, is_all);
                for (nth, host) in hosts.iter().enumerate() {
                    let back_us = back_us + step_us * nth as u64;
                    self.lose_power(*host, back_us, *relapse);
                }
            }
            Fault::DiskError {
                host,
                after,
                back_us,
            } => match self.process_on(*host) {
                Some(pid) => {
                    if let Some(device) = self.processes[pid].storage.device() {
                        device.fail_after(*after);
                        self.processes[pid].back_after_failure_us = *back_us;
                    }
                }
                // Whoever comes back there meets it.
                None => {
                    self.ensure_host(*host);
                    if let Some(device) = &self.mounts[*host].device {
                        device.fail_after(*after);
                    }
                }
            },
            Fault::DiskFull { host, span_us } => {
                let until = self.now + micros(*span_us);
                if let Some(pid) = self.process_on(*host)
                    && let Some(device) = self.processes[pid].storage.device()
                {
                    device.fill_until(until);
                    self.processes[pid].back_after_failure_us = *span_us;
                }
            }
            Fault::SlowDisk {
                host,
                times,
                span_us,
            } => {
                let until = self.now + micros(*span_us);
                if let Some(pid) = self.process_on(*host) {
                    if let Some(device) = self.processes[pid].storage.device() {
                        device.slow_until(*times, until);
                    }
                    self.trouble(pid, micros(*span_us));
                }
            }
            Fault::DiskDamage {
                host,
                damage,
                back_us,
            } => self.damage_disk(*host, *damage, *back_us),
            _ => unreachable!("it befalls no disk"),
        }
    }

    fn lose_power(&mut self, host: HostId, back_us: u64, relapse: Option<u64>) {
        match self.process_on(host) {
            Some(pid) if !self.may_end(pid, Fate::Synced) => return,
            Some(pid) => self.crash(pid, Fate::Synced),
            None => {
                sometimes!(
                    PowerLossWhileReading,
                    self.mounts
                        .get(host)
                        .is_some_and(|mount| mount.waking.is_some())
                );
                self.ensure_host(host);
                self.leave_disk(host, Fate::Synced);
            }
        }
        self.mounts[host].relapse = relapse.map(|after| (after, Fate::Synced));
        let at = self.now + micros(back_us);
        self.queue.push(at, Happening::Start { host });
    }

    fn damage_disk(&mut self, host: HostId, kind: Damage, back_us: u64) {
        let Some(pid) = self.process_on(host) else {
            return;
        };
        if self.processes[pid].storage.device().is_none() || !self.may_give_up(pid) {
            return;
        }
        self.crash(pid, Fate::Written);
        if let Some(device) = self.mounts[host].device.clone()
            && let Some((id, before)) = self.examine(&device)
        {
            let ends = before.ends.as_slice();
            let damage =
                |volume: &mut _, dice: &mut _| damage::damage(volume, kind, (id, ends), dice);
            self.mounts[host].harm = device.with_volume(damage).map(|damaged| match damaged {
                Damaged::Surely => Harm::Surely,
                Damaged::Log => {
                    let applied = before.state.applied();
                    Harm::Log(Memory::of(applied, &before.records))
                }
                Damaged::Snapshot => Harm::Perhaps,
            });
        }
        let at = self.now + micros(back_us);
        self.queue.push(at, Happening::Start { host });
    }
}
