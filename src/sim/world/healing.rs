//! How a core is healed for good while everything else stays as it is.

use super::{Door, World};
use crate::core::env::Time;
use crate::core::instrument::sometimes;
use crate::sim::machine::Machine;
use crate::sim::narration::{Happened, Place};
use crate::sim::net::State;
use crate::sim::process::{HostId, Pid};

impl<M: Machine> World<M> {
    /// Whether this is the time in which faults happen.
    pub fn is_frozen(&self) -> bool {
        !self.core.is_empty()
    }

    /// Ends all cuts, clogs and lags.
    pub(in crate::sim) fn mend_everything(&mut self) {
        for a in 0..self.hosts.len() {
            for b in 0..a {
                self.mend_between(a, b);
            }
        }
    }

    /// Heals these processes and the connections among them for good, and freezes every other
    /// fault as it is.
    pub fn heal_core(&mut self, core: Vec<Pid>) {
        assert!(!core.is_empty(), "a core has somebody in it");
        self.core = core;
        let params = &mut self.net.params;
        params.loss_ppm = 0;
        params.duplicate_ppm = 0;
        params.tail_ppm = 0;
        params.bandwidth = 0;
        self.client_cuts.clear();
        for pid in 0..self.processes.len() {
            let in_core = self.core.contains(&pid);
            let process = &mut self.processes[pid];
            if in_core {
                sometimes!(CoreWakesPaused, process.paused_until > self.now);
                process.slow = 1;
                process.doom = None;
                if let Some(device) = process.storage.device() {
                    device.mend();
                }
                process.paused_until = self.now;
                process.busy_until = self.now;
                // Its next turn may be planned for the end of a long pause.
                process.has_turn = false;
                self.take_turn_soon(pid);
            } else if process.paused_until > self.now {
                process.paused_until = Time::NEVER;
                let until = Time::NEVER;
                self.tell(Place::Node(pid), || Happened::Paused { until });
            }
        }
        for one in self.core.clone() {
            for other in self.core.clone() {
                let hosts = (self.processes[one].host, self.processes[other].host);
                self.mend_between(hosts.0, hosts.1);
                self.doors[hosts.0] = Door::Open;
                if self.net.state(one, other) == State::Hole {
                    self.break_link(one, other);
                }
            }
        }
        self.attach_to_core();
        let open: Vec<usize> = self.open_conns().collect();
        for conn in open {
            if !self.core.contains(&self.conns[conn].pid) {
                self.hang_up(conn);
            }
            self.heal_conn(conn);
        }
    }

    /// Who has not attached to anybody so far, and was told addresses that may be dead by now, is
    /// told the addresses of the core, as its operator would do.
    pub(in crate::sim) fn attach_to_core(&mut self) {
        let hosts = self.core.iter().map(|pid| self.processes[*pid].host);
        let hosts: Vec<HostId> = hosts.collect();
        for pid in self.core.clone() {
            if !self.processes[pid].ready {
                self.processes[pid].attach.clone_from(&hosts);
                for host in &hosts {
                    self.dial_soon(pid, *host);
                }
            }
        }
    }
}
