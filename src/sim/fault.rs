//! Faults: what can go wrong, to whom, for how long, each complete in itself.
//!
//! A fault names hosts and clients, which keep their numbers whatever else happens, never processes:
//! taking one fault away from a list leaves the others what they were.
//!
//! A crash never takes the majority of a configuration away that may still decide a slot: members
//! keep nothing on disk, so that would end the cluster, and rightly.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::net::State;
use super::params::micros;
use super::process::{HostId, Pid};
use super::world::{Happening, World};
use crate::core::env::Time;
use crate::core::instrument::sometimes;

/// Something that goes wrong. Spans are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// A process dies with its memory; another, with a fresh id, joins some time later.
    Crash {
        /// Where the process runs.
        host: HostId,
        /// When another one starts.
        back_us: u64,
        /// Where that one runs.
        back_host: HostId,
    },
    /// A process stands still: its inputs queue up, its timers are late.
    Pause {
        /// Where the process runs.
        host: HostId,
        /// For how long.
        span_us: u64,
    },
    /// A process computes slowly.
    Slow {
        /// Where the process runs.
        host: HostId,
        /// How many times slower.
        times: u64,
        /// For how long.
        span_us: u64,
    },
    /// A clock jumps ahead.
    ClockJump {
        /// Where the process runs.
        host: HostId,
        /// How far.
        ahead_us: u64,
    },
    /// Messages from some hosts to others vanish.
    Cut {
        /// From where.
        from: Vec<HostId>,
        /// To where.
        to: Vec<HostId>,
        /// Whether those back vanish, too.
        both_ways: bool,
        /// For how long.
        span_us: u64,
    },
    /// Two hosts lose and find each other several times.
    Flap {
        /// One host.
        one: HostId,
        /// The other.
        other: HostId,
        /// How often they lose each other.
        times: u64,
        /// How long they lose each other, and find each other, at a time.
        span_us: u64,
    },
    /// Connections break, and their openers are told.
    Reset {
        /// From where to where they go.
        links: Vec<(HostId, HostId)>,
    },
    /// Connections carry nothing, and nobody is told for some time.
    HalfOpen {
        /// From where to where they go.
        links: Vec<(HostId, HostId)>,
    },
    /// The connection of a client breaks.
    Hangup {
        /// The client.
        client: usize,
    },
    /// All cuts end.
    Mend,
}

/// A fault at its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in microseconds since the storm began.
    pub at_us: u64,
    /// What.
    #[serde(flatten)]
    pub fault: Fault,
}

impl<M: Machine> World<M> {
    /// Does one fault. Those that name a host on which nothing runs do nothing to it.
    pub(super) fn inflict(&mut self, fault: &Fault) {
        self.note(usize::MAX, || format!("fault: {fault:?}"));
        self.stats.faults += 1;
        match fault {
            Fault::Crash {
                host,
                back_us,
                back_host,
            } => {
                let Some(victim) = self.process_on(*host).filter(|pid| self.may_lose(*pid)) else {
                    return;
                };
                self.crash(victim);
                let (at, host) = (self.now + micros(*back_us), *back_host);
                self.queue.push(at, Happening::Start { host });
            }
            Fault::Pause { host, span_us } => {
                let Some(victim) = self.process_on(*host) else {
                    return;
                };
                let span = micros(*span_us);
                sometimes!(PauseOutlastsTimeout, span > self.params.timeout);
                sometimes!(PausedTwice, self.processes[victim].paused_until > self.now);
                self.processes[victim].paused_until = self.now + span;
                self.trouble(victim, span);
            }
            Fault::Slow {
                host,
                times,
                span_us,
            } => {
                let Some(pid) = self.process_on(*host) else {
                    return;
                };
                let span = micros(*span_us);
                sometimes!(SlowWhilePaused, self.processes[pid].paused_until > self.now);
                self.processes[pid].slow = (*times).max(1);
                self.queue.push(self.now + span, Happening::Quick { pid });
                self.trouble(pid, span);
            }
            Fault::ClockJump { host, ahead_us } => {
                if let Some(victim) = self.process_on(*host) {
                    self.jump_clock(victim, micros(*ahead_us));
                }
            }
            Fault::Cut {
                from,
                to,
                both_ways,
                span_us,
            } => self.cut_for(from, to, *both_ways, micros(*span_us)),
            Fault::Flap {
                one,
                other,
                times,
                span_us,
            } => {
                for flap in 0..*times {
                    let at = self.now + micros(2 * flap * span_us);
                    let pairs = vec![(*one, *other), (*other, *one)];
                    let until = at + micros(*span_us);
                    self.queue.push(at, Happening::Cut { pairs, until });
                }
                self.trouble_host(*one, micros(2 * times * span_us));
            }
            Fault::Reset { links } => {
                for (from, to) in self.links_up(links) {
                    self.break_link(from, to);
                }
            }
            Fault::HalfOpen { links } => {
                for (from, to) in self.links_up(links) {
                    self.make_hole(from, to);
                }
            }
            Fault::Hangup { client } => {
                let conns = self.open_conns();
                let its: Vec<usize> = conns.filter(|c| self.conns[*c].actor == *client).collect();
                for conn in its {
                    self.hang_up(conn);
                }
            }
            Fault::Mend => self.mend_everything(),
        }
    }

    /// Cuts every host of one side from every host of the other for some time.
    fn cut_for(&mut self, from: &[HostId], to: &[HostId], both_ways: bool, span: Duration) {
        let mut pairs = Vec::new();
        for a in from {
            for b in to {
                pairs.push((*a, *b));
                if both_ways {
                    pairs.push((*b, *a));
                }
            }
            self.trouble_host(*a, span);
        }
        let until = self.now + span;
        self.queue.push(self.now, Happening::Cut { pairs, until });
    }

    fn links_up(&self, links: &[(HostId, HostId)]) -> Vec<(Pid, Pid)> {
        let ends = links
            .iter()
            .filter_map(|(from, to)| Some((self.process_on(*from)?, self.process_on(*to)?)));
        ends.filter(|(from, to)| from != to && self.net.state(*from, *to) == State::Up)
            .collect()
    }

    fn trouble_host(&mut self, host: HostId, span: Duration) {
        if let Some(pid) = self.process_on(host) {
            self.trouble(pid, span);
        }
    }

    /// For some time from now on, and a while longer, others may take this process for dead.
    fn trouble(&mut self, pid: Pid, span: Duration) {
        let until = self.now + span + 2 * self.params.timeout;
        let troubled = &mut self.troubled_until[pid];
        *troubled = (*troubled).max(until);
    }

    /// Whether every configuration that anybody knows of keeps a majority of untroubled members
    /// when this process dies.
    pub(super) fn may_lose(&self, victim: Pid) -> bool {
        let is_well = |pid: Pid| {
            let process = &self.processes[pid];
            pid != victim && process.is_alive() && self.troubled_until[pid] <= self.now
        };
        let mut known = false;
        for pid in self.alive() {
            let machine = self.processes[pid].machine.as_ref();
            for set in machine.map(M::member_sets).unwrap_or_default() {
                known = true;
                let members = set.iter().filter_map(|id| self.by_id.get(id));
                let well = members.filter(|pid| is_well(**pid)).count();
                if well <= set.len() / 2 {
                    return false;
                }
            }
        }
        known
    }
}

/// The time from which a process is in no trouble that anybody could hold against it.
pub(super) const NEVER_TROUBLED: Time = Time(0);
