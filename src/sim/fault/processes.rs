//! What befalls processes and their clocks.

use std::time::Duration;

use super::{Fault, Moment, NEVER_US};
use crate::core::env::{Input, Time};
use crate::core::id::NodeId;
use crate::core::instrument::sometimes;
use crate::sim::disk::{Fate, Manner};
use crate::sim::machine::Machine;
use crate::sim::narration::{Happened, Place};
use crate::sim::params::micros;
use crate::sim::process::{Effect, HostId, Pid};
use crate::sim::world::{Happening, World};

/// The time from which a process is in no trouble that anybody could hold against it.
pub(in crate::sim) const NEVER_TROUBLED: Time = Time(0);

/// The death that awaits a process at some point of what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doom {
    moment: Moment,
    disk: Fate,
    relapse: Option<u64>,
    back_us: u64,
    back_host: HostId,
}

/// How a process ends that is asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// When it is killed, if it has not ended by then.
    kill_us: u64,
    /// When another one starts after its end, and where.
    back_us: u64,
    back_host: HostId,
}

impl<M: Machine> World<M> {
    pub(super) fn befall_process(&mut self, fault: &Fault) {
        let (Fault::Crash { host, .. }
        | Fault::Stop { host, .. }
        | Fault::Leave { host, .. }
        | Fault::Takeover { host, .. }
        | Fault::Pause { host, .. }
        | Fault::Suspend { host, .. }
        | Fault::Slow { host, .. }
        | Fault::ClockJump { host, .. }
        | Fault::ClockPace { host, .. }) = fault
        else {
            return self.befall_hosts(fault);
        };
        let Some(pid) = self.process_on(*host) else {
            return;
        };
        match fault {
            Fault::Crash {
                moment,
                disk,
                relapse,
                back_us,
                back_host,
                ..
            } => {
                let (moment, back_us) = (*moment, *back_us);
                let is_kept = *disk != Fate::Gone && self.params.disk != Manner::AtOnce;
                // The disk stays where it is.
                let back_host = back_host.filter(|_| !is_kept).unwrap_or(*host);
                let doom = Doom {
                    moment,
                    disk: *disk,
                    relapse: *relapse,
                    back_us,
                    back_host,
                };
                match moment {
                    Moment::Now => self.meet(pid, doom),
                    Moment::InTurn(_) | Moment::Unsynced(_) => {
                        self.processes[pid].doom = Some(doom);
                    }
                }
            }
            Fault::Stop {
                back_us, back_host, ..
            } => {
                if self.may_lose(pid) {
                    self.stop(pid);
                    self.start_later(*back_us, back_host.unwrap_or(*host));
                }
            }
            Fault::Leave {
                kill_us,
                back_us,
                back_host,
                ..
            } => self.ask_to_leave(
                *host,
                Farewell {
                    kill_us: *kill_us,
                    back_us: *back_us,
                    back_host: back_host.unwrap_or(*host),
                },
            ),
            Fault::Takeover { span_us, .. } => {
                if self.may_lose(pid) {
                    self.pause(pid, micros(*span_us));
                    self.usurp(pid);
                }
            }
            Fault::Pause { span_us, .. } => self.pause(pid, micros(*span_us)),
            Fault::Suspend { span_us, .. } => {
                let span = micros(*span_us);
                self.pause(pid, span);
                self.set_clock(pid, |clock, now| clock.suspend(now, span));
            }
            Fault::Slow { times, span_us, .. } => {
                let span = micros(*span_us);
                sometimes!(SlowWhilePaused, self.processes[pid].paused_until > self.now);
                let (times, until) = ((*times).max(1), self.now + span);
                self.processes[pid].slow = times;
                self.queue.push(until, Happening::Quick { pid });
                self.tell(Place::Node(pid), || Happened::Slowed { times, until });
                self.trouble(pid, span);
            }
            Fault::ClockJump { ahead_us, .. } => {
                let ahead = micros(*ahead_us);
                self.set_clock(pid, |clock, now| clock.jump(now, ahead));
            }
            Fault::ClockPace { pace_ppm, .. } => {
                let pace_ppm = *pace_ppm;
                self.set_clock(pid, |clock, now| clock.set_pace(now, pace_ppm));
            }
            _ => unreachable!("it was handled above"),
        }
    }

    fn befall_hosts(&mut self, fault: &Fault) {
        match fault {
            Fault::Start { host } => self.start_later(0, *host),
            Fault::RollingRestart {
                hosts,
                step_us,
                back_us,
            } => {
                for (place, host) in hosts.iter().enumerate() {
                    let farewell = Farewell {
                        kill_us: NEVER_US,
                        back_us: *back_us,
                        back_host: *host,
                    };
                    let at = self.now + micros(*step_us) * u32::try_from(place).unwrap_or(u32::MAX);
                    let host = *host;
                    self.queue
                        .push(at, Happening::AskToLeave { host, farewell });
                }
            }
            Fault::Freeze { hosts, span_us } => {
                for host in hosts {
                    if let Some(pid) = self.process_on(*host) {
                        self.pause(pid, micros(*span_us));
                    }
                }
            }
            _ => unreachable!("it befalls no process"),
        }
    }

    /// A process dies, and another one starts some time later.
    fn meet(&mut self, pid: Pid, doom: Doom) {
        if self.processes[pid].is_alive() && self.may_end(pid, doom.disk) {
            sometimes!(KilledWhileLeaving, self.processes[pid].leaving.is_some());
            self.crash(pid, doom.disk);
            let relapse = doom.relapse.map(|after| (after, doom.disk));
            self.mounts[self.processes[pid].host].relapse = relapse;
            self.start_later(doom.back_us, doom.back_host);
        }
    }

    /// What a turn did takes effect, up to where the process dies in it. Tells whether it died.
    pub(in crate::sim) fn die_in_turn(
        &mut self,
        pid: Pid,
        effects: &mut Vec<Effect>,
        leaves: Time,
    ) -> bool {
        let Some(doom) = self.processes[pid].doom else {
            return false;
        };
        let Moment::InTurn(count) = doom.moment else {
            return false;
        };
        if effects.is_empty() {
            return false;
        }
        self.processes[pid].doom = None;
        if !self.may_end(pid, doom.disk) {
            return false;
        }
        effects.truncate(count as usize);
        for effect in effects.drain(..) {
            self.take_effect(pid, effect, leaves);
        }
        self.meet(pid, doom);
        true
    }

    /// Dooms the process if it is to die while records are unsynced, as they are now.
    pub(in crate::sim) fn die_unsynced(&mut self, pid: Pid) {
        let process = &mut self.processes[pid];
        let Some(doom) = process.doom else {
            return;
        };
        if let Moment::Unsynced(after_us) = doom.moment
            && process.storage.is_unsynced()
        {
            process.doom = None;
            let at = process.busy_until + micros(after_us);
            self.queue.push(at, Happening::Doomed { pid, doom });
        }
    }

    pub(in crate::sim) fn on_doomed(&mut self, pid: Pid, doom: Doom) {
        self.meet(pid, doom);
    }

    /// A process is asked to end, if the cluster can do without it: what operators look at before
    /// they ask. Nobody may count on it from now on.
    pub(in crate::sim) fn ask_to_leave(&mut self, host: HostId, farewell: Farewell) {
        let Some(pid) = self.process_on(host) else {
            return;
        };
        if !self.may_leave(pid) {
            return;
        }
        self.tell(Place::Node(pid), || Happened::Dismissed);
        self.troubled_until[pid] = Time::NEVER;
        self.processes[pid].leaving = Some((self.now, farewell));
        self.processes[pid].inbox.push_back(Input::Leave);
        self.take_turn_soon(pid);
        let doom = Doom {
            moment: Moment::Now,
            disk: Fate::Gone,
            relapse: None,
            back_us: farewell.back_us,
            back_host: farewell.back_host,
        };
        let at = self.now + micros(farewell.kill_us);
        self.queue.push(at, Happening::Doomed { pid, doom });
    }

    /// A process has ended that was asked to: another one starts some time later.
    pub(in crate::sim) fn follow_up(&mut self, farewell: Farewell) {
        self.start_later(farewell.back_us, farewell.back_host);
    }

    fn start_later(&mut self, after_us: u64, host: HostId) {
        let at = self.now + micros(after_us);
        self.queue.push(at, Happening::Start { host });
    }

    fn pause(&mut self, pid: Pid, span: Duration) {
        sometimes!(PauseOutlastsTimeout, span > self.params.timeout);
        sometimes!(PausedTwice, self.processes[pid].paused_until > self.now);
        let until = self.now + span;
        self.processes[pid].paused_until = until;
        self.tell(Place::Node(pid), || Happened::Paused { until });
        self.trouble(pid, span);
    }

    /// For some time from now on, and a while longer, others may take this process for dead.
    pub(super) fn trouble(&mut self, pid: Pid, span: Duration) {
        let until = self.now + span + 2 * self.params.timeout;
        let troubled = &mut self.troubled_until[pid];
        *troubled = (*troubled).max(until);
    }

    pub(super) fn trouble_host(&mut self, host: HostId, span: Duration) {
        if let Some(pid) = self.process_on(host) {
            self.trouble(pid, span);
        }
    }

    /// Whether a process may die, and leave this much of its disk: one that can come back always.
    pub(in crate::sim) fn may_end(&self, victim: Pid, fate: Fate) -> bool {
        match self.processes[victim].storage.device() {
            Some(_) if fate == Fate::Gone => self.may_give_up(victim),
            Some(_) => true,
            None => self.may_lose(victim),
        }
    }

    /// Whether every configuration that anybody knows of, or will know of who comes back, keeps a
    /// majority of members who live or can come back when this one is lost for good.
    pub(in crate::sim) fn may_give_up(&self, victim: Pid) -> bool {
        let sets = self.member_sets_ever();
        let victim = self.processes[victim].id;
        let is_kept = |id: &&NodeId| **id != victim && self.is_there(**id);
        let stays = |set: &Vec<NodeId>| set.iter().filter(is_kept).count() > set.len() / 2;
        !sets.is_empty() && sets.iter().all(stays)
    }

    /// Whether a process may be asked to end, and has not been so far.
    pub(in crate::sim) fn may_leave(&self, pid: Pid) -> bool {
        self.processes[pid].leaving.is_none() && self.may_lose(pid)
    }

    /// Whether every configuration that anybody knows of keeps a majority of untroubled members
    /// when this process dies.
    pub(in crate::sim) fn may_lose(&self, victim: Pid) -> bool {
        let sets = self.member_sets();
        let victim = self.processes[victim].id;
        !sets.is_empty() && sets.iter().all(|set| self.is_strong(set, &[victim]))
    }

    /// Whether more than half of these members live untroubled, without those who are `lost`.
    pub(super) fn is_strong(&self, members: &[NodeId], lost: &[NodeId]) -> bool {
        let is_well = |id: &&NodeId| {
            let pid = self.by_id.get(id).filter(|_| !lost.contains(id));
            pid.is_some_and(|pid| {
                self.processes[*pid].is_alive() && self.troubled_until[*pid] <= self.now
            })
        };
        members.iter().filter(is_well).count() > members.len() / 2
    }
}
